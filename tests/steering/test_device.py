"""Steering where the model is: devices are never mixed, and what is not kept is computed again to the same result.

A fake tensor knows its device and its shape, but has no values: operations that mix devices raise, on a machine without
a GPU as well.
"""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from cellprism.equations.steering import squared_edit_norm
from cellprism.steering.contrast.contrast import ContrastSettings, contrast, contrast_read, read_contrast_cells
from cellprism.steering.contrast.objective import EACH, Aim, ContrastProblem
from cellprism.steering.dose import DoseSettings, dose_sweep
from cellprism.steering.dose_cells import _fires, _GeneFirings
from cellprism.steering.intervene import SiteCells
from cellprism.steering.nulls import feature_counts
from cellprism.steering.reading import rows_of
from cellprism.steering.site_cache import KeptCells, Prediction, SiteCache, read_site_cache
from cellprism.types import CellBatch, SparseCode
from steering.planted import FEATURES, GENES, PlantedModel, planted_cells, planted_sae

CELLS, TOKENS, WIDTH, K = 7, 11, 13, 5
RECIPE = {3: 2.5, 11: 0.2}
QUICK = ContrastSettings(penalties=3, iterations=4, null_replicates=1, random_edits=2, resamples=9, n_genes=4)


@pytest.fixture
def on_gpu():
    """Everything made within has the shape and device asked for, and no values."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield lambda *shape, dtype=torch.float32: torch.empty(*shape, dtype=dtype, device="cuda")


def site_cells(on_gpu) -> SiteCells:
    gene = on_gpu(TOKENS, dtype=torch.long)
    present = on_gpu(CELLS, TOKENS, dtype=torch.bool)
    batch = CellBatch(on_gpu(CELLS, TOKENS), gene, present, on_gpu(CELLS, dtype=torch.long))
    code = SparseCode(on_gpu(CELLS * TOKENS, K), on_gpu(CELLS * TOKENS, K, dtype=torch.long), FEATURES)
    return SiteCells(batch, on_gpu(CELLS, TOKENS, WIDTH), code)


def fake_cache(on_gpu, place: str = "cuda") -> SiteCache:
    model = PlantedModel()
    cells = site_cells(on_gpu)
    shape = (CELLS, TOKENS, K)
    kept = KeptCells(
        torch.empty(CELLS, TOKENS, WIDTH, device=place),
        torch.empty(shape, device=place),
        torch.empty(shape, dtype=torch.long, device=place),
    )
    sae = replace(planted_sae(model), W_dec=on_gpu(FEATURES, WIDTH), W_enc=on_gpu(WIDTH, FEATURES), b_dec=on_gpu(WIDTH))
    nothing = Prediction(np.zeros((CELLS, WIDTH)), np.zeros((CELLS, GENES)))
    genes = planted_cells({}).var_names
    counts = sp.csr_matrix((CELLS, GENES))
    return SiteCache(model, sae, 1, cells.batch, 1, None, kept, genes, np.arange(GENES), counts, nothing, 3)


def test_a_mixture_of_devices_would_be_seen(on_gpu):
    with pytest.raises(RuntimeError, match="device"):
        on_gpu(3) + torch.empty(3, device="cpu")


@pytest.mark.parametrize("place", ["cuda", "cpu"])
def test_cells_are_taken_to_where_the_model_is_wherever_they_are_kept(on_gpu, place):
    cache = fake_cache(on_gpu, place)
    batch = rows_of(cache.whole, on_gpu(3, dtype=torch.long))
    cells = cache.kept.take(on_gpu(3, dtype=torch.long), batch, FEATURES)
    assert {t.device.type for t in (cells.x, cells.code.values, cells.code.features)} == {"cuda"}
    assert cells.x.shape == (3, TOKENS, WIDTH)


def test_sums_over_cells_stay_on_the_device(on_gpu):
    cells, W_dec = site_cells(on_gpu), on_gpu(FEATURES, WIDTH)
    found = [
        squared_edit_norm(cells.code, W_dec),
        feature_counts(cells.code),
        _fires(cells),
    ]
    assert {t.device.type for t in found} == {"cuda"}
    sums = _GeneFirings(fake_cache(on_gpu), [3, 7])
    sums.add(cells)
    assert sums.fired.device.type == "cuda"


def test_objectives_are_computed_on_the_device(on_gpu):
    for aim in (Aim(*(on_gpu(WIDTH) for _ in range(3))), Aim(*(on_gpu(WIDTH) for _ in range(3)), form=EACH)):
        problem = ContrastProblem(fake_cache(on_gpu), np.arange(CELLS), aim)
        problem.__dict__["origin"] = on_gpu(WIDTH)
        values = on_gpu(CELLS, WIDTH)
        assert problem._objective(values).device.type == "cuda"


def test_what_is_not_kept_is_computed_again_to_the_same_result(real_model, real_sae, cells):
    kept = read_site_cache(real_model, real_sae, cells, 1, 5)
    again = read_site_cache(real_model, real_sae, cells, 1, 5, memory=0)
    assert kept.kept is not None
    assert again.kept is None
    rows = np.array([2, 3, 5, 7, 11, 13, 16])
    for one, other in zip(kept.take(rows), again.take(rows), strict=True):
        torch.testing.assert_close(one.x, other.x, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(one.code.values, other.code.values, rtol=1e-4, atol=1e-5)
        assert torch.equal(one.batch.cell, other.batch.cell)
    assert np.array_equal(kept.baseline.values, again.baseline.values)


def test_a_contrast_that_keeps_nothing_is_the_one_that_keeps_all():
    model, adata = PlantedModel(), planted_cells(RECIPE, noise=0.02)
    runs = [
        contrast(model, planted_sae(model), adata, 1, "helper", "killer", settings=QUICK, memory=memory)
        for memory in (1 << 30, 0)
    ]
    assert runs[0].strengths == pytest.approx(runs[1].strengths, rel=1e-4)
    for name, score in runs[0].summary["scores"].items():
        assert score["value"] == pytest.approx(runs[1].summary["scores"][name]["value"], rel=1e-3, abs=1e-4)


def test_a_sweep_that_keeps_nothing_is_the_one_that_keeps_all(planted):
    settings = DoseSettings(matched_genes=2)
    runs = [
        dose_sweep(*planted, planted_cells({}), 1, {7: ["G7"]}, settings=settings, memory=memory)
        for memory in (1 << 30, 0)
    ]
    np.testing.assert_allclose(runs[0].effects["effect"], runs[1].effects["effect"], atol=1e-5)
    assert runs[0].summary[0]["edit_ratio"] == pytest.approx(runs[1].summary[0]["edit_ratio"])


def test_cells_are_read_once_for_both_objectives():
    model, adata = PlantedModel(), planted_cells(RECIPE, noise=0.02)
    sae = planted_sae(model)
    read = read_contrast_cells(model, sae, adata, 1, "helper", "killer", settings=QUICK)
    assert model.residual_cells == adata.n_obs
    for objective in ("latent", "expression"):
        alone = contrast(PlantedModel(), sae, adata, 1, "helper", "killer", objective, named=["G3"], settings=QUICK)
        found = contrast_read(read, objective, ["G3"])
        assert found.summary == alone.summary
        assert found.trials.equals(alone.trials)
        assert found.genes.equals(alone.genes)
    assert model.residual_cells == adata.n_obs
