"""The sources of directions and the measures, and what the page calls them."""

from cellprism.report.context import Context
from cellprism.studies.fit.labels import CONTROL_LABELS

TRAINED, TOKENS, COVARIANCE, COMPONENTS = "trained", "tokens", "covariance", "components"
ISOTROPIC, PROJECTIONS = "isotropic", "projections"
SOURCES = {
    TRAINED: "trained autoencoder",
    **{name: CONTROL_LABELS[name] for name in (TOKENS, COVARIANCE, COMPONENTS)},
    ISOTROPIC: "random directions of the whole inner state",
    PROJECTIONS: "random projections of the cells' log counts",
}
"""In the order of the table."""
SHORT_NAMES = {
    TOKENS: "vectors of the inner state",
    COVARIANCE: "random, its covariance",
    COMPONENTS: "principal components",
    ISOTROPIC: "random, whole space",
    PROJECTIONS: "projections of counts",
}
"""The same in a figure, and in the summary."""
TERMS, COHERENCE, RAISES, RECALL, TYPES = "terms", "coherence", "raises", "recall", "types"
PROTEINS = "proteins"
AGAIN = "again"
MEASURES = {
    TERMS: ("distinct programs matched", ".1f"),
    COHERENCE: ("coherence of lists on other cells", ".3f"),
    RAISES: ("genes of the list that a push raises", ".3f"),
    RECALL: ("programs found again by one feature", ".3f"),
    TYPES: ("cell types told by one feature", ".3f"),
    PROTEINS: ("proteins told by one feature", ".3f"),
    AGAIN: ("share found again with another seed", ".3f"),
}
"""Words and number format."""
RULES = {"genes each": "lists by {}", "genes by correlation": "lists by correlation over cells"}


def measure_of(column: str) -> str:
    """The measure of a column."""
    return column.partition(",")[0]


def form_of(column: str) -> str:
    """Number format of a column's values."""
    return MEASURES[measure_of(column)][1]


def label_of(column: str, context: Context) -> str:
    """What a column is called on the page: the measure, and how its lists are made."""
    words, _ = MEASURES[measure_of(column)]
    fires = "where features fire" if context.tokens == "genes" else "the cells in which features fire"
    rules = [said.format(fires) for ending, said in RULES.items() if column.endswith(ending)]
    return ", ".join([words, *rules])


def shown(value: float, column: str, sign: str = "") -> str:
    """A value of a column, or with a ``sign`` of ``+`` a difference."""
    return format(value, sign + form_of(column)).replace("-", "−")
