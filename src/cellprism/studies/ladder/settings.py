"""Settings of the study: the section ``[ladder]``."""

from dataclasses import dataclass, field

from cellprism.studies.common import check
from cellprism.studies.ladder.labels import RULES, RUNGS


@dataclass(frozen=True)
class LadderSettings:
    """Every null and baseline beside the features; lists are tested as those of the programs are."""

    rungs: tuple[str, ...] = tuple(RUNGS)
    """Nulls and baselines: ``uniform`` (E0); ``popularity``, ``gene_use`` (E1); ``matched`` (E2); ``coexpression``
    (E3); ``untrained``, ``frozen_decoder``, ``frozen_encoder`` (E4); ``random_model``, ``random_blocks`` (E5);
    ``embedding``, ``block0`` (E6); ``permuted`` (E7); ``neurons``, ``pca``, ``ica``, ``kmeans``, ``nmf`` (E8)."""
    rules: tuple[str, ...] = tuple(RULES)
    """How lists are made: ``participation``, ``top20``, ``top50``, ``maximum``, ``standardised``, ``correlation``."""
    replicates: int = 199
    """Families of lists drawn for each of E0 to E3; fewer than 39 allow no verdict."""
    seeds: int = 5
    """Autoencoders of the run and of every control that is trained; fewer than 5 allow no verdict."""
    components: int = 64
    """Independent components, and factors of the counts, at most."""
    cell_programs: str = field(default="", metadata={"source": "path"})
    """A table of your own programs, cells x programs (.csv, .tsv, .parquet or .h5ad), put beside the features."""
    gene_programs: str = field(default="", metadata={"source": "path"})
    """The same, genes x programs; those of one factorisation where both have the same programs."""

    def __post_init__(self):
        for name, known in (("rungs", RUNGS), ("rules", RULES)):
            asked = getattr(self, name)
            expected = f"some of {', '.join(known)}, each once"
            check(set(asked) <= set(known) and len(set(asked)) == len(asked), name, list(asked), expected)
        check(bool(self.rules), "rules", list(self.rules), "at least one")
        for name in ("replicates", "seeds", "components"):
            check(getattr(self, name) >= 1, name, getattr(self, name), "a whole number of at least 1")
