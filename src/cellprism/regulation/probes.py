"""What a model predicts of hidden genes when the input of others is set: doses, deletions, committees.

Notable choices

- A gene's prediction is read where the gene is hidden, so that what moves it came from other genes. Genes fall into
  ``FOLDS`` parts that are hidden one after the other; the gene whose input is set is shown in all of them.
- Forward and reverse are entries of one table, read under the same rule: neither direction sees more of the cell.
- Doses are the model's own input values, at quantiles of what the cells themselves have; 0 is no count.
- Rows that change nothing are the baseline, and are not run. Where the model can leave out what nobody asks for
  (``ReadsSomeGenes``), its last block answers the hidden genes alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cellprism.cells.totals import TOTAL
from cellprism.errors import ModelError
from cellprism.types import CellBatch, CellModel, HidesGenes, ReadsSomeGenes

FOLDS = 2
FIRST = 0  # any block would do: the whole pass is run
Step = Callable[[int], None]
"""Told how many rows have gone through the model."""


def lacks_probe(model: CellModel) -> str:
    """Why inputs of a model cannot be set and hidden genes read; empty where they can."""
    if model.tokens != "genes" or model.predicts != "expression":
        return f"{model.name!r} does not predict amounts of genes that it reads one by one, so no input can be set."
    if not isinstance(model, HidesGenes):
        return f"{model.name!r} has no value for a hidden gene, so that no gene can be read where only others are seen."
    return ""


def shown_cells(model: CellModel, cells: AnnData, genes: Sequence[str]) -> CellBatch:
    """Some cells with some genes alone, as the model reads them; where it fills in absent genes, with all.

    Raises:
        ModelError: cells have genes of their own each, so that no gene has one place.
    """
    batch = next(iter(model.batches(cells[:1], 1)))
    if batch.gene.ndim != 1:
        raise ModelError(
            f"{model.name!r} reads other genes in every cell; inputs are set for models that read the same"
        )
    few = totalled(cells)[:, list(genes)].copy()
    found = next(iter(model.batches(few, few.n_obs)))
    if int((found.gene >= 0).sum()) > len(
        genes
    ):  # absent genes are zeros there, which says that they are not expressed
        return next(iter(model.batches(cells.copy(), cells.n_obs)))
    return found


def input_doses(
    model: CellModel, cells: AnnData, genes: Sequence[str], quantiles: Sequence[float], size: int
) -> Float[np.ndarray, "gene dose"]:
    """Input values of each gene at quantiles of the cells that express it; NaN where none does."""
    some = totalled(cells)[:, list(genes)].copy()
    counts: Any = some.X
    kept = np.asarray(counts.sum(axis=1)).ravel() > 0
    parts = [batch.values[:, _tokens(model, batch, genes)] for batch in model.batches(some[kept].copy(), size)]
    values = torch.cat(parts).double().cpu().numpy()
    values[values <= 0] = np.nan
    found = np.full((len(genes), len(quantiles)), np.nan)
    there = ~np.isnan(values).all(axis=0)
    found[there] = np.nanquantile(values[:, there], quantiles, axis=0).T
    return found


def totalled(cells: AnnData) -> AnnData:
    """The cells with their totals over all genes, so that some of the genes can be taken out."""
    if TOTAL in cells.obs:
        return cells
    found, counts = cells.copy(), cast(Any, cells.X)
    found.obs[TOTAL] = np.asarray(counts.sum(axis=1)).ravel()
    return found


def folds_of(genes: Sequence[str], seed: int, folds: int = FOLDS) -> Int[np.ndarray, " gene"]:
    """The part of each gene, equal in size and drawn at random."""
    return np.random.default_rng([seed, 71]).permutation(np.arange(len(genes)) % folds)


@dataclass(frozen=True)
class Rows:
    """What goes through the model: cells with some inputs set."""

    cell: Int[np.ndarray, " row"]
    at: Int[np.ndarray, "row change"]
    """Which of the sources are set; -1 for none."""
    value: Float[np.ndarray, "row change"]

    def some(self, rows: Int[np.ndarray, " some"]) -> "Rows":
        """Some of them."""
        return Rows(self.cell[rows], self.at[rows], self.value[rows])


class Probe:
    """Some cells, some genes whose input is set and some that are read.

    Args:
        model: one that ``lacks_probe`` has nothing against.
        batch: the cells, from ``shown_cells``.
        sources: genes whose input may be set.
        reads: genes that are read.
        fold: the part of each gene that is read.
        size: rows a pass.
    """

    def __init__(
        self,
        model: CellModel,
        batch: CellBatch,
        sources: Sequence[str],
        reads: Sequence[str],
        fold: Int[np.ndarray, " read"],
        size: int,
    ):
        self.model, self.batch, self.fold, self.size = model, batch, fold, size
        self.sources, self.reads = list(sources), list(reads)
        self.source_token = _tokens(model, batch, sources)
        self.read_token = _tokens(model, batch, reads)
        self.own = batch.values[:, self.source_token].double().cpu().numpy()  # [cell source]
        self.read_of_source = pd.Index(self.reads).get_indexer(pd.Index(self.sources))  # -1: not read
        self.n_cells = len(batch.values)

    def read(self, rows: Rows, step: Step = lambda done: None) -> Float[np.ndarray, "row read"]:
        """What is predicted of every gene that is read, in the pass that hides its part; NaN where its own input is
        set."""
        said = np.full((len(rows.cell), len(self.reads)), np.nan, dtype=np.float32)
        for number in np.unique(self.fold):
            columns = np.flatnonzero(self.fold == number)
            same = self._changes_nothing(rows, columns)
            cells, which = np.unique(rows.cell[same], return_inverse=True)
            if len(cells):
                nothing = Rows(cells, np.full((len(cells), 1), -1), np.zeros((len(cells), 1)))
                said[np.ix_(same, columns)] = self._passes(nothing, columns)[which]
            said[np.ix_(~same, columns)] = self._passes(rows.some(np.flatnonzero(~same)), columns, step)
            step(int(same.sum()))
        row, change = np.nonzero(rows.at >= 0)
        read = self.read_of_source[rows.at[row, change]]
        said[row[read >= 0], read[read >= 0]] = np.nan
        return said

    def _changes_nothing(self, rows: Rows, columns: Int[np.ndarray, " some"]) -> Bool[np.ndarray, " row"]:
        """Rows whose inputs are the cells' own, while these genes are hidden."""
        shown = ~np.isin(self.read_of_source, columns)
        alike = self.own[rows.cell[:, None], rows.at] == rows.value
        return ((rows.at < 0) | (alike & shown[rows.at])).all(axis=1)

    def _passes(
        self, rows: Rows, columns: Int[np.ndarray, " some"], step: Step = lambda done: None
    ) -> Float[np.ndarray, "row some"]:
        said = np.empty((len(rows.cell), len(columns)), dtype=np.float32)
        for start in range(0, len(rows.cell), self.size):
            part = np.arange(start, min(start + self.size, len(rows.cell)))
            said[part] = self._pass(rows.some(part), columns)
            step(len(part))
        return said

    @torch.no_grad()
    def _pass(self, rows: Rows, columns: Int[np.ndarray, " some"]) -> Float[np.ndarray, "row some"]:
        """One pass, which hides the genes ``columns`` but those that are set."""
        assert isinstance(self.model, HidesGenes), "lacks_probe says so"
        batch, device = self.batch, self.batch.values.device
        shown = _rows_of(batch, torch.from_numpy(rows.cell).to(device))
        tokens = torch.from_numpy(self.read_token[columns]).to(device)
        hidden = torch.zeros(shown.values.shape, dtype=torch.bool, device=device)
        hidden[:, tokens] = True
        row, change = np.nonzero(rows.at >= 0)
        place = (torch.from_numpy(row).to(device), torch.from_numpy(self.source_token[rows.at[row, change]]).to(device))
        values = shown.values.clone()
        values[place] = torch.from_numpy(rows.value[row, change]).to(values)
        hidden[place] = False
        shown = self.model.mask(replace(shown, values=values), hidden)
        return said_at(self.model, shown, FIRST, self.model.residual(shown, FIRST), tokens)

    def single(self, doses: Float[np.ndarray, "source dose"]) -> tuple[Rows, Int[np.ndarray, "cell source dose"]]:
        """Rows in which one source at a time is at 0, at its own value, and at each dose; and where each is among
        them. A source without a dose, or whose own value is 0, shares the row of 0."""
        n_cells, n_sources = self.own.shape
        own = np.where(self.own > 0, self.own, 0.0)
        values = np.concatenate(
            [np.zeros((n_cells, n_sources, 1)), own[..., None], doses[None] + 0 * own[..., None]], 2
        )
        values = np.nan_to_num(values)
        cell, source, dose = (i.ravel() for i in np.indices(values.shape))
        zero = (values.ravel() == 0) & (dose > 0)
        kept = np.flatnonzero(~zero)
        number = np.full(values.size, -1)
        number[kept] = np.arange(len(kept))
        number = number.reshape(values.shape)
        number = np.where(number < 0, number[..., :1], number)
        return Rows(cell[kept], source[kept][:, None], values.ravel()[kept][:, None]), number


