"""Train a cell model of the AIDO.Cell family on one's own counts: masked regression of log1p expression, or the
likelihood of one part of the counts given the other (``cellprism.models.aido.pretrain_split``).

- Every step draws a random, uniform subset of genes and hides a random share of it; masked regression's loss is the
  squared error at the hidden genes. Cost falls with the square of the subset's size, and the model learns to work with
  any set of genes.
  Drawing expressed genes more often would leak the prior: the model would learn that a gene it sees is expressed.
- The subset's size varies from step to step at a constant number of tokens, so that a cell seen through all genes is
  nothing new when the model is used.
- Where it starts from matters more than anything else: see ``cellprism.models.aido.pretrain_start``.
- A step's draws depend on (seed, step) alone, so a resumed run continues exactly where the killed one stopped.
- The exponential moving average of the weights is what is kept: it has a lower held-out error than the last weights.
"""

import hashlib
import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import scipy.sparse as sp
import torch
from anndata import AnnData
from jaxtyping import Bool, Float
from torch import Tensor

from cellprism.cells.columns import refuse_empty
from cellprism.cells.genes import GeneTable
from cellprism.errors import ConfigError
from cellprism.models.aido.model import AidoCell
from cellprism.models.aido.model_input import DEPTH_FLOOR, model_input
from cellprism.models.aido.pretrain_split import SplitDraw, split_draw, split_loss
from cellprism.models.aido.pretrain_start import start
from cellprism.models.aido.pretrain_start_rates import start_rates
from cellprism.models.aido.pretrain_state import load_state, record, save_state
from cellprism.models.aido.settings import AidoConfig
from cellprism.models.held_out import held_out_cells
from cellprism.store.seed import check_seed
from cellprism.types import CellBatch

