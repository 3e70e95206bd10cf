"""Settings of the study: the section ``[adds]``."""

from dataclasses import dataclass

from cellprism.studies.common import check


@dataclass(frozen=True)
class AddsSettings:
    """What a trained autoencoder adds; its lists are tested against the collection of the programs."""

    cells: int = 1000
    """Most cells, drawn at random; lists and best features are chosen on one half and judged on the other."""
    seeds: int = 5
    """Autoencoders that are compared, the run's own and further ones of other seeds, which are trained for it on the
    same tokens; each stands beside draws of its own, and 1 trains none and tells nothing of others."""

    proteins: tuple[str, ...] = ()
    """Columns of obs with surface proteins or other measurements beside the RNA, which single features are to tell;
    empty: none. For CITE-seq: ``adata.obs = adata.obs.join(clr(adata.obsm["protein_expression"]))``."""

    def __post_init__(self):
        check(self.cells >= 20, "cells", self.cells, "a whole number of at least 20")
        check(self.seeds >= 1, "seeds", self.seeds, "a whole number of at least 1")