@dataclass(frozen=True)
class InputEffects:
    """What setting one input does to what is predicted of others, a mean over some cells."""

    dose: Float[np.ndarray, "dose source read"]
    """Prediction at each dose minus that at 0."""
    deletion: Float[np.ndarray, "source read"]
    """Prediction at the cell's own value minus that at 0, over the cells that express the source; NaN where none
    does."""


def input_effects(
    probe: Probe, doses: Float[np.ndarray, "source dose"], step: Step = lambda done: None
) -> InputEffects:
    """Doses and deletions of every source, on average over the probe's cells."""
    rows, number = probe.single(doses)
    said = probe.read(rows, step)
    zero = said[number[:, :, 0]]
    with np.errstate(invalid="ignore"):
        dose = np.stack([(said[number[:, :, 2 + d]] - zero).mean(axis=0) for d in range(doses.shape[1])])
        expressed = probe.own > 0
        moved = np.where(expressed[..., None], said[number[:, :, 1]] - zero, 0).sum(axis=0)
    dose[:, np.isnan(doses).any(axis=1)] = np.nan
    count = expressed.sum(axis=0)[:, None]
    return InputEffects(dose, np.where(count > 0, moved / np.maximum(count, 1), np.nan))


def committee_effects(
    probe: Probe, sets: Int[np.ndarray, "set member"], doses: Float[np.ndarray, " source"], read: int
) -> Float[np.ndarray, " set"]:
    """What is predicted of one gene when the members of a set are raised together, minus what is at 0 of all of them;
    a mean over the probe's cells. -1 in a set is nobody."""
    n = probe.n_cells
    cell, number = np.repeat(np.arange(n), len(sets)), np.tile(np.arange(len(sets)), n)
    at = sets[number]
    high = np.where(at >= 0, np.nan_to_num(doses)[np.maximum(at, 0)], 0.0)
    one = Probe(probe.model, probe.batch, probe.sources, [probe.reads[read]], np.zeros(1, dtype=int), probe.size)
    said = [one.read(Rows(cell, at, value))[:, 0].reshape(n, -1) for value in (high, np.zeros_like(high))]
    return (said[0] - said[1]).mean(axis=0)


