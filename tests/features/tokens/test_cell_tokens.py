from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData, read_h5ad

from cellprism.errors import ConfigError, InputError, ModelError
from cellprism.features.tokens.cell_tokens import CellTokens, Held
from features.conftest import CELLS, D_MODEL, GENES, LAYER, dense_residuals, make_cells, make_model
from features.latent import LatentModel

BYTES = 4 * D_MODEL + 16  # of one token at one layer


class Counting:
    """The model, with a count of the cells that were run."""

    residuals = None

    def __init__(self, model):
        self.model, self.cells = model, 0

    def __getattr__(self, name):
        return getattr(self.model, name)

    def residual(self, batch, layer):
        self.cells += len(batch.values)
        return self.model.residual(batch, layer)


def whole(parts) -> Held:
    parts = list(parts)
    x = tuple(torch.cat(layer) for layer in zip(*(p.x for p in parts), strict=True))
    return Held(x, torch.cat([p.gene for p in parts]), torch.cat([p.cell for p in parts]))


@pytest.mark.parametrize("memory", [1 << 30, 200 * BYTES], ids=["kept", "read again"])
def test_cells_can_be_read_in_any_selection(model, cells, memory):
    source = CellTokens(model, cells, [LAYER, 0], memory=memory, batch_size=3)
    rows = np.array([2, 3, 5, 7, 11, 13])
    held = source.read(rows)
    expected = dense_residuals(model, cells)[rows].flatten(0, 1)
    torch.testing.assert_close(held.x[0], expected, rtol=1e-4, atol=1e-5)
    assert held.x[1].shape == expected.shape
    assert not torch.equal(held.x[0], held.x[1])
    assert held.cell.tolist() == [c for c in rows for _ in range(GENES)]
    assert held.gene.tolist() == [model.genes.index(g) for _ in rows for g in cells.var_names]


@pytest.mark.parametrize("memory", [1 << 30, 200 * BYTES], ids=["kept", "read again"])
def test_in_order_gives_every_token_once(model, cells, memory):
    held = whole(CellTokens(model, cells, [LAYER], memory=memory, batch_size=5).in_order())
    torch.testing.assert_close(held.x[0], dense_residuals(model, cells).flatten(0, 1), rtol=1e-4, atol=1e-5)
    assert held.cell.tolist() == [c for c in range(CELLS) for _ in range(GENES)]


@pytest.mark.parametrize(
    ("memory", "runs"), [(CELLS * GENES * BYTES, 1), (CELLS * GENES * BYTES - 1, 3)], ids=["fits", "does not"]
)
def test_the_model_runs_once_where_the_residuals_fit_into_memory(cells, memory, runs):
    counting = Counting(make_model(True))
    source = CellTokens(counting, cells, [LAYER], memory=memory)
    assert counting.cells == 0  # counting tokens takes no forward pass
    assert len(source.read(np.arange(CELLS)).gene) == CELLS * GENES
    assert sum(len(part.gene) for _ in range(2) for part in source.in_order()) == 2 * CELLS * GENES
    assert counting.cells == runs * CELLS


def test_policies_are_counted_as_they_are_read(model, cells):
    expressed = (cells.X.toarray() > 0).sum(1)
    for policy in ("expressed", "weighted"):
        source = CellTokens(model, cells, [LAYER], policy)
        assert source.counts.tolist() == expressed.tolist()
        held = source.read(np.arange(CELLS))
        assert np.bincount(held.cell.numpy()).tolist() == expressed.tolist()
        assert (held.times is None) == (policy == "expressed")
    assert held.times.sum() == pytest.approx(expressed.sum(), rel=1e-5)


def test_reading_the_same_cells_gives_the_same_bits(model, cells):
    source = CellTokens(model, cells, [LAYER], memory=200 * BYTES, batch_size=4)
    rows = np.array([0, 1, 4, 9, 16])
    assert torch.equal(source.read(rows).x[0], source.read(rows).x[0])


def test_cells_may_be_dense_or_in_a_file(cells, tmp_path):
    model = make_model(True)
    there = whole(CellTokens(model, cells, [LAYER]).in_order())
    dense = AnnData(cells.X.toarray(), obs=cells.obs, var=cells.var)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    backed = read_h5ad(tmp_path / "cells.h5ad", backed="r")
    identity = CellTokens(model, cells, [LAYER]).identity
    for other in (dense, backed):
        source = CellTokens(model, other, [LAYER], memory=200 * BYTES, batch_size=5)
        torch.testing.assert_close(whole(source.in_order()).x[0], there.x[0], rtol=1e-4, atol=1e-5)
        assert torch.equal(source.read(np.array([3, 5])).cell.unique(), torch.tensor([3, 5], dtype=torch.int32))
        assert CellTokens(model, other, [LAYER]).identity == identity
    backed.file.close()


