"""Settings of the study: the section ``[pareto]``."""

from dataclasses import dataclass, field

from cellprism.steering.settings import EDITS, GAP, MULTIPLY, WEIGHTINGS, ContrastSettings
from cellprism.studies.common import check

ALL, ANNOTATED, GIVEN, RANDOM = "all", "annotated", "given", "random"
LEARNABLE = (ALL, ANNOTATED, GIVEN, RANDOM)


@dataclass(frozen=True)
class ParetoSearch(ContrastSettings):
    """How hard to search along each path, and how much chance to sample."""

    penalties: int = 12
    """Values of lambda on a path, below the one at which nothing moves."""
    iterations: int = 4
    """Most gradients per value of lambda."""
    max_cells: int = 120
    """Cells per type that are read at all, drawn evenly from the three parts. Memory and time grow with it."""
    null_replicates: int = 9
    """Searches with permuted labels, of the same effort; fewer than 39 allow no verdict."""
    random_edits: int = 19
    """Small recipes on random features of like activity."""


@dataclass(frozen=True)
class ParetoSettings:
    """Which cell type to move towards which, with what edit, and how finely to weigh one objective against the
    other."""

    source: str = field(default="", metadata={"cell_type": True})
    """Cell type to start from; empty: that of ``[contrast]``."""
    target: str = field(default="", metadata={"cell_type": True})
    """Cell type to reach; empty: that of ``[contrast]``."""
    edit: str = MULTIPLY
    """What a recipe does to features: ``multiply`` their values, ``add`` to them at every token, whether they fire
    there or not, or ``clamp`` them towards what the target shows at each gene."""
    weights: int = 11
    """Weights of expression against the inner state, evenly from 0 to 1."""
    weighting: str = GAP
    """How much each differential gene counts: ``gap``, its difference of mean log counts; ``fold change``, of genes
    that differ by a rank test; or ``equal``."""
    learnable: str = ALL
    """Features that a recipe may turn: ``all``, the ``annotated`` ones, those ``given`` by ``features``, or as many as
    are annotated at ``random``."""
    features: tuple[int, ...] = ()
    """The features of ``learnable = "given"``."""
    must: tuple[str, ...] = ()
    """Genes that a recipe must bring to the target's level: each left where it is costs a quarter of the loss."""
    must_not: tuple[str, ...] = ()
    """Genes that a recipe must leave alone."""
    named: tuple[str, ...] = ("CD8A", "CD8B")
    """Genes of which the way that they go is reported, and which the recipe aimed at has to move half-way."""
    most: int = 40
    """Most features of the recipe aimed at."""
    seeds: int = 1
    """Autoencoders for each of which a front is made: the run's, and further ones of other seeds."""
    donor: str = ""
    """obs column of donors, for each of which a front is made; empty: one for all cells."""
    judge: str = field(default="", metadata={"source": "path"})
    """A linear model of expression made by others, as parquet: a row a gene, columns ``mean``, ``scale`` and one a
    class; empty: none."""
    toward: str = "CD8"
    """How the names of the judge's classes begin that stand for the target."""
    against: str = "CD4"
    """How the names of those begin that stand for the source."""
    gated: str = field(default="", metadata={"source": "path"})
    """Other cells of both types, labelled without their RNA, such as by surface proteins: a file of cells with an obs
    column ``cell_type`` of the same names, from whose counts a classifier is fitted; empty: none."""
    measured: str = field(default="", metadata={"source": "path"})
    """A measured response, as parquet with a row a gene and columns ``gene`` and ``log2_fold_change``; empty: none."""
    search: ParetoSearch = field(default_factory=ParetoSearch)
    """Effort of the searches and of their controls."""

    def __post_init__(self):
        together = f"source {self.source!r} and target {self.target!r}"
        check(bool(self.source) == bool(self.target), "pareto", together, "both, or neither for those of [contrast]")
        alike = self.source.strip() == self.target.strip() and bool(self.source)
        check(not alike, "pareto", together, "two cell types that differ")
        check(self.edit in EDITS, "edit", self.edit, f"one of {', '.join(EDITS)}")
        check(self.weighting in WEIGHTINGS, "weighting", self.weighting, f"one of {', '.join(WEIGHTINGS)}")
        check(self.learnable in LEARNABLE, "learnable", self.learnable, f"one of {', '.join(LEARNABLE)}")
        given = self.learnable == GIVEN
        check(bool(self.features) == given, "features", self.features, 'some with learnable = "given", none else')
        both = sorted(set(self.must) & set(self.must_not))
        check(not both, "must and must_not", both, "no gene in both")
        check(self.weights >= 3, "weights", self.weights, "a whole number of at least 3")
        check(self.most >= 1, "most", self.most, "a whole number of at least 1")
        check(self.seeds >= 1, "seeds", self.seeds, "a whole number of at least 1")