def said_at(
    model: CellModel, batch: CellBatch, layer: int, x: Float[Tensor, "row token d_model"], tokens: Int[Tensor, " some"]
) -> Float[np.ndarray, "row some"]:
    """What is predicted at some tokens."""
    if isinstance(model, ReadsSomeGenes):
        said = model.resume_at(batch, layer, x, tokens).expression
        assert said is not None, "it predicts expression"
        return said.float().cpu().numpy()
    said = model.resume(batch, layer, x).expression
    assert said is not None, "it predicts expression"
    among = torch.cumsum((batch.gene >= 0).long(), 0) - 1  # the output has the tokens that are genes
    return said[:, among[tokens]].float().cpu().numpy()


def _tokens(model: CellModel, batch: CellBatch, genes: Sequence[str]) -> Int[np.ndarray, " gene"]:
    """Place of each gene in a batch."""
    place = {model.genes[g]: i for i, g in enumerate(batch.gene.tolist()) if g >= 0}
    found = np.array([place.get(gene, -1) for gene in genes], dtype=np.int64)
    assert (found >= 0).all(), "the cells were cut to the panel"
    return found


def _rows_of(batch: CellBatch, rows: Int[Tensor, " row"]) -> CellBatch:
    """Rows of a batch, as many times as asked."""
    inputs = None if batch.inputs is None else batch.inputs[rows]
    return CellBatch(batch.values[rows], batch.gene, batch.present[rows], batch.cell[rows], inputs)
