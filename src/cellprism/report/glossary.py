"""The words that a page uses, a line each; one name per thing, as in docs/glossary.md."""

from cellprism.report.context import Context
from cellprism.report.words import LOG_COUNTS

Entry = tuple[str, str]


def glossary(context: Context) -> list[Entry]:
    """Terms and what they mean, in the order in which a page needs them."""
    say = context.words
    return [
        ("Cell model", say.model),
        ("Inner state", say.state),
        ("Token", f"What the model keeps a vector for; features fire at {say.tokens}."),
        ("Feature", say.feature),
        ("Autoencoder", "The network that splits the inner state into features."),
        ("Directions that nobody trained", _UNTRAINED),
        ("Hidden gene", "One that the model is not shown, and has to predict from the others."),
        ("Gene program", _PROGRAM),
        ("Low: …", "A feature that is strong where the genes of its program are low."),
        ("Steering", _STEERING),
        ("Strength", "What a feature is multiplied by: 1 changes nothing, 0 removes it, 5 is five times as strong."),
        ("Recipe", "Strengths of several features that together lead cells of one type towards another."),
        *([("Change in percent", _PERCENT)] if say.unit == LOG_COUNTS else []),
        ("Claim", "A number with its control, its test and the file that holds it."),
        ("Control, chance", _CHANCE),
        ("Above, below chance", _BEYOND),
        ("At chance", _WITHIN),
        ("Cannot be told here", "The run is too small to tell, or has no fair control for it."),
        ("Outlasts the correction", "Still holds after correction for all claims of the page that have a p-value."),
    ]  # fmt: skip


_UNTRAINED = (
    "Vectors of the inner state, random directions with its covariance, or its principal components, used as features "
    "are: what can be had without training an autoencoder."
)
_PROGRAM = (
    "A published set of genes that act together, such as the interferon response. A feature matches a program when "
    "their genes overlap more than a random draw would, after correction for all programs tried."
)
_STEERING = (
    "Making a feature stronger or weaker while the model reads a cell, and looking at what it predicts then. It shows "
    "what the model does with the feature. It does nothing to a real cell."
)
_PERCENT = (
    "The model predicts log(1 + counts per 10,000); a change is written as what it does to 1 + counts per 10,000, "
    "which is the fold change of a gene unless it is hardly expressed. Over genes or cells it is a geometric mean."
)
_CHANCE = (
    "Whatever gives the same number without the thing that is claimed: random gene lists, shuffled cell types, random "
    "edits of the same size, an untrained network. In a verdict it is the control named beside it."
)
_BEYOND = (
    "p ≤ .05 beside the control, or the whole 95 % interval lies beyond that of the control. Below is no failure by "
    "itself: the control gives more."
)
_WITHIN = "Within reach of the control, and a difference that matters would have shown. That is a finding too."
