"""Rungs that cost a training: autoencoders of the run's own settings, of which something was kept from learning.

Each stands beside one of the run's autoencoders and has its seed. Those on one stream of tokens are trained together;
models with random weights and permuted counts have a stream for each.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from anndata import AnnData

from cellprism.cells.permuted import permuted_cells
from cellprism.enrich.list_rules import Directions
from cellprism.errors import ModelError
from cellprism.features.baselines import untrained_sae
from cellprism.features.collect import feature_statistics
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.features.train import SaeJob, train_saes
from cellprism.models.untrained import GeneVectors, with_random_weights
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.config import SaeConfig
from cellprism.sae.distributed import alone
from cellprism.studies.workbench import Workbench
from cellprism.types import CellModel, FitsToCells, MovesToDevice

Autoencoders = Sequence[SparseAutoencoder]
"""The run's own and those of the seeds that follow, with their firing rates."""


def directions(bench: Workbench, sae: SparseAutoencoder) -> Directions:
    """What an autoencoder, or directions in its place, are on the run's own tokens."""
    found = feature_statistics(bench.model, sae, bench.cells, bench.config.layer, tokens=bench.tokens)
    return Directions(found.genes, found.cells, bench.cells)


def untrained(bench: Workbench, saes: Autoencoders) -> Iterator[Directions]:
    """E4: random directions of all dimensions in the place of each autoencoder's."""
    return (directions(bench, untrained_sae(sae, bench.config.seed + i)) for i, sae in enumerate(saes))


def frozen_decoder(bench: Workbench, saes: Autoencoders) -> Iterator[Directions]:
    """E4: the decoder stays random, the encoder learns."""
    return _frozen(bench, saes, replace(bench.config.train, null="frozen-decoder"))


def frozen_encoder(bench: Workbench, saes: Autoencoders) -> Iterator[Directions]:
    """E4: the encoder stays random, the decoder learns."""
    return _frozen(bench, saes, replace(bench.config.train, null="frozen-encoder"))


def _frozen(bench: Workbench, saes: Autoencoders, config: SaeConfig) -> Iterator[Directions]:
    jobs = _jobs(bench, bench.config.layer, config, range(len(saes)))
    for sae in _trained(bench, bench.model, bench.cells, jobs, bench.tokens):
        yield directions(bench, sae)


def random_model(bench: Workbench, saes: Autoencoders) -> Iterator[Directions]:
    """E5: the model has random weights, others for each autoencoder."""
    return _on_random_models(bench, len(saes), blocks_only=False)


def random_blocks(bench: Workbench, saes: Autoencoders) -> Iterator[Directions]:
    """E5: the model's blocks alone have random weights."""
    return _on_random_models(bench, len(saes), blocks_only=True)


def _on_random_models(bench: Workbench, count: int, blocks_only: bool) -> Iterator[Directions]:
    for i in range(count):
        model = with_random_weights(bench.model, bench.config.seed + i, blocks_only)
        if isinstance(model, MovesToDevice):
            model.to(bench.device)
        yield from _on(bench, model, bench.cells, bench.config.layer, bench.config.train, range(i, i + 1))


def embedding(bench: Workbench, saes: Autoencoders) -> Iterator[Directions]:
    """E6: the model's vectors of genes in place of the stream. They are the same in all cells, so that a gene's mean is
    all that there is: the mean of all tokens is taken off where the run takes each gene's off.

    Raises:
        ModelError: the model does not tell them, or the run has a transcoder.
    """
    config = bench.config.train
    config = replace(config, centring="global") if config.centring == "group" else config
    return _on(bench, GeneVectors(bench.model).to(bench.device), bench.cells, 0, config, range(len(saes)))


def block0(bench: Workbench, saes: Autoencoders) -> Iterator[Directions]:
    """E6: the stream after the first block.

    Raises:
        ModelError: that is what the run reads, or the run has a transcoder.
    """
    if bench.config.layer == 0:
        raise ModelError(
            "this run reads block 0 itself" if bench.model.n_layers > 1 else f"{bench.model.name!r} has one block"
        )
    return _on(bench, bench.model, bench.cells, 0, bench.config.train, range(len(saes)))


def permuted(bench: Workbench, saes: Autoencoders) -> Iterator[Directions]:
    """E7: model, autoencoder and lists see counts that were permuted across cells within each gene.

    Raises:
        ModelError: the model does not read counts.
    """
    if isinstance(bench.model, FitsToCells):
        raise ModelError(f"{bench.model.name!r} comes with the cells and does not read their counts")
    for i in range(len(saes)):
        cells = permuted_cells(bench.cells, bench.config.seed + i)
        yield from _on(bench, bench.model, cells, bench.config.layer, bench.config.train, range(i, i + 1))


def _on(
    bench: Workbench, model: CellModel, cells: AnnData, layer: int, config: SaeConfig, numbers: range
) -> Iterator[Directions]:
    """Autoencoders of these seeds, trained on a model and cells, and read there."""
    if config.target_layer is not None and layer != bench.config.layer:
        raise ModelError("a transcoder of this run's layers cannot be trained at another")
    tokens = CellTokens(
        model, cells, [layer], memory=config.memory, batch_size=bench.cells_a_pass(), folder=bench.folder
    )
    for sae in _trained(bench, model, cells, _jobs(bench, layer, config, numbers), tokens):
        found = feature_statistics(model, sae, cells, layer, tokens=tokens)
        yield Directions(found.genes, found.cells, cells)


def _jobs(bench: Workbench, layer: int, config: SaeConfig, numbers: range) -> list[SaeJob]:
    config = replace(config, store=False)
    return [SaeJob(layer, config, bench.config.seed + i, f"seed{bench.config.seed + i}") for i in numbers]


def _trained(
    bench: Workbench, model: CellModel, cells: AnnData, jobs: list[SaeJob], tokens: CellTokens
) -> list[SparseAutoencoder]:
    """Autoencoders trained together, on tokens at hand where the training asks for those."""
    config = jobs[0].config
    shared = config.tokens == "present" and config.target_layer is None
    with alone():
        found = train_saes(
            model, cells, jobs, seed=bench.config.seed, batch_size=bench.cells_a_pass(),
            cell_tokens=tokens if shared else None, measured=False,
        )  # fmt: skip
    return [sae.to(bench.device) for sae in found]
