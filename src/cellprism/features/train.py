"""Train sparse autoencoders on a cell model's residual stream.

Notable choices

- Several autoencoders (seeds, numbers of features, layers, transcoders) learn from the same batches: the model runs
  once for all of them. What shapes the batches must therefore be the same for all.
- With ``out``, training is kept every minute in ``checkpoint`` beside the result and goes on from there when the same
  is asked again; it is removed once the result is written.
- Processes that train together (``torchrun``) each read every window and take their share of its batches; the first
  one writes. With ``store`` the model runs once for all: each process writes its share of the residuals' shards.
- Means and measures are taken over every token that is learned from, once each, however often it was drawn.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from anndata import AnnData
from jaxtyping import Float
from torch import Tensor

from cellprism.errors import ConfigError
from cellprism.features.origin import model_origin
from cellprism.features.tokens.cell_tokens import CellTokens, TokenSource
from cellprism.features.tokens.mixed_batches import CellStream, Reading
from cellprism.features.tokens.stored_tokens import StoredTokens, store_identity, write_store
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.centre import group_means
from cellprism.sae.checkpoint import METRICS
from cellprism.sae.config import SaeConfig
from cellprism.sae.distributed import is_first
from cellprism.sae.evaluate import evaluate
from cellprism.sae.files import save_sae
from cellprism.sae.fit import Progress, fit_saes
from cellprism.sae.job import Job
from cellprism.sae.stream import Vectors
from cellprism.store.atomic import discard, replacing, write_json
from cellprism.store.inside import check_plain
from cellprism.store.seed import check_seed
from cellprism.store.tables import write_table
from cellprism.types import CellModel, Site

SHARED = ("batch_size", "batch_cells", "epochs", "tokens", "memory", "store")  # settings that shape the batches
CHECKPOINT = "checkpoint"


@dataclass(frozen=True)
class SaeJob:
    """One autoencoder to train on a cell model.

    >>> import cellprism as cp
    >>> cp.SaeJob(1, cp.SaeConfig(k=4), name="narrow").folder
    'L1-narrow'
    """

    layer: int
    """Block whose output is read, from 0."""
    config: SaeConfig = field(default_factory=SaeConfig)
    """Its settings."""
    seed: int = 0
    """Seed of its initial directions."""
    name: str = ""
    """Tells several of one layer apart: it is written to ``sae/L<layer>-<name>``."""

    @property
    def reading(self) -> Reading:
        """The layer read, and that of the targets of a transcoder."""
        return self.layer, self.config.target_layer

    @property
    def folder(self) -> str:
        """Where it is written, under ``sae``."""
        return f"L{self.layer}-{self.name}" if self.name else f"L{self.layer}"


def train_sae(
    model: CellModel,
    adata: AnnData,
    layer: int,
    config: SaeConfig | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
    cell_tokens: CellTokens | None = None,
) -> SparseAutoencoder:
    """Train a sparse autoencoder, or a transcoder, on the residuals after one block.

    Tokens are those of present genes, or fewer (``config.tokens``); models that read a cell as a whole have one token a
    cell. With ``centring="group"`` a first pass takes the mean residual of each gene, which is then subtracted: what is
    left is how this cell differs from the average cell at this gene. Genes that no cell has get the mean over all
    tokens.

    Args:
        model: the cell model.
        adata: cells as ``read_cells`` returns them (raw counts), in memory or backed by a file.
        layer: block whose output is read, from 0.
        config: settings; the defaults where not given.
        seed: seed of the initial directions and of the order of tokens.
        out: run folder; writes ``sae/L<layer>`` there with the weights, ``metrics.json``, ``history.parquet`` and
            ``metrics.jsonl``, a line a step. A training that was stopped goes on from ``sae/L<layer>/checkpoint``.
            With ``config.store`` the residuals are in ``residuals/L<layer>``, where later trainings find them.
        batch_size: cells per forward pass of the model.
        progress: called after every step with the number of steps done and the step's figures (see
            ``fit_sae``).
        cell_tokens: the cells' tokens, where later steps of this process read them too; their own memory and cells per
            forward pass hold.

    Returns:
        The autoencoder, with firing rates measured on all tokens, and the measures of ``evaluate`` under
        ``metadata["measures"]``.

    Raises:
        ModelError: the layer does not exist.
        ConfigError: settings that do not fit the model or each other.
        InputError: there are no cells, or the residuals are not finite.
        RunError: ``out`` holds a training or residuals with other settings or cells, or another process uses it.
        DamagedError: a checkpoint or a shard of residuals was altered.

    >>> import cellprism as cp
    >>> model = cp.load_model("pbmc2")
    >>> cells = cp.read_cells("bundled:pbmc68k", model=model)[:20].copy()
    >>> config = cp.SaeConfig(k=4, centring="group", epochs=1)
    >>> sae = cp.train_sae(model, cells, layer=1, config=config)
    >>> sae.n_features, len(sae.history)
    (512, 8)
    """
    job = SaeJob(layer, config or SaeConfig(), seed)
    each = None if progress is None else lambda done, figures: progress(done, figures[0])
    return train_saes(
        model, adata, [job], out, seed=seed, batch_size=batch_size, progress=each, cell_tokens=cell_tokens
    )[0]


def train_saes(
    model: CellModel,
    adata: AnnData,
    jobs: Sequence[SaeJob],
    out: str | Path | None = None,
    *,
    seed: int = 0,
    batch_size: int = 32,
    progress: Callable[[int, Sequence[Mapping[str, int | float]]], None] | None = None,
    cell_tokens: CellTokens | None = None,
    measured: bool = True,
) -> list[SparseAutoencoder]:
    """Train several autoencoders on the same batches, with one pass of the model for all.

    Args:
        model: the cell model.
        adata: cells as ``read_cells`` returns them (raw counts), in memory or backed by a file.
        jobs: what to train.
        out: run folder; each is written as ``train_sae`` does, to ``sae/<job.folder>``. A training of several that was
            stopped goes on from ``sae/checkpoint``.
        seed: seed of the order of tokens.
        batch_size: cells per forward pass of the model.
        progress: called after every step with the number of steps done and each job's figures.
        cell_tokens: as for ``train_sae``.
        measured: pass all tokens through each once more for its firing rates and measures; False: they have neither,
            and nothing may be written.

    Returns:
        The autoencoders, in the order of the jobs.

    Raises:
        ConfigError: the jobs ask for different batches, would be written to one place, or unmeasured.
        InputError, RunError, DamagedError: as ``train_sae``.

    >>> import cellprism as cp
    >>> model = cp.load_model("pbmc2")
    >>> cells = cp.read_cells("bundled:pbmc68k", model=model)[:20].copy()
    >>> config = cp.SaeConfig(k=4, n_features=64, epochs=1)
    >>> jobs = [cp.SaeJob(layer, config, seed=3) for layer in (0, 1)]
    >>> [sae.metadata["hook_layer"] for sae in cp.train_saes(model, cells, jobs)]
    [0, 1]
    """
    check_seed(seed)
    shared = _shared(jobs)
    if out is not None and not measured:
        raise ConfigError("autoencoders are written with their measures: leave out either out or measured=False")
    if out is not None:
        check_plain(Path(out))
    if out is not None and len({job.folder for job in jobs}) < len(jobs):
        raise ConfigError("several jobs would be written to one folder: give jobs of the same layer different names")
    readings = sorted({job.reading for job in jobs}, key=lambda reading: (reading[0], reading[1] or -1))
    layers = sorted({layer for reading in readings for layer in reading if layer is not None})
    if cell_tokens is None:
        cell_tokens = CellTokens(model, adata, layers, shared.tokens, shared.memory, batch_size)
    _check_shared(cell_tokens, model, adata, layers, shared)
    source = _source(cell_tokens, shared, out, seed)
    stream = CellStream(source, readings, shared.batch_size, seed, shared.batch_cells)
    means = {kind: _means(source, model, kind) for kind in {job.config.centring for job in jobs} - {"none"}}
    fits = [
        Job(
            job.config, model.d_model, job.seed,
            site=readings.index(job.reading) if len(readings) > 1 else None,
            d_target=None if job.config.target_layer is None else model.d_model,
            centre=means.get(job.config.centring, {}).get(job.layer),
            target_centre=means.get(job.config.centring, {}).get(job.config.target_layer),
            metadata=_origin(model, adata, job, source, seed),
        )
        for job in jobs
    ]  # fmt: skip
    kept = None if out is None else Path(out) / "sae" / (jobs[0].folder if len(jobs) == 1 else "") / CHECKPOINT
    saes = fit_saes(stream, fits, stream.n_steps(shared.epochs), checkpoints=kept, progress=progress)
    if measured:
        saes = [_measured(sae, _at(stream, fit.site)) for sae, fit in zip(saes, fits, strict=True)]
    if out is not None and kept is not None and is_first():
        for sae, job in zip(saes, jobs, strict=True):
            _write(sae, Path(out) / "sae" / job.folder)
        with replacing(kept.parent / METRICS) as scratch:
            shutil.copyfile(kept / METRICS, scratch)
        discard(kept)
    return saes


def _shared(jobs: Sequence[SaeJob]) -> SaeConfig:
    """The settings that shape the batches, which are those of every job.

    Raises:
        ConfigError: there are no jobs, or they differ.
    """
    if not jobs:
        raise ConfigError("there are no jobs: name at least one autoencoder to train")
    for name in SHARED:
        values = [getattr(job.config, name) for job in jobs]
        if len(set(values)) > 1:
            raise ConfigError(
                f"autoencoders that are trained together see the same batches, but {name} is "
                f"{' and '.join(map(repr, dict.fromkeys(values)))}; set it the same, or train them one after the other"
            )
    return jobs[0].config


def _check_shared(
    tokens: CellTokens, model: CellModel, adata: AnnData, layers: Sequence[int], config: SaeConfig
) -> None:
    """Tokens that several steps share must be those that the training asks for.

    Raises:
        ConfigError: they are of other layers, cells or policy.
    """
    tokens.check_of(model, adata, layers)
    if tokens.policy.kind != config.tokens:
        raise ConfigError(
            f"these are {tokens.policy.kind!r} tokens, but tokens = {config.tokens!r} is to be trained on; read those"
        )


def _source(cells: CellTokens, config: SaeConfig, out: str | Path | None, seed: int) -> TokenSource:
    """The cells' tokens, from the store where one is wanted."""
    if not config.store:
        return cells
    if out is None or config.batch_cells is not None:
        reason = "a store needs a folder: give out=" if out is None else "a store mixes cells, so batch_cells has none"
        raise ConfigError(f"store is true, but {reason}, or set store = false")
    folder = Path(out) / "residuals" / "-".join(f"L{layer}" for layer in cells.layers)
    write_store(cells, folder, seed)
    return StoredTokens(folder, store_identity(cells, seed), config.memory)


