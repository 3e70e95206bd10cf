"""What makes each rung that is not drawn: one set of directions beside each autoencoder, or one for all."""

from collections.abc import Callable, Iterator

from cellprism.enrich.list_rules import Directions, as_cells
from cellprism.features.decompositions import (
    cluster_features,
    count_programs,
    independent_features,
    neuron_features,
    principal_features,
)
from cellprism.features.dictionaries import TokenSample
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.studies.ladder import trained
from cellprism.studies.ladder.labels import OWN
from cellprism.studies.ladder.settings import LadderSettings
from cellprism.studies.ladder.trained import Autoencoders, directions
from cellprism.studies.ladder.user_programs import brought, gene_weights
from cellprism.studies.workbench import Workbench


class Site:
    """A run's site with what its rungs are made from.

    Args:
        bench: the run.
        settings: of the ladder.
        saes: the run's autoencoder and those of the seeds that follow, with firing rates.
        sample: tokens of some cells, the autoencoder's centre taken off.
        background: genes that may be in a list.
    """

    def __init__(
        self,
        bench: Workbench,
        settings: LadderSettings,
        saes: Autoencoders,
        sample: TokenSample,
        background: tuple[str, ...],
    ):
        self.bench, self.settings, self.saes, self.sample, self.background = bench, settings, saes, sample, background

    @property
    def own(self) -> SparseAutoencoder:
        """The run's own autoencoder."""
        return self.saes[0]

    @property
    def seeds(self) -> list[int]:
        """Of the autoencoders."""
        return [self.bench.config.seed + i for i in range(len(self.saes))]


def rung_directions(rung: str, site: Site) -> Iterator[Directions]:
    """The directions of a rung: as many as there are autoencoders, or one that stands beside all.

    Raises:
        CellprismError: the run cannot have it; the message says why.
    """
    if rung in TRAINED:
        return TRAINED[rung](site.bench, site.saes)
    return OTHERS[rung](site)


def _neurons(site: Site) -> Iterator[Directions]:
    yield directions(site.bench, neuron_features(site.sample, site.own))


def _principal(site: Site) -> Iterator[Directions]:
    yield directions(site.bench, principal_features(site.sample, site.own))


def _independent(site: Site) -> Iterator[Directions]:
    for seed in site.seeds:
        found = independent_features(site.sample, site.own, site.settings.components, seed)
        yield directions(site.bench, found)


def _clusters(site: Site) -> Iterator[Directions]:
    for seed in site.seeds:
        yield directions(site.bench, cluster_features(site.sample, site.own, seed))


def _factors(site: Site) -> Iterator[Directions]:
    for seed in site.seeds:
        found = count_programs(site.bench.cells, site.background, site.settings.components, seed)
        names = [str(i) for i in range(len(found.genes))]
        genes = gene_weights(found.genes, names, site.background)
        yield Directions(genes, as_cells(found.cells, names, site.bench.cells), site.bench.cells)


def _brought(site: Site) -> Iterator[Directions]:
    settings = site.settings
    yield brought(site.bench.cells, site.background, settings.cell_programs, settings.gene_programs)


TRAINED: dict[str, Callable[[Workbench, Autoencoders], Iterator[Directions]]] = {
    "untrained": trained.untrained, "frozen_decoder": trained.frozen_decoder,
    "frozen_encoder": trained.frozen_encoder, "random_model": trained.random_model,
    "random_blocks": trained.random_blocks, "embedding": trained.embedding, "block0": trained.block0,
    "permuted": trained.permuted,
}  # fmt: skip
OTHERS: dict[str, Callable[[Site], Iterator[Directions]]] = {
    "neurons": _neurons, "pca": _principal, "ica": _independent, "kmeans": _clusters, "nmf": _factors, OWN: _brought,
}  # fmt: skip
