import numpy as np
import pytest
import torch

from cellprism.errors import ConfigError, InputError, ModelError
from cellprism.features.tokens import SiteTokens, Tokens, joined, residual_tokens, shuffled
from features.conftest import CELLS, D_MODEL, GENES, LAYER, dense_residuals, make_cells, make_model

BYTES = 4 * D_MODEL  # of one token


def _keys(tokens: Tokens) -> list[tuple[int, int]]:
    return list(zip(tokens.cell.tolist(), tokens.gene.tolist(), strict=True))


def test_every_present_gene_of_every_cell_comes_once_with_its_residual(model, cells):
    whole = joined(residual_tokens(model, cells, LAYER, batch_size=5))
    expected = [(c, model.genes.index(g)) for c in range(CELLS) for g in cells.var_names]
    assert _keys(whole) == expected
    torch.testing.assert_close(whole.x, dense_residuals(model, cells).flatten(0, 1), rtol=1e-4, atol=1e-5)


def test_a_layer_that_does_not_exist_is_refused(model, cells):
    with pytest.raises(ModelError, match="layer 3 does not exist"):
        next(residual_tokens(model, cells, 3))


def test_no_cells_are_an_error(model, cells):
    with pytest.raises(InputError, match="the AnnData has 0 rows"):
        next(residual_tokens(model, cells[:0], LAYER))


@pytest.mark.parametrize("buffer", [22, 97, 10_000], ids=["two batches", "some", "all"])
def test_shuffling_keeps_every_token_and_its_residual(model, cells, buffer):
    whole = joined(residual_tokens(model, cells, LAYER))
    mixed = list(shuffled(residual_tokens(model, cells, LAYER, 3), buffer, 11, seed=0))
    assert all(len(t.x) == 11 for t in mixed[:-1])
    out = joined(mixed)
    assert sorted(_keys(out)) == _keys(whole)
    assert _keys(out) != _keys(whole)
    place = {key: i for i, key in enumerate(_keys(whole))}
    order = [place[key] for key in _keys(out)]
    torch.testing.assert_close(out.x, whole.x[order], rtol=1e-4, atol=1e-5)


def test_shuffling_depends_on_the_seed_alone(model, cells):
    def order(seed: int) -> list[tuple[int, int]]:
        return _keys(joined(shuffled(residual_tokens(model, cells, LAYER), 97, 11, seed)))

    assert order(0) == order(0)
    assert order(0) != order(1)


def test_a_buffer_must_hold_two_batches(model, cells):
    with pytest.raises(ConfigError, match="a buffer of 21 tokens is too small for batches of 11"):
        next(shuffled(residual_tokens(model, cells, LAYER), 21, 11, seed=0))


def test_an_empty_stream_stays_empty():
    assert list(shuffled([], 22, 11, seed=0)) == []


def _distinct_cells(batches) -> float:
    """Mean number of cells in a batch, the last (shorter) batch left out."""
    return float(np.mean([len(t.cell.unique()) for t in list(batches)[:-1]]))


@pytest.mark.parametrize(
    ("memory", "least"), [(1 << 30, 40), (4 * 600 * BYTES, 15)], ids=["kept in memory", "through a buffer"]
)
def test_a_batch_is_not_one_cells_genes(memory, least):
    model, cells, batch = make_model(True), make_cells(101), 64
    in_order = SiteTokens(model, cells, LAYER, memory)
    assert _distinct_cells(_cut(joined(in_order), batch)) < 4
    assert _distinct_cells(in_order.epoch(batch, 0)) > least


def _cut(whole: Tokens, batch: int) -> list[Tokens]:
    return [Tokens(*parts) for parts in zip(*(t.split(batch) for t in whole), strict=True)]


@pytest.mark.parametrize("memory", [1 << 30, 100 * BYTES], ids=["kept in memory", "through a buffer"])
def test_an_epoch_has_every_token_once_and_the_next_another_order(model, cells, memory):
    tokens = SiteTokens(model, cells, LAYER, memory, batch_size=5)
    whole = joined(tokens)
    first, second = joined(tokens.epoch(11, 0)), joined(tokens.epoch(11, 1))
    assert sorted(_keys(first)) == _keys(whole) == sorted(_keys(second))
    assert _keys(first) != _keys(second)
    place = {key: i for i, key in enumerate(_keys(whole))}
    torch.testing.assert_close(first.x, whole.x[[place[k] for k in _keys(first)]], rtol=1e-4, atol=1e-5)


class Counting:
    """The model, with a count of the cells that were run."""

    def __init__(self, model):
        self.model, self.cells = model, 0

    def __getattr__(self, name):
        return getattr(self.model, name)

    def residual(self, batch, layer):
        self.cells += len(batch.values)
        return self.model.residual(batch, layer)


@pytest.mark.parametrize(
    ("memory", "runs"), [(CELLS * GENES * BYTES, 1), (CELLS * GENES * BYTES - 1, 3)], ids=["fits", "does not"]
)
def test_the_model_runs_once_where_the_residuals_fit_into_memory(cells, memory, runs):
    counting = Counting(make_model(True))
    tokens = SiteTokens(counting, cells, LAYER, memory)
    assert sum(len(t.x) for t in tokens) == CELLS * GENES
    for seed in range(2):
        assert sum(len(t.x) for t in tokens.epoch(11, seed)) == CELLS * GENES
    assert counting.cells == runs * CELLS