def _means(source: TokenSource, model: CellModel, centring: str) -> dict[int | None, Float[Tensor, "group d_model"]]:
    """Mean residuals at every layer, of all tokens or of each gene's, in one pass.

    Raises:
        ConfigError: means per gene are asked for, but tokens are no genes.
    """
    if centring == "group" and not source.are_genes:
        raise ConfigError(
            f"centring is 'group', which takes each gene's mean off, but not all tokens of {model.name!r} are genes; "
            "use centring = 'global'"
        )
    pairs = (
        (torch.cat(held.x, dim=1), held.gene.long() if centring == "group" else torch.zeros_like(held.gene.long()))
        for held in source.in_order()
    )
    together = group_means(pairs, len(model.genes) if centring == "group" else 1)
    return dict(zip(source.layers, together.chunk(len(source.layers), dim=1), strict=True))


def _at(stream: CellStream, site: int | None) -> Iterator[Vectors]:
    """Every token once, as one job sees it."""
    return (batch if isinstance(batch, Vectors) else batch[site or 0] for batch in stream.in_order())


def _measured(sae: SparseAutoencoder, batches: Iterable[Vectors]) -> SparseAutoencoder:
    measures = evaluate(sae, batches)
    return replace(sae, firing_rate=measures.firing_rate, metadata={**sae.metadata, "measures": measures.summary()})


