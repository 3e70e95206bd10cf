"""Dimensions on cells whose programs are planted, and on cells of the same margins that have none."""

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

from cellprism.cells.genes import GeneTable
from cellprism.models.aido.model import AidoCell
from cellprism.models.latent.scvi import ScviModel, ScviSizes
from cellprism.report.context import read_context
from cellprism.simulate.null_cells import poisson_cells
from cellprism.studies.blocks import page as module
from cellprism.studies.blocks.readings import read_blocks, same_tokens
from cellprism.studies.blocks.settings import BlocksSettings
from cellprism.studies.blocks.tables import Dimensions
from cellprism.studies.blocks.work import _of, _pooled, work
from cellprism.studies.study import studies
from studies.fit.test_work import bench

__all__ = ["bench"]
CELLS, GENES, PROGRAMS = 211, 53, 3


@pytest.fixture(scope="module")
def cells() -> AnnData:
    """Counts along three programs of different genes, equally strong."""
    rng = np.random.default_rng(0)
    activity, share = rng.normal(size=(CELLS, PROGRAMS)), np.zeros((PROGRAMS, GENES))
    for p in range(PROGRAMS):
        share[p, p * 17 : (p + 1) * 17] = 1
    counts = rng.poisson(6 * np.exp(0.6 * activity @ share)).astype(np.float32)
    adata = AnnData(sp.csr_matrix(counts))
    adata.var_names = [f"G{i}" for i in range(GENES)]
    return adata


def of_counts(cells: AnnData) -> Dimensions:
    """As the study counts them: in whole cells, and in what recurs in two halves."""
    import torch

    from cellprism.cells.expression import log1p_cp10k
    from cellprism.models.latent.assess import thinned

    rng = np.random.default_rng(1)
    every = np.ones(cells.n_obs, dtype=bool)
    parts = (sp.csr_matrix(cells.X), *thinned(sp.csr_matrix(cells.X), 0.5, rng))
    vectors = [torch.from_numpy(log1p_cp10k(_of(cells, part, every)).toarray()) for part in parts]
    return _pooled(vectors, rng.permutation(cells.n_obs) < cells.n_obs // 2)


def test_what_recurs_are_the_planted_programs_and_not_the_noise_of_counting(cells):
    found = of_counts(cells)
    assert found.whole > 6
    assert found.recurring == pytest.approx(PROGRAMS, abs=0.6)


def test_cells_without_programs_recur_along_nothing(cells):
    found = of_counts(poisson_cells(cells, seed=2))
    assert abs(found.share) < 0.05  # how many genes show at all follows the depth, and that recurs
    assert of_counts(cells).share > 0.2
    assert found.whole > 20


def test_halves_of_the_counts_have_half_of_the_depth(cells):
    declared = cells.copy()
    declared.obs["total_counts"] = 2e3
    part = _of(declared, sp.csr_matrix(cells.X) * 0.5, np.arange(CELLS) < 7)
    np.testing.assert_allclose(part.obs["total_counts"], 1e3)
    assert part.n_obs == 7


def test_readings_are_the_models_residuals_and_the_means_over_all_tokens(cells):
    model = AidoCell.random(list(cells.var_names), hidden=8, layers=2, heads=1, intermediate=12)
    some = np.random.default_rng(3).random((CELLS, GENES)) < 0.2
    found = read_blocks(model, cells, range(2), some, 50)
    (batch,) = model.batches(cells, CELLS)
    for layer, reading in enumerate(found):
        x = model.residual(batch, layer).double()
        assert np.array_equal(np.argwhere(some), np.column_stack([reading.cell, reading.gene]))
        np.testing.assert_allclose(reading.x, x[reading.cell, reading.gene], atol=1e-5)
        np.testing.assert_allclose(reading.pooled, x[:, :GENES].mean(dim=1), atol=1e-5)
    share = cells.X.toarray() / cells.X.toarray().sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found[0].value, np.log1p(1e4 * share[found[0].cell, found[0].gene]), rtol=1e-6)


def test_only_tokens_that_every_reading_has_are_compared(cells):
    model = AidoCell.random(list(cells.var_names), hidden=8, layers=1, heads=1, intermediate=12)
    rng = np.random.default_rng(4)
    masks = [rng.random((CELLS, GENES)) < 0.5 for _ in range(2)]
    found = [read_blocks(model, cells, [0], some, 64) for some in masks]
    (one,), (other,) = same_tokens(found)
    assert np.array_equal(np.argwhere(masks[0] & masks[1]), np.column_stack([one.cell, one.gene]))
    np.testing.assert_allclose(one.x, other.x, atol=1e-5)


def test_a_model_that_reads_a_cell_as_a_whole_has_a_vector_a_cell_and_no_tokens_of_genes(cells):
    model = ScviModel.random(ScviSizes(GENES, 13, 7, 1), GeneTable.of(list(cells.var_names)), 3)
    (found,) = read_blocks(model, cells, [0], np.ones((CELLS, GENES), dtype=bool), 64)
    assert found.pooled.shape == (CELLS, model.d_model)
    assert len(found.x) == len(found.value) == 0


def test_every_block_of_a_run_is_measured_and_nothing_is_claimed(bench, finished):
    found = work(bench, BlocksSettings(cells=30, draws=1, epochs=1))
    assert [block.layer for block in found.blocks] == [0, 1]
    assert found.width == 16
    for block in found.blocks:
        assert block.dictionary is not None
        assert 0 < block.dictionary.fair.explained <= 1
        assert 1 <= block.pooled.whole <= 16
        assert 1 <= block.tokens.whole <= 16
        assert block.without_count.share != block.tokens.share
    assert module.claims(studies()["blocks"].read(finished / "blocks"), read_context(finished)) == []
