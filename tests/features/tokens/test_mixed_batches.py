import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from cellprism.errors import ConfigError
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.features.tokens.mixed_batches import CellStream, windows
from cellprism.sae.stream import Stream, Vectors
from features.conftest import CELLS, D_MODEL, GENES, LAYER, dense_residuals, make_cells, make_model
from features.latent import LatentModel
from features.tokens.test_cell_tokens import BYTES, Counting, whole

BATCH = 23
SOME = 10 * GENES * BYTES  # room for ten of the seventeen cells
MEMORY = pytest.mark.parametrize("memory", [1 << 30, SOME], ids=["kept", "in windows"])
POLICY = pytest.mark.parametrize("policy", ["present", "expressed", "weighted"])


def make_stream(model, cells, memory=1 << 30, policy="present", **settings) -> CellStream:
    source = CellTokens(model, cells, [LAYER], policy, memory, batch_size=4)
    return CellStream(source, [(LAYER, None)], **{"batch_size": BATCH, "seed": 5, **settings})


def _take(stream: CellStream, start: int, count: int):
    return list(itertools.islice(stream.tokens_from(start), count))


def _keys(batches) -> list[tuple[int, int]]:
    return [key for b in batches for key in zip(b.cell.tolist(), b.gene.tolist(), strict=True)]


def test_it_is_a_stream(model, cells):
    assert isinstance(make_stream(model, cells), Stream)


@MEMORY
@POLICY
def test_every_epoch_has_every_token_in_even_batches(model, cells, memory, policy):
    stream = make_stream(model, cells, memory, policy)
    steps = stream.n_steps(1)
    assert stream.n_steps(3) == pytest.approx(3 * steps, abs=3)
    first, rest = _take(stream, 0, steps), _take(stream, steps, stream.n_steps(2) - steps)
    everything = sorted(_keys(stream.source.in_order()))
    for epoch in (first, rest):
        keys = _keys(epoch)
        assert len(keys) == len(everything)
        if policy == "weighted":
            assert set(keys) < set(everything)
        else:
            assert sorted(keys) == everything
            assert keys != everything
        sizes = [len(b.gene) for b in epoch]
        assert max(sizes) <= BATCH
    assert _keys(first) != _keys(rest)
    if stream.source.fits:
        assert max(map(len, (b.gene for b in first))) - min(map(len, (b.gene for b in first))) <= 1


@MEMORY
def test_tokens_keep_their_residuals(model, cells, memory):
    stream = make_stream(model, cells, memory)
    x = dense_residuals(model, cells)
    column = {model.genes.index(g): i for i, g in enumerate(cells.var_names)}
    for held, vectors in zip(_take(stream, 0, 40), itertools.islice(stream.from_step(0), 40), strict=True):
        expected = x[held.cell.long(), [column[g] for g in held.gene.tolist()]]
        torch.testing.assert_close(vectors.x, expected, rtol=1e-4, atol=1e-5)
        assert vectors.group.tolist() == held.gene.tolist()
        assert vectors.group.dtype == torch.long
        assert vectors.target is None


@MEMORY
@POLICY
@pytest.mark.parametrize("batch_cells", [None, 3])
def test_reading_from_any_step_gives_the_same_bits(cells, memory, policy, batch_cells):
    model = make_model(True)
    settings = {"memory": memory, "policy": policy, "batch_cells": batch_cells}
    stream = make_stream(model, cells, **settings)
    steps = stream.n_steps(2) + 3
    whole = _take(stream, 0, steps)
    fresh = make_stream(model, cells, **settings)
    for start in (0, 1, stream.n_steps(1) - 1, stream.n_steps(1), steps - 2):
        for ours, theirs in zip(_take(fresh, start, steps - start), whole[start:], strict=True):
            assert all(torch.equal(a, b) for a, b in zip(ours.tensors(), theirs.tensors(), strict=True))


def test_going_on_reads_only_the_window_it_is_in(cells):
    counting = Counting(make_model(True))
    stream = make_stream(counting, cells, SOME)
    parts = windows(stream.source, 5, 0)
    assert len(parts) > 1
    next(stream.tokens_from(stream.n_steps(1) - 1))
    assert counting.cells == len(parts[-1])


def test_steps_are_counted_without_running_the_model(cells):
    counting = Counting(make_model(True))
    stream = make_stream(counting, cells, SOME, "expressed")
    tokens = (cells.X.toarray() > 0).sum()
    assert stream.n_steps(1) >= tokens / BATCH
    assert counting.cells == 0


@POLICY
def test_windows_fit_into_memory_and_are_about_equal(policy):
    source = CellTokens(make_model(True), make_cells(211), [LAYER], policy, memory=20 * GENES * BYTES)
    parts = windows(source, 0, 0)
    sizes = [source.counts[part].sum() for part in parts]
    assert max(sizes) <= source.capacity
    assert min(sizes) > 0.8 * max(sizes)
    assert sorted(np.concatenate(parts).tolist()) == list(range(211))