def test_the_identity_tells_everything_apart_that_decides_the_tokens(cells):
    model = make_model(True)
    changed, deeper, renamed = cells.copy(), cells.copy(), cells.copy()
    changed.X[0, 0] += 1
    deeper.obs["total_counts"] += 1
    renamed.obs_names = [f"other{i}" for i in range(CELLS)]
    identities = [
        CellTokens(model, cells, [LAYER]).identity,
        CellTokens(model.reinitialised(5), cells, [LAYER]).identity,
        CellTokens(model, cells, [0]).identity,
        CellTokens(model, cells, [LAYER], "expressed").identity,
        CellTokens(model, cells, [LAYER], batch_size=3).identity,
        *(CellTokens(model, other, [LAYER]).identity for other in (changed, deeper, renamed, cells[:11])),
    ]
    assert len(set(identities)) == len(identities)
    assert CellTokens(model, cells.copy(), [LAYER], memory=1 << 20).identity == identities[0]


def test_a_retrained_model_of_the_same_name_is_another(cells):
    model, other = make_model(True), make_model(True)
    with torch.no_grad():
        other.final_norm.weight[0] += 1
    assert (model.name, model.revision) == (other.name, other.revision)
    assert CellTokens(model, cells, [LAYER]).identity != CellTokens(other, cells, [LAYER]).identity


def test_what_a_latent_model_reads_counts_among_the_cells(cells):
    model, other = LatentModel(cells), LatentModel(cells)
    batches = model.batches
    other.batches = lambda adata, size: (replace(b, inputs=b.inputs + 1) for b in batches(adata, size))
    assert CellTokens(model, cells, [0]).identity != CellTokens(other, cells, [0]).identity
    without = AnnData(obs=cells.obs, var=cells.var)
    other.batches = lambda adata, size: batches(cells[adata.obs_names], size)
    assert CellTokens(other, without, [0]).counts.sum() == CELLS


def test_more_cells_than_are_taken_at_once():
    model, cells = make_model(True), make_cells(1543)
    source = CellTokens(model, cells, [LAYER], memory=99 * GENES * BYTES, batch_size=7)
    rows = np.sort(np.random.default_rng(0).permutation(1543)[:1201])
    held = source.read(rows)
    assert held.cell.unique_consecutive().tolist() == rows.tolist()
    some = [0, 500, 1200]
    x = held.x[0].view(len(rows), GENES, -1)[some]
    torch.testing.assert_close(x, dense_residuals(model, cells[rows[some]]), rtol=1e-4, atol=1e-5)


def test_tokens_of_a_latent_model_are_cells(cells):
    source = CellTokens(LatentModel(cells), cells, [0, 1])
    assert not source.are_genes
    assert source.counts.tolist() == [1] * CELLS
    assert [x.shape for x in source.read(np.arange(CELLS)).x] == [(CELLS, D_MODEL)] * 2


def test_what_cannot_be_read_is_refused(model, cells):
    with pytest.raises(ModelError, match="layer 3 does not exist"):
        CellTokens(model, cells, [LAYER, 3])
    with pytest.raises(InputError, match="the AnnData has 0 rows"):
        CellTokens(model, cells[:0], [LAYER])
    with pytest.raises(ConfigError, match="are no genes"):
        CellTokens(LatentModel(cells), cells, [0], "weighted")


class Silent(LatentModel):
    """None of its tokens is present."""

    def batches(self, adata, size):
        for batch in super().batches(adata, size):
            batch.present[:] = False
            yield batch


def test_cells_without_any_token_are_an_error(cells):
    assert sp.issparse(cells.X)
    with pytest.raises(InputError, match="no cell has a token that 'present' tokens could be taken from"):
        CellTokens(Silent(cells), cells, [0])


def test_where_residuals_go_is_said_before_they_are_made(model, cells, tmp_path, monkeypatch):
    size = CELLS * GENES * BYTES
    assert "take" in CellTokens(model, cells, [LAYER], memory=size).plan()
    assert CellTokens(model, cells, [LAYER], memory=size).plan(store=True).endswith("train.store = false does without")
    assert CellTokens(model, cells, [LAYER], memory=size - 1).plan().endswith("the model runs again in every pass")
    kept = CellTokens(model, cells, [LAYER], memory=size - 1, folder=tmp_path)
    assert f"they will be written into {tmp_path}" in kept.plan()
    monkeypatch.setattr(CellTokens, "on_disk", False)
    assert kept.plan().endswith("free: the model runs again in every pass")
