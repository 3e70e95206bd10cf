"""Settings of the study: the section ``[contrast]``."""

from dataclasses import dataclass, field

from cellprism.steering.settings import OBJECTIVES, ContrastSettings
from cellprism.studies.common import check


@dataclass(frozen=True)
class ContrastSection:
    """Which cell type to move towards which."""

    source: str = field(default="", metadata={"cell_type": True})
    """Cell type to start from; empty: no contrast is made."""
    target: str = field(default="", metadata={"cell_type": True})
    """Cell type to reach."""
    objectives: tuple[str, ...] = ("latent", "expression")
    """What to bring close: the mean embedding, the expression of differential genes, or both in turn."""
    named: tuple[str, ...] = ()
    """Genes reported by name, whatever their effect; each becomes a claim."""
    search: ContrastSettings = field(default_factory=ContrastSettings)
    """Effort of the search and of its nulls."""

    def __post_init__(self):
        together = f"source {self.source!r} and target {self.target!r}"
        check(bool(self.source) == bool(self.target), "contrast", together, "both, or neither for no contrast")
        alike = self.source.strip() == self.target.strip() and bool(self.source)
        check(not alike, "contrast", together, "two cell types that differ")
        known = set(self.objectives) <= set(OBJECTIVES) and len(self.objectives) > 0
        check(known, "objectives", list(self.objectives), f"some of {', '.join(OBJECTIVES)}")
