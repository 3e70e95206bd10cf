"""Derivatives of all features at once: exact where the model is linear, agreed on by every way to them, wrong where and
how a known curve says."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData

from cellprism.cells.balanced import balanced
from cellprism.equations.linearised import frozen
from cellprism.errors import ConfigError
from cellprism.simulate.linear_model import LAYER, LEVEL, LinearCell, linear_cells, linear_sae
from cellprism.steering.dose_cells import read_dose_cells
from cellprism.steering.screen.derivatives import (
    BACKWARD,
    FORWARD,
    PLACES,
    gene_derivatives,
    scalar_derivatives,
    ways,
)
from cellprism.steering.screen.exact import exact_effects, to_check
from cellprism.steering.screen.own_tokens import scalar_secants
from cellprism.steering.screen.scalars import linear_judge, program_score, type_axis
from steering.test_edits import FEATURES, aido, latent, scgpt, some_sae

PROGRAMS = np.random.default_rng(0).normal(size=(5, 29)) * 0.3
CAP = 0.4


class Capped(LinearCell):
    """The same, but that no gene rises more than ``CAP`` above what is said of it in the first cell."""

    def resume(self, batch, layer, x):
        said = super().resume(batch, layer, x)
        return replace(said, expression=torch.minimum(said.expression, said.expression.new_tensor(self.most)))


@pytest.fixture(scope="module")
def straight():
    cells = linear_cells(PROGRAMS, {1: 2.0})
    model = LinearCell()
    return read_dose_cells(model, linear_sae(model, PROGRAMS), cells, LAYER, 31, []), cells


@pytest.fixture(scope="module")
def counted() -> AnnData:
    """17 cells, each its own total."""
    rng = np.random.default_rng(0)
    adata = AnnData(sp.csr_matrix(rng.poisson(2.0, (17, 29)).astype(np.float32)))
    adata.var_names = [f"G{i}" for i in range(1, 30)]
    adata.obs["total_counts"] = np.asarray(adata.X.sum(axis=1)).ravel() + 3.0
    return adata


def test_in_a_linear_model_derivatives_are_the_exact_effects(straight):
    dose_cells, cells = straight
    cache, features = dose_cells.cache, list(range(5))
    scalar = type_axis(cache, cells.obs["cell_type"], "source", "target")
    effects = [exact_effects(dose_cells, feature, (0.0, 5.0)) for feature in features]
    for kind in (False, True):
        found = scalar_derivatives(cache, scalar.weights[None], kind)[0]
        for way in ways(dose_cells, features).operations:
            matrix = gene_derivatives(dose_cells, features, way)
            np.testing.assert_allclose(matrix @ scalar.weights, found, atol=1e-5 * np.abs(found).max())
            for feature in features:
                exact = effects[feature]
                np.testing.assert_allclose(exact, np.outer([-1, 4], matrix[feature]), atol=1e-4 * np.abs(exact).max())
    assert found[1] == pytest.approx(1.5, rel=1e-2), "of 1 to 2 in units of their difference, the mean cell has 1.5"


def test_where_the_model_bends_derivatives_are_wrong_and_exact_passes_show_it():
    model, cells = Capped(), linear_cells(PROGRAMS, {})
    batch = next(model.batches(cells, cells.n_obs))
    plain = LinearCell.resume(model, batch, LAYER, model.residual(batch, LAYER)).expression
    model.most = (plain.max(dim=0).values + CAP).tolist()
    dose_cells = read_dose_cells(model, linear_sae(model, PROGRAMS), cells, LAYER, 31, [])
    slope = gene_derivatives(dose_cells, [2], BACKWARD)[0]
    down, up = exact_effects(dose_cells, 2, (0.99, 5.0))
    np.testing.assert_allclose(down, -0.01 * slope, atol=2e-5)
    rises = 4 * slope > 2 * CAP
    assert rises.any()
    assert (up[rises] < 4 * slope[rises] / 2).all(), "derivatives promise more than the cap lets through"
    falls = slope < 0
    np.testing.assert_allclose(up[falls], 4 * slope[falls], atol=1e-4)
    assert LEVEL > CAP


class Bent(LinearCell):
    """The same, but that what is said of a gene counts by its square as well."""

    def resume(self, batch, layer, x):
        said = super().resume(batch, layer, x)
        return replace(said, expression=said.expression + 0.3 * (said.expression - LEVEL).square())


def test_where_cells_are_one_token_secants_are_the_exact_effects_and_derivatives_are_not():
    model, cells = Bent(), linear_cells(PROGRAMS, {1: 2.0})
    dose_cells = read_dose_cells(model, linear_sae(model, PROGRAMS), cells, LAYER, 31, [])
    weights = np.random.default_rng(0).standard_normal((2, 29))
    slope = scalar_derivatives(dose_cells.cache, weights)
    for strength in (0.0, 5.0):
        exact = np.array([exact_effects(dose_cells, f, (strength,))[0] @ weights.T for f in range(5)]).T
        done: list[float] = []
        secant = (strength - 1) * scalar_secants(dose_cells.cache, weights, strength, done.append)
        size = np.abs(exact).max()
        np.testing.assert_allclose(secant, exact, atol=1e-3 * size)
        assert np.abs((strength - 1) * slope - exact).max() > 0.05 * size
        assert sum(done) == pytest.approx(cells.n_obs)


@pytest.mark.parametrize("family", [aido, scgpt])
def test_at_its_own_tokens_a_feature_is_passed_exactly(family, counted):
    """Far from 1 secants come nearer to exact passes than derivatives do."""
    model = family(list(counted.var_names))
    layer = min(1, model.n_layers - 1)
    dose_cells = read_dose_cells(model, some_sae(model), counted, layer, 7, [], read="visible")
    features = [f for f in range(FEATURES) if dose_cells.rows(f).size]
    weights = np.random.default_rng(1).standard_normal((2, len(dose_cells.cache.genes)))
    exact = np.array([exact_effects(dose_cells, f, (5.0,))[0] @ weights.T for f in features]).T
    wrong = [
        np.abs(4 * found[:, features] - exact).mean()
        for found in (scalar_derivatives(dose_cells.cache, weights), scalar_secants(dose_cells.cache, weights, 5.0))
    ]
    assert wrong[1] < wrong[0] / 2


@pytest.mark.parametrize(
    ("family", "read"),
    [(aido, "hidden"), (aido, "visible"), (scgpt, "hidden"), (latent, "visible")],
)
def test_every_way_gives_the_same_matrix_and_a_number_is_a_sum_over_it(family, read, counted):
    model = family(list(counted.var_names))
    layer = min(1, model.n_layers - 1)
    dose_cells = read_dose_cells(model, some_sae(model), counted, layer, 7, [], read=read)
    features = [f for f in range(FEATURES) if dose_cells.rows(f).size][::6]
    found = ways(dose_cells, features)
    assert (PLACES in found.operations) == (family is aido)
    assert found.operations[found.cheapest] == min(found.operations.values())
    done: list[float] = []
    matrices = {way: gene_derivatives(dose_cells, features, way, done.append) for way in found.operations}
    size = np.abs(matrices[FORWARD]).max()
    assert size > 0
    for matrix in matrices.values():
        np.testing.assert_allclose(matrix, matrices[FORWARD], atol=1e-5 * size)
    assert sum(done) == pytest.approx(17 * len(matrices))
    weights = np.random.default_rng(1).standard_normal((2, len(dose_cells.cache.genes)))
    scores = scalar_derivatives(dose_cells.cache, weights)[:, features]
    np.testing.assert_allclose(scores, weights @ matrices[FORWARD].T, atol=1e-4 * np.abs(scores).max())
    near = scalar_secants(dose_cells.cache, weights, 1.01)[:, features]
    np.testing.assert_allclose(near, scores, atol=3e-2 * np.abs(scores).max())
    near = exact_effects(dose_cells, features[0], (1.02, 0.98))
    np.testing.assert_allclose((near[0] - near[1]) / 0.04, matrices[FORWARD][0], atol=2e-2 * size)


def test_with_attention_and_norms_held_fixed_gradients_are_those_of_a_linear_map():
    torch.manual_seed(0)
    norm, query = torch.nn.LayerNorm(7), torch.randn(1, 2, 5, 7)
    x, way = torch.randn(3, 7, requires_grad=True), torch.randn(3, 7)
    with frozen():
        y = norm(x)
    torch.testing.assert_close(y, norm(x))
    (slope,) = torch.autograd.grad(y, x, way)
    scale = (x - x.mean(dim=1, keepdim=True)).square().mean(dim=1, keepdim=True).add(norm.eps).sqrt()
    torch.testing.assert_close(slope, (way - way.mean(dim=1, keepdim=True)) / scale)
    value = torch.randn(1, 2, 5, 7, requires_grad=True)
    key = query.clone().requires_grad_()
    with frozen():
        out = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(out, torch.nn.functional.scaled_dot_product_attention(query, key, value))
    slopes = torch.autograd.grad(out.sum(), (key, value), allow_unused=True)
    assert slopes[0] is None
    torch.testing.assert_close(slopes[1].sum(), torch.tensor(out.numel(), dtype=torch.float))
    rms = torch.nn.RMSNorm(7)
    with frozen():
        y = rms(x)
    torch.testing.assert_close(y, rms(x))


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_the_closed_form_of_the_last_block_is_its_gradient(norm, counted):
    from cellprism.models.aido.model import AidoCell
    from cellprism.models.aido.settings import AidoConfig

    torch.manual_seed(1)
    config = AidoConfig(29, 16, 3, 2, 24, norm=norm, gene_subset=True, total="cell")
    model = AidoCell(config, aido(list(counted.var_names)).gene_table).eval().requires_grad_(False)
    batch = next(model.batches(counted[:1].copy(), 1))
    x, tokens = torch.randn(1, 31, 16), torch.arange(0, 29, 4)
    at, vectors = torch.tensor([1, 2, 8, 5, 30, 0, 8]), torch.randn(7, 16)
    leaf = x.clone().requires_grad_()
    said = model.resume_at(batch, 1, leaf, tokens).expression
    slopes = torch.stack([torch.autograd.grad(one, leaf, retain_graph=True)[0][0] for one in said[0]])
    expected = torch.stack([(slopes[:, t] * v).sum(dim=-1) for t, v in zip(at, vectors, strict=True)])
    with torch.no_grad():
        found = model.token_derivatives(batch, x, tokens, at, vectors)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_cells_are_balanced_as_far_as_they_go():
    labels = ["a"] * 50 + ["b"] * 3 + ["c"] * 20
    rows = balanced(labels, 20, np.random.default_rng(0))
    kinds, counts = np.unique(np.array(labels)[rows], return_counts=True)
    assert dict(zip(kinds, counts.tolist(), strict=True)).get("b") == 3
    assert len(set(rows)) == 20
    assert abs(np.diff(counts[[0, 2]])[0]) <= 1
    assert len(balanced(labels, 500, np.random.default_rng(0))) == len(labels)


def test_numbers_that_cannot_be_asked_for_are_refused(straight):
    dose_cells, cells = straight
    cache = dose_cells.cache
    with pytest.raises(ConfigError, match="no cell is called 'nowhere'; these cells are called 'source', 'target'"):
        type_axis(cache, cells.obs["cell_type"], "source", "nowhere")
    with pytest.raises(ConfigError, match="so there is no axis"):
        type_axis(cache, cells.obs["cell_type"], "source", "source")
    with pytest.raises(ConfigError, match="'Made up' has 0 genes"):
        program_score(cache, "Made up", ["NOGENE"], dose_cells.level)
    own = program_score(cache, "Some", ["G1", "G2"], dose_cells.level)
    assert own.weights.sum() == pytest.approx(0)
    table = pd.DataFrame(
        {"mean": 1.0, "scale": [1.0, 2.0, 4.0], "CD8 a": [9.0, 1.0, 3.0], "CD8 b": [9.0, 3.0, 3.0],
         "CD4": [9.0, 0.0, 1.0]},
        index=["(intercept)", "G1", "G2"],
    )  # fmt: skip
    judge = linear_judge(cache, table, "CD8", "CD4", "a judge")
    weights = dict(zip(cache.genes, judge.weights, strict=True))
    assert (weights["G1"], weights["G2"], weights["G3"]) == (1.0, 0.5, 0.0)
    with pytest.raises(ConfigError, match="a judge has no column 'scale'"):
        linear_judge(cache, table.drop(columns="scale"), "CD8", "CD4", "a judge")
    with pytest.raises(ConfigError, match="no class of a judge begins with 'NK'"):
        linear_judge(cache, table, "NK", "CD4", "a judge")
    with pytest.raises(ConfigError, match="none of the genes"):
        linear_judge(cache, table.rename(index=lambda gene: gene.lower()), "CD8", "CD4", "a judge")


def test_the_sample_is_of_the_strongest_and_of_others():
    scores = np.array([0.0, -9.0, 2.0, 8.0, 1.0, 0.5, 0.2, 0.1, 0.3, 0.4])
    top, random = to_check(scores, 0.2, np.random.default_rng(0))
    assert top.tolist() == [1, 3]
    assert len(random) == 2
    assert not set(top) & set(random)
