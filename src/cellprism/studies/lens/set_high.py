"""What a model predicts when a feature is set high in all cells.

Notable choices

- High is the 99th percentile of the feature's activation over the cells, at each place by itself: a model that reads a
  cell as a whole has one, as in Schuster 2025; where tokens are genes, each gene's token gets what it has in cells in
  which the feature is high there, and most stay as they are.
- The feature is judged on its differential genes, those that are high where it is high, minus other genes of which the
  model predicts as much. There is no test over cells: the model is deterministic, and any edit would pass one.
- It stands beside features of dictionaries that nobody trained, read by the same rules from the same cells, those most
  alike in firing, size of the edit, length and level of their lists, each set high on its own genes with an edit of
  the same size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.equations.ratio import varies
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.dose_cells import DoseCells
from cellprism.steering.intervene import SiteCells
from cellprism.steering.response import GeneGroup
from cellprism.steering.settings import LEAST_CELLS
from cellprism.steering.site_cache import Residuals, SiteCache

PER_GENE = 5  # other genes of the same level beside each


@dataclass(frozen=True)
class Candidate:
    """A feature of some dictionary that could stand beside one that is set high."""

    dictionary: int
    feature: int
    term: str
    """The term that it is the best feature for; empty where it has none."""
    genes: Sequence[str]
    """Its differential genes."""


@dataclass(frozen=True, eq=False)
class SetHigh:
    """What setting one feature high does."""

    effect: Float[np.ndarray, " gene"]
    """Mean change of each gene of the cache."""
    own: Int[np.ndarray, " some"]
    """Places of its differential genes."""
    response: float
    """Mean effect on these minus that on other genes of the same level."""
    edit_norm: float
    """Frobenius norm of the edit over all rows."""
    ratio: float
    """The same over the norm of the residuals."""
    controls: list[tuple[Candidate, float]]
    """Features of random dictionaries with their own responses."""


def activation_at(cells: SiteCells, feature: int) -> Float[Tensor, "row token"]:
    """Activation of one feature at every token of some cells."""
    rows, tokens = cells.batch.present.shape
    value = torch.where(cells.code.features == feature, cells.code.values, 0).sum(dim=1)
    return value.view(rows, tokens)


def high_level(cache: SiteCache, feature: int, quantile: float) -> Float[Tensor, " place"]:
    """Quantile of a feature's activation over the rows that have a present token at each place; 0 where none has."""
    every = [activation_at(cells, feature).double().cpu() for cells in cache.take(np.arange(cache.n_cells))]
    values, present = torch.cat(every).numpy(), cache.present.cpu().numpy()
    if present.all() and cache.whole.gene.ndim == 1:
        level = np.quantile(values, quantile, axis=0)
    else:
        places = cache.places(cache.rows(np.arange(cache.n_cells))).cpu().numpy()
        table = pd.Series(values[present]).groupby(places[present]).quantile(quantile)
        level = np.zeros(cache.n_places)
        level[table.index.to_numpy()] = table.to_numpy()
    return torch.from_numpy(level).to(cache.W_dec)


def set_to(cache: SiteCache, feature: int, level: Float[Tensor, " place"], scale: float = 1.0) -> Residuals:
    """Residual streams of all cells with a feature's activation set to a level at present tokens.

    Formula: x + scale (level - z) w at every present token.
    """
    for cells in cache.take(np.arange(cache.n_cells)):
        rows = cache.rows(cache.cells_of(cells.batch).cpu().numpy())
        move = (level[cache.places(rows)] - activation_at(cells, feature)) * cells.batch.present
        yield cells.batch, cells.x + (scale * move)[..., None].to(cells.x) * cache.W_dec[feature].to(cells.x)


def edit_norm(cache: SiteCache, feature: int, level: Float[Tensor, " place"]) -> float:
    """Frobenius norm of ``set_to`` over all rows."""
    total = 0.0
    for cells in cache.take(np.arange(cache.n_cells)):
        rows = cache.rows(cache.cells_of(cells.batch).cpu().numpy())
        move = (level[cache.places(rows)] - activation_at(cells, feature)) * cells.batch.present
        total += float(move.double().square().sum())
    return float(np.sqrt(total) * cache.W_dec[feature].double().norm())