def _write(sae: SparseAutoencoder, folder: Path) -> None:
    """Weights, measures and history into a run folder."""
    save_sae(sae, folder)
    measures = {"n_features": sae.n_features, "k": sae.k, **sae.metadata["measures"]}
    write_json(folder / "metrics.json", measures)
    assert sae.history is not None, "fit_saes keeps a history"
    write_table(folder / "history.parquet", sae.history)


def _origin(model: CellModel, adata: AnnData, job: SaeJob, source: TokenSource, seed: int) -> dict[str, Any]:
    """What the autoencoder was trained on; the first three names are SAELens'."""
    target = job.config.target_layer
    return {
        "model_name": model.name,
        "hook_name": f"blocks.{job.layer}.hook_resid_post",
        "hook_layer": job.layer,
        "site": str(Site(job.layer, model.n_layers)),
        **({} if target is None else {"target_layer": target, "target_site": str(Site(target, model.n_layers))}),
        "model_revision": model.revision,
        "model_licence": model.licence,
        **model_origin(model),
        "cells": {"n_cells": adata.n_obs, "n_genes": adata.n_vars, **source_of(adata)},
        "tokens": {"policy": job.config.tokens, "per_epoch": int(source.counts.sum())},
        "seed": job.seed,
        "order_seed": seed,
        "config": asdict(job.config),
    }


def source_of(adata: AnnData) -> dict[str, str]:
    """Where cells come from, as far as ``read_cells`` noted it: source and SHA-256."""
    noted = adata.uns.get("cellprism", {})
    return {name: str(noted[name]) for name in ("source", "sha256") if name in noted}
