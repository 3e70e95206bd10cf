"""The rungs of the ladder and the list rules, what the page calls them, and which comparisons are fair.

A rung is fair where its lists are made by the same rule as the features', in the same number and of the same sizes, and
where it could have been had without training an autoencoder on this model. Some are shown and never judged:

- Lists drawn from all genes alike (E0): everything that prefers frequent genes exceeds them.
- Co-expression modules, factors of the counts and programs that somebody brings, beside lists by where features fire:
  they are groups of genes that vary together over cells, and such groups match programs more often whatever made them.
  Beside lists by correlation over cells they are fair.
"""

from dataclasses import dataclass

DRAWN = ("uniform", "popularity", "gene_use", "matched", "coexpression")
"""Rungs whose lists are drawn, as ``enrich.nulls`` calls them."""


@dataclass(frozen=True)
class Named:
    """What a rung is called."""

    level: str
    """E0 to E8, or empty for what somebody brings."""
    short: str
    """In a figure."""
    words: str
    """In a sentence."""


RUNGS = {
    "uniform": Named("E0", "uniform random lists", "lists drawn from all genes alike"),
    "popularity": Named("E1", "lists of genes as popular", "lists of genes that are in as many programs"),
    "gene_use": Named("E1", "lists that reuse genes as often", "lists that use each gene as often as features do"),
    "matched": Named("E2", "lists of genes as frequent", "lists of genes of like mean expression and detection"),
    "coexpression": Named("E3", "co-expression modules", "co-expression modules of the raw counts"),
    "untrained": Named("E4", "untrained autoencoder", "an untrained autoencoder"),
    "frozen_decoder": Named("E4", "frozen decoder", "an autoencoder whose decoder stays random"),
    "frozen_encoder": Named("E4", "frozen encoder", "an autoencoder whose encoder stays random"),
    "random_model": Named("E5", "model with random weights", "an autoencoder on a model with random weights"),
    "random_blocks": Named("E5", "model with random blocks", "an autoencoder on the model with random blocks"),
    "embedding": Named("E6", "vectors of genes", "an autoencoder on the model's vectors of genes"),
    "block0": Named("E6", "after block 0", "an autoencoder after block 0"),
    "permuted": Named("E7", "counts permuted", "an autoencoder on counts permuted within each gene"),
    "neurons": Named("E8", "neurons, tails apart", "neurons, their tails apart"),
    "pca": Named("E8", "principal components", "principal components of the inner state, tails apart"),
    "ica": Named("E8", "independent components", "independent components of the inner state, tails apart"),
    "kmeans": Named("E8", "k-means", "clusters of the inner state (k-means)"),
    "nmf": Named("E8", "NMF of counts", "non-negative factors of the log counts"),
}
OWN = "own"
"""The rung of programs that somebody brings."""
OF_CELLS = ("coexpression", "nmf", OWN)
"""Rungs that are groups of genes which vary together over cells, by whatever rule the features have lists."""
RULES = {
    "participation": (
        "the genes where each fires most, as many as it spreads over",
        "as many genes as it spreads over",
    ),
    "top20": ("the 20 genes where each fires most", "20 genes, mean activation"),
    "top50": ("the 50 genes where each fires most", "50 genes, mean activation"),
    "maximum": ("the 20 genes with the largest single activation", "20 genes, largest activation"),
    "standardised": ("the 20 genes where each fires most beside other features", "20 genes, standardised per gene"),
    "correlation": ("the 20 genes that vary most with each over cells", "20 genes, correlation over cells"),
}
"""Words in a sentence, and in a heading."""
BY_CELLS = ("correlation",)
"""Rules by which lists are of genes that vary with a feature over cells."""


def words_of(rule: str) -> tuple[str, str]:
    """A list rule in a sentence, and in a heading; one of another version by its name."""
    return RULES.get(rule, (rule, rule))


def named(rung: str, brought: str = "") -> Named:
    """What a rung is called, one of another version by its name; ``brought`` names programs that somebody brings."""
    if rung != OWN:
        return RUNGS.get(rung) or Named("", rung, rung)
    return Named("", brought, f"the programs of {brought}")


def label_of(rung: str, brought: str = "") -> str:
    """A rung's label in a figure, with its level."""
    name = named(rung, brought)
    return f"{name.level} {name.short}".strip()


SELECTED = 1 / 3  # of a rung's directions: where fewer have lists by a rule, these are not what the rung is


def few(lists: int, most: int) -> str:
    """Why a rung is not judged under a rule by which few of its directions have lists, those that spread over many
    genes; empty where enough have.

    Args:
        lists: that the rung has by the rule.
        most: that it has by any rule.
    """
    return f"only {lists} of its {most} directions have lists by this rule" if lists < SELECTED * most else ""


def unfair(rung: str, rule: str, by_cell: bool) -> str:
    """Why a rung is shown and not judged under a rule; empty where it is fair.

    Args:
        rung: one of ``RUNGS``, or ``OWN``.
        rule: one of ``RULES``.
        by_cell: the model reads a cell as a whole, so that all lists are of genes that vary with a feature over cells.
    """
    if rung == "uniform":
        return "its genes are drawn from all alike, and whatever prefers frequent genes exceeds it"
    if rung in OF_CELLS and rule not in BY_CELLS and not by_cell:
        return "its lists are of genes that vary together over cells, the features' of genes where they fire"
    return ""