HELD_OUT = {"masked": "held_out_error", "split": "held_out_loss"}


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of a pretraining run; the defaults are those of the shipped model.

    >>> import cellprism as cp
    >>> cp.PretrainConfig(layers=2, steps=100).hidden
    64
    """

    layers: int = 3
    """Blocks."""
    hidden: int = 64
    """Width of the residual stream."""
    heads: int = 2
    """Attention heads; head dimension 32 learns faster than 16."""
    intermediate: int = 160
    """Width of the feed-forward layer."""
    steps: int = 12_500
    """Optimiser steps."""
    tokens: int = 6_400
    """Tokens per step: cells x genes."""
    genes_low: int = 256
    """Fewest genes shown at a step."""
    genes_high: int = 800
    """Most genes shown at a step (at most the model's genes)."""
    mask_low: float = 0.15
    """Smallest share of a cell's genes to hide."""
    mask_high: float = 0.65
    """Largest share of a cell's genes to hide."""
    learning_rate: float = 3e-3
    """Peak of AdamW's learning rate: linear warm-up, then cosine to zero."""
    warmup: int = 300
    """Steps of warm-up."""
    weight_decay: float = 0.05
    """AdamW's weight decay, on matrices only."""
    average: float = 0.999
    """Decay of the moving average of the weights."""
    held_out: float = 0.1
    """Share of cells never trained on, for the reported error."""
    report_every: int = 500
    """Steps between measurements on held-out cells, and between checkpoints."""
    bf16: bool = False
    """Products in bfloat16; values, norms and the loss stay in float32. Worth it where the processor is fast at it."""
    seed: int = 0
    """Seed of weights, split and every draw."""
    objective: Literal["masked", "split"] = "masked"
    """``masked``: squared error at hidden genes. ``split``: likelihood of one part of each cell's counts given the
    other, at hidden and visible genes; the model then means what it says at visible genes too."""
    split_low: float = 0.3
    """Smallest share of a cell's counts that is shown (``split``)."""
    split_high: float = 0.85
    """Largest share of a cell's counts that is shown (``split``)."""
    factors: int = 0
    """Factors of a cell, fitted to the training cells and added to the stream, that the transformer corrects
    (``split``); 0 for none."""
    dimension: float = 0.0
    """Weight of the penalty on a stream that varies along few directions (``split``); 0 for none."""
    dimension_block: int = 1
    """Block after which that penalty is taken, from 0."""
    second_moment: float = 0.98
    """Decay of AdamW's second moment."""

    def __post_init__(self):
        for name in ("layers", "hidden", "heads", "intermediate", "steps", "tokens", "report_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: expected at least 1")
        if not 0 < self.mask_low <= self.mask_high < 1:
            raise ConfigError(f"mask_low {self.mask_low} and mask_high {self.mask_high}: expected 0 < low <= high < 1")
        if not 0 < self.held_out < 1:
            raise ConfigError(f"held_out is {self.held_out}: expected a share between 0 and 1, such as 0.1")
        if not 0 < self.learning_rate < math.inf:
            raise ConfigError(f"learning_rate is {self.learning_rate}: expected a positive number, such as 3e-3")
        if not 0 <= self.weight_decay < math.inf or self.warmup < 0:
            raise ConfigError(
                f"weight_decay {self.weight_decay} and warmup {self.warmup}: expected a number and a count, 0 or more"
            )
        if not 0 <= self.average < 1:
            raise ConfigError(f"average is {self.average}: expected a decay of at least 0 and below 1, such as 0.999")
        check_seed(self.seed)
        if not 2 <= self.genes_low <= self.genes_high:
            raise ConfigError(f"genes_low {self.genes_low} must lie between 2 and genes_high {self.genes_high}")
        if not 0 < self.split_low <= self.split_high < 1:
            shares = f"split_low {self.split_low} and split_high {self.split_high}"
            raise ConfigError(f"{shares}: expected 0 < low <= high < 1")
        if self.objective == "masked" and (self.factors or self.dimension):
            raise ConfigError("factors and dimension belong to objective = 'split'; leave them at 0, or set it")
        if not 0 <= self.factors < self.hidden:
            raise ConfigError(f"factors is {self.factors}: expected 0 to {self.hidden - 1}, fewer than hidden")
        if not 0 <= self.dimension_block < self.layers:
            raise ConfigError(f"dimension_block is {self.dimension_block}: expected 0 to {self.layers - 1}, a block")


@dataclass(frozen=True)
class Counts:
    """Counts of some cells and each cell's total, ready to be drawn from."""

    matrix: sp.csr_matrix
    totals: np.ndarray

    def fingerprint(self) -> str:
        """SHA-256 of all counts and totals, by which a resumed run knows its cells."""
        parts = (self.matrix.indptr, self.matrix.indices, self.matrix.data, self.totals)
        return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()

    @classmethod
    def of(cls, adata: AnnData) -> "Counts":
        """Counts of an AnnData; totals from ``obs["total_counts"]`` where declared; ``CellsError`` if one is zero."""
        matrix = sp.csr_matrix(adata.X)
        declared = adata.obs["total_counts"] if "total_counts" in adata.obs else matrix.sum(axis=1)
        totals = np.asarray(declared, dtype=np.float32).ravel()
        refuse_empty(totals)
        return cls(matrix, totals)


def fresh_model(config: PretrainConfig, genes: GeneTable, counts: Counts, rows: np.ndarray) -> AidoCell:
    """The model before its first step; its start is computed from the training cells ``rows`` alone."""
    split = config.objective == "split"
    shape = AidoConfig(
        len(genes.symbol), config.hidden, config.layers, config.heads, config.intermediate, gene_subset=True,
        total="cell", depth_floor=0.0 if split else DEPTH_FLOOR, rates=split, factors=config.factors,
    )  # fmt: skip
    dense = torch.from_numpy(counts.matrix[rows].toarray().astype(np.float32))
    expression = model_input(dense, torch.from_numpy(counts.totals[rows]))[:, : len(genes.symbol)].numpy()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = AidoCell(shape, genes, card={"trained_at": "visible"} if split else None)
        start(model, expression, config.seed)
        if split:
            start_rates(model, counts.matrix[rows], counts.totals[rows], config.seed)
    return model


def drawn_sizes(
    rows: np.ndarray, every: int, config: PretrainConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Genes and cells of one step: as many genes as drawn between the settings, and cells for a constant product."""
    most = min(config.genes_high, every)
    least = min(config.genes_low, most)
    n_genes = round(math.exp(rng.uniform(math.log(least), math.log(most))))
    n_cells = max(1, config.tokens // n_genes)
    return rng.choice(every, n_genes, replace=False), rng.choice(rows, n_cells, replace=n_cells > len(rows))


def draw(
    counts: Counts, rows: np.ndarray, config: PretrainConfig, step: int
) -> tuple[CellBatch, Bool[Tensor, "cell token"], Float[Tensor, "cell token"]]:
    """The batch of one step: what the model sees, which tokens are hidden, and their true values."""
    rng = np.random.default_rng([config.seed, step])
    genes, cells = drawn_sizes(rows, counts.matrix.get_shape()[1], config, rng)
    n_genes, n_cells = len(genes), len(cells)
    dense = torch.from_numpy(counts.matrix[cells].toarray()[:, genes].astype(np.float32))
    truth = model_input(dense, torch.from_numpy(counts.totals[cells]))
    share = rng.uniform(config.mask_low, config.mask_high, size=(n_cells, 1))
    hidden = torch.zeros(truth.shape, dtype=torch.bool)
    hidden[:, :n_genes] = torch.from_numpy(rng.random((n_cells, n_genes)) < share)
    gene = torch.cat([torch.from_numpy(genes), torch.full((truth.shape[1] - n_genes,), -1)])
    values = truth.masked_fill(hidden, -1.0)
    return CellBatch(values, gene, (gene >= 0).expand(truth.shape), torch.from_numpy(cells)), hidden, truth


def draw_split(counts: Counts, rows: np.ndarray, config: PretrainConfig, step: int) -> SplitDraw:
    """The batch of one step on split counts."""
    rng = np.random.default_rng([config.seed, step])
    genes, cells = drawn_sizes(rows, counts.matrix.get_shape()[1], config, rng)
    share = rng.uniform(config.split_low, config.split_high, size=len(cells))
    mask = rng.uniform(config.mask_low, config.mask_high, size=len(cells))
    return split_draw(counts.matrix[cells], counts.totals[cells], genes, share, mask, cells, 0.0, rng)


def masked_error(
    model: AidoCell, batch: CellBatch, hidden: Bool[Tensor, "cell token"], truth: Float[Tensor, "cell token"]
) -> Float[Tensor, ""]:
    """Mean squared error of the predicted log1p expression at hidden tokens, computed where the model lies."""
    batch, hidden, truth = batch.to(model.device), hidden.to(model.device), truth.to(model.device)
    last = model.n_layers - 1
    predicted = model.resume(batch, last, model.residual(batch, last)).expression
    assert predicted is not None, "resume of this family predicts expression or raises"
    n_genes = predicted.shape[1]  # depth tokens come last and are never hidden
    return (predicted.float() - truth[:, :n_genes])[hidden[:, :n_genes]].square().mean()


def learning_rate(config: PretrainConfig, step: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    share = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


def pretrain(
    adata: AnnData,
    genes: GeneTable,
    config: PretrainConfig,
    folder: Path,
    progress: Callable[[int, dict[str, float]], None] | None = None,
    device: torch.device | str = "cpu",
) -> AidoCell:
    """Train on ``adata`` (raw counts; columns in the order of ``genes``), continuing from a checkpoint in ``folder``.

    Writes ``checkpoint.safetensors`` and ``metrics.jsonl`` into ``folder`` as it goes. ``progress``
    is called after every step with the step's number and its latest figures. The model computes, and is returned, on
    ``device``; start and draws are made on the processor and are the same for all devices.

    Raises:
        ConfigError: the columns are not the genes of the list.
        CellsError: a cell has no counts.
        RunError: ``folder`` holds a checkpoint of other settings or other cells.
        DamagedError: the checkpoint cannot be read.

    >>> import cellprism as cp
    >>> from pathlib import Path
    >>> from cellprism.cells.genes import GeneTable
    >>> cells = cp.read_cells("bundled:pbmc68k", model=cp.load_model("pbmc2"))[:40, :50].copy()
    >>> genes = GeneTable(tuple(cells.var_names), tuple(cells.var["ensembl"]))
    >>> config = cp.PretrainConfig(layers=2, hidden=8, intermediate=8, steps=2, tokens=200)
    >>> cp.pretrain(cells, genes, config, Path("mine")).n_layers
    2
    """
    if tuple(adata.var_names) != genes.symbol:
        raise ConfigError("the columns of the cells are not the genes of the list, in its order; subset them first")
    counts = Counts.of(adata)
    train, held_out = held_out_cells(adata.n_obs, config.held_out, config.seed)
    model = fresh_model(config, genes, counts, train).to(device).train()
    model.compute_dtype = torch.float32  # what is left to ``bf16``, on a GPU too
    learned = [p for p in model.parameters() if p.requires_grad]
    matrices, others = [p for p in learned if p.ndim > 1], [p for p in learned if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}],
        betas=(0.9, config.second_moment), fused=True,
    )  # fmt: skip
    average = {name: p.detach().clone() for name, p in model.state_dict().items()}
    identity = {"config": asdict(config), "genes": list(genes.symbol), "counts": counts.fingerprint()}
    done = load_state(folder, model, optimiser, average, identity)
    figures: dict[str, float] = {}
    for step in range(done, config.steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(config, step)
        with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=config.bf16):
            loss, penalty = _loss(model, counts, train, config, step)
        (loss + penalty).backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        _follow(average, model, min(config.average, (step + 1) / (step + 10)))
        figures["loss"] = loss.item()
        if config.dimension:
            figures["flatness"] = penalty.item() / config.dimension
        if (step + 1) % config.report_every == 0 or step + 1 == config.steps:
            figures[HELD_OUT[config.objective]] = _held_out_loss(model, average, counts, held_out, config)
            record(folder, {"step": step + 1, **figures})
            save_state(folder, step + 1, model, optimiser, average, identity)
        if progress is not None:
            progress(step + 1, figures)
    model.load_state_dict(average)
    model.compute_dtype = None
    return model.eval().requires_grad_(False)


def _follow(average: dict[str, Tensor], model: AidoCell, decay: float) -> None:
    with torch.no_grad():
        for name, value in model.state_dict().items():
            average[name].lerp_(value, 1 - decay)


def _loss(
    model: AidoCell, counts: Counts, rows: np.ndarray, config: PretrainConfig, step: int
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Loss of one step's draw, and the penalty that is added to it."""
    if config.objective == "split":
        return split_loss(model, draw_split(counts, rows, config, step), config.dimension_block, config.dimension)
    loss = masked_error(model, *draw(counts, rows, config, step))
    return loss, torch.zeros_like(loss)


def _held_out_loss(
    model: AidoCell, average: dict[str, Tensor], counts: Counts, rows: np.ndarray, config: PretrainConfig
) -> float:
    """Loss of the averaged weights on held-out cells, over draws that are the same at every call."""
    follower = deepcopy(model)  # a new network would draw from the caller's random numbers
    follower.load_state_dict(average)
    follower.eval().requires_grad_(False)
    draws: Iterator[int] = iter(range(10_000_000, 10_000_016))
    return float(np.mean([_loss(follower, counts, rows, config, step)[0].item() for step in draws]))
