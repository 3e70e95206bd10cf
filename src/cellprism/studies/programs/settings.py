"""Settings of the study: the section ``[programs]``."""

from dataclasses import dataclass, field

from cellprism.enrich.gene_sets import FILTERS
from cellprism.enrich.list_rules import RULES
from cellprism.enrich.over_representation import FAMILIES
from cellprism.studies.common import check


@dataclass(frozen=True)
class ProgramsSettings:
    """How features become gene programs."""

    collection: str = field(default="blood", metadata={"source": "collection"})
    """Gene sets: ``blood`` (shipped), a GMT file, a .toml that names an ontology and annotations (docs/ontology.md),
    ``go-bp`` (the Gene Ontology, once fetched), or the name of a library in CELLPRISM_DATA_DIR."""
    gene_filter: str = "code"
    """Genes that may be in a list, and so the background: ``code``, ``paper`` or ``all``."""
    rule: str = "correlation"
    """How a feature becomes a list of genes: ``correlation``, the 20 that go with it most over cells; by mean
    activation, as many as it spreads over (``participation``, as published), ``top20`` or ``top50``; ``maximum``
    and ``standardised``, 20 by largest activation, or by activation beside other features. The default finds most of
    planted programs (``benchmarks/bench_rules.py``)."""
    family: str = "all-terms"
    """Tests corrected together: ``all-terms`` per list, ``all-tests``, or ``hit-terms`` as in public work."""
    sought: tuple[str, ...] = ("respirat", "cell cycle", "germinal", "interferon")
    """Programs to look for by name: words or parts of words of a term, whatever their case. For each the feature that
    matches best is told, or that none does. Those of the default are the published examples."""
    min_term_size: int = 3
    """Terms with fewer genes in the background are not tested."""
    alpha: float = 0.05
    """A term counts at a corrected p-value below this."""
    replicates: int = 199
    """Families of random lists of one length for each null; fewer than 39 allow no verdict, more let a verdict
    outlast a correction over more claims."""
    seeds: int = 5
    """Autoencoders over which rates are judged: the run's own and further ones of other seeds, which are trained
    for it on the same tokens; fewer than 5 allow no verdict, 1 trains none."""
    draws: int = 8
    """Dictionaries that nobody trained, of each kind, beside each autoencoder: how many of their directions tell cell
    types apart."""

    def __post_init__(self):
        check(self.gene_filter in FILTERS, "gene_filter", self.gene_filter, f"one of {', '.join(FILTERS)}")
        check(self.rule in RULES, "rule", self.rule, f"one of {', '.join(RULES)}")
        check(self.family in FAMILIES, "family", self.family, f"one of {', '.join(FAMILIES)}")
        check(all(word.strip() for word in self.sought), "sought", list(self.sought), "words, none of them empty")
        check(self.min_term_size >= 1, "min_term_size", self.min_term_size, "a whole number of at least 1")
        check(0 < self.alpha < 1, "alpha", self.alpha, "a number between 0 and 1, such as 0.05")
        check(self.seeds >= 1, "seeds", self.seeds, "a whole number of at least 1")
        check(self.draws >= 1, "draws", self.draws, "a whole number of at least 1")
        check(self.replicates >= 1, "replicates", self.replicates, "a whole number of at least 1")