def test_the_seed_decides_the_order(model, cells):
    first, again, other = (_keys(_take(make_stream(model, cells, seed=s), 0, 9)) for s in (0, 0, 1))
    assert first == again != other


@MEMORY
def test_whole_cells_as_batches(model, cells, memory):
    stream = make_stream(model, cells, memory, batch_cells=3)
    assert stream.n_steps(1) == -(-CELLS // 3)
    epoch = _take(stream, 0, stream.n_steps(1))
    assert sorted(c for b in epoch for c in set(b.cell.tolist())) == list(range(CELLS))
    assert {len(b.gene) for b in epoch} == {2 * GENES, 3 * GENES}
    assert all(set(Counter(b.cell.tolist()).values()) == {GENES} for b in epoch)
    assert [set(b.cell.tolist()) for b in epoch] != [set(b.cell.tolist()) for b in _take(stream, len(epoch), 6)]


def test_several_readings_see_the_same_tokens(model, cells):
    source = CellTokens(model, cells, [0, 1, 2])
    stream = CellStream(source, [(1, None), (0, 2), (0, None)], BATCH)
    batch = next(stream.from_step(3))
    alone = next(CellStream(source, [(1, None)], BATCH).from_step(3))
    assert isinstance(batch, dict)
    assert list(batch) == [0, 1, 2]
    assert torch.equal(batch[0].x, alone.x)
    assert batch[0].target is None
    assert batch[2].target is None
    assert torch.equal(batch[1].x, batch[2].x)
    assert batch[1].target.shape == batch[1].x.shape
    assert not torch.equal(batch[1].target, batch[1].x)
    assert all(torch.equal(vectors.group, alone.group) for vectors in batch.values())
    in_order = [b[1].target for b in stream.in_order()]
    assert sum(map(len, in_order)) == CELLS * GENES


def test_tokens_that_are_no_genes_have_no_group(cells):
    stream = make_stream(LatentModel(cells), cells)
    batch = next(stream.from_step(0))
    assert isinstance(batch, Vectors)
    assert batch.group is None
    assert batch.x.shape == (CELLS, D_MODEL)


def test_the_identity_tells_streams_apart(model, cells):
    streams = [
        make_stream(model, cells),
        make_stream(model, cells, seed=6),
        make_stream(model, cells, batch_size=11),
        make_stream(model, cells, batch_cells=2),
        make_stream(model, cells, memory=SOME),
        make_stream(model, cells, policy="expressed"),
        make_stream(model, cells[:13]),
    ]
    assert len({stream.identity for stream in streams}) == len(streams)
    assert make_stream(model, cells.copy(), memory=1 << 29).identity == streams[0].identity


def test_memory_for_too_few_cells_is_refused_with_what_is_needed(cells):
    stream = make_stream(make_model(True), cells, 7 * GENES * BYTES)
    with pytest.raises(ConfigError, match=f"at least 8 cells at a time; raise memory to {8 * GENES * BYTES:,} or more"):
        stream.n_steps(1)
    assert make_stream(make_model(True), cells, 8 * GENES * BYTES).n_steps(1) > 0
    assert make_stream(make_model(True), cells, 7 * GENES * BYTES, batch_cells=2).n_steps(1) == 9


def _random_mixing(counts, batch: int, batches: int) -> tuple[float, float]:
    """Share of the most frequent cell and number of distinct cells in batches drawn at random from all tokens."""
    rng = np.random.default_rng(0)
    drawn = rng.multivariate_hypergeometric(counts, batch, size=batches)
    return float((drawn.max(1) / batch).mean()), float((drawn > 0).sum(1).mean())


def _mixing(batches) -> tuple[float, float]:
    share = [max(Counter(b.cell.tolist()).values()) / len(b.cell) for b in batches]
    return float(np.mean(share)), float(np.mean([len(b.cell.unique()) for b in batches]))


@pytest.mark.parametrize("windowed", [None, 50], ids=["kept", "windows of a quarter of the cells"])
@pytest.mark.parametrize("policy", ["present", "expressed"])
def test_batches_are_mixed_across_cells_as_if_drawn_at_random(windowed, policy):
    cells, batch = make_cells(199), 97
    memory = 1 << 30 if windowed is None else windowed * GENES * BYTES
    stream = make_stream(make_model(True), cells, memory, policy, batch_size=batch)
    share, distinct = _mixing(_take(stream, 0, stream.n_steps(2)))
    parts = windows(stream.source, 5, 0)
    assert len(parts) == 1 if windowed is None else len(parts) > 3
    expected_share, expected_distinct = _random_mixing(stream.source.counts[parts[0]], batch, 1001)
    assert share < 1.1 * expected_share
    assert distinct > 0.95 * expected_distinct
    in_order = whole(stream.source.in_order())
    unmixed = [in_order.take(np.arange(at, at + batch)) for at in range(0, len(in_order.gene) - batch, batch)]
    unmixed_share, unmixed_distinct = _mixing(unmixed)
    assert unmixed_share > 4 * share
    assert unmixed_distinct < 0.2 * distinct