@torch.no_grad()
def set_high(
    dose_cells: DoseCells,
    feature: int,
    genes: Sequence[str],
    quantile: float,
    by_dictionary: Sequence[DoseCells],
    candidates: Sequence[Candidate],
    controls: int,
) -> SetHigh | None:
    """Set a feature high in all cells, and the controls most like it; None where none of its genes is predicted, or
    nothing is left to be set.

    Args:
        dose_cells: the cells as the feature's autoencoder reads them.
        feature: its number.
        genes: its differential genes, high where it is.
        quantile: what high is.
        by_dictionary: the same cells as random dictionaries read them.
        candidates: features of these.
        controls: how many of them to set high.
    """
    cache, own = dose_cells.cache, _places(dose_cells, genes)
    level = high_level(cache, feature, quantile)
    norm = edit_norm(cache, feature, level)
    if not own.size or not norm > 0:
        return None
    effect = dose_cells.effect(set_to(cache, feature, level)).read
    group = GeneGroup.of(own, own, dose_cells.level, PER_GENE)
    beside = []
    for one in _matched(dose_cells, by_dictionary, feature, own, candidates):
        response = _control(by_dictionary[one.dictionary], one, quantile, norm)
        if response is not None:
            beside.append((one, response))
        if len(beside) == controls:
            break
    size = float(np.sqrt(dose_cells.residual_squares.sum()))
    return SetHigh(effect, own, group.response(effect), norm, norm / size if size else np.nan, beside)


def _control(read: DoseCells, one: Candidate, quantile: float, norm: float) -> float | None:
    """Response of a control's own genes to an edit of a given norm; None where it has nothing to be set to."""
    level = high_level(read.cache, one.feature, quantile)
    its_norm = edit_norm(read.cache, one.feature, level)
    if not its_norm > 0:
        return None
    own = _places(read, one.genes)
    group = GeneGroup.of(own, own, read.level, PER_GENE)
    effect = read.effect_at(set_to(read.cache, one.feature, level, norm / its_norm), group.genes)
    return group.response(effect)


def _matched(
    dose_cells: DoseCells,
    by_dictionary: Sequence[DoseCells],
    feature: int,
    own: Int[np.ndarray, " some"],
    candidates: Sequence[Candidate],
) -> list[Candidate]:
    """Candidates that fire in enough cells and whose genes are predicted, those most alike first."""
    found, measures = [], []
    for one in candidates:
        read, its = by_dictionary[one.dictionary], _places(dose_cells, one.genes)
        if its.size and read.rows(one.feature).size >= LEAST_CELLS:
            found.append(one)
            measures.append(_measures(read, one.feature, its))
    if not found:
        return []
    if not dose_cells.rows(feature).size:
        return found
    table: Float[np.ndarray, "candidate measure"] = np.array(measures)
    away = (table - np.array(_measures(dose_cells, feature, own))) / np.where(varies(table), table.std(axis=0), 1)
    return [found[i] for i in np.argsort((away**2).sum(axis=1), kind="stable")]


def _measures(read: DoseCells, feature: int, genes: Int[np.ndarray, " some"]) -> list[float]:
    """Logarithms of firing rate, size of the edit and length of the list, and the mean level of its genes."""
    logs = np.log([read.firing[feature], read.edit_size(feature), genes.size])
    return [*logs.tolist(), float(read.level[genes].mean())]


def _places(read: DoseCells, genes: Sequence[str]) -> Int[np.ndarray, " some"]:
    """Where genes stand in the cache; those that it has not are left out."""
    places = read.cache.genes.get_indexer(pd.Index(genes, dtype=object))
    return np.unique(places[places >= 0])


def dictionary_cells(dose_cells: DoseCells, dictionaries: Sequence[SparseAutoencoder]) -> list[DoseCells]:
    """The same cells as each of some dictionaries reads them."""
    return [dose_cells.read_by(dictionary) for dictionary in dictionaries]
