"""A recipe that can be solved by hand is found by the contrast, as nearly as its solver promises."""

import numpy as np
import pytest
import torch

import cellprism as cp
from cellprism.cells.expression import log1p_cp10k
from cellprism.simulate.linear_model import COUNTS_OF_ONE, LAYER, LinearCell, linear_cells, linear_sae, penalised_recipe
from cellprism.steering.settings import ContrastSettings

GENES, FEATURES = 29, 11
RECIPE = {2: 2.5, 5: 0.2, 7: -0.5}
HARD = ContrastSettings(
    penalties=12, smallest_penalty=1e-4, iterations=400, null_replicates=0, random_edits=2, resamples=9, n_genes=58
)


@pytest.fixture(scope="module")
def programs():
    rng = np.random.default_rng(3)
    return (rng.random((FEATURES, GENES)) < 0.4) * rng.uniform(0.5, 1.5, (FEATURES, GENES))


def test_features_overlap_and_codes_are_exact_all_the_same(programs):
    model, adata = LinearCell(), linear_cells(programs, RECIPE)
    sae = linear_sae(model, programs)
    cosine = (sae.W_dec @ sae.W_dec.T).fill_diagonal_(0).abs()
    assert cosine.max() > 0.5
    batch = next(model.batches(adata, 7))
    x = model.residual(batch, LAYER)
    clean = (10 + torch.from_numpy(programs).float()) @ model.rows
    assert (sae.decode(sae.encode(clean)) - clean).abs().max() < 1e-4
    assert (model.resume(batch, LAYER, x).expression - batch.inputs).abs().max() < 1e-4
    codes = sae.encode(x[:, 0])
    assert codes.values.sort().values.std(dim=0).max() < 1e-4, "cells of a type have the same codes"


@pytest.mark.parametrize("objective", ["latent", "expression"])
def test_the_contrast_finds_the_recipe_in_closed_form(programs, objective):
    model, adata = LinearCell(), linear_cells(programs, RECIPE)
    sae = linear_sae(model, programs)
    found = cp.contrast(model, sae, adata, LAYER, "source", "target", objective, named=(), settings=HARD)
    chosen = found.path.loc[found.path["chosen"], "lambda"].item()
    y = adata.X.toarray().astype(np.float64) / COUNTS_OF_ONE
    gap = y[53:].mean(axis=0) - y[:53].mean(axis=0)
    z = sae.encode(next(model.batches(adata, 1)).inputs @ model.rows)
    size = np.zeros(FEATURES)
    size[z.features[0].numpy()] = z.values[0].numpy()
    edits = model.rows.numpy() @ (size[:, None] * sae.W_dec.numpy()).T
    if objective == "expression":
        scaled = log1p_cp10k(adata).toarray()
        weight = np.sqrt(np.abs(scaled[53:].mean(axis=0) - scaled[:53].mean(axis=0)))
        edits, gap = edits * weight[:, None], gap * weight
    signs = np.array([np.sign(RECIPE.get(f, 1.0) - 1) for f in range(FEATURES)])
    expected = penalised_recipe(edits, gap, signs, chosen)
    slope = 2 * edits.T @ (gap - edits @ (expected - 1)) / (gap @ gap)
    assert (np.abs(slope[signs == 0]) <= chosen).all(), "otherwise another recipe would be better"
    strengths = np.array([found.strengths.get(f, 1.0) for f in range(FEATURES)])

    def asked(alpha):
        left = gap - edits @ (alpha - 1)
        return left @ left / (gap @ gap) + chosen * np.abs(alpha - 1).sum()

    assert asked(expected) <= asked(strengths) + 1e-6, "no recipe is better than the one in closed form"
    assert asked(strengths) == pytest.approx(asked(expected), abs=5e-5), "a step that gains 1e-5 is the solver's last"
    assert strengths == pytest.approx(expected, abs=0.03)
    truth = np.array([RECIPE.get(f, 1.0) for f in range(FEATURES)])
    assert strengths == pytest.approx(truth, abs=0.05)


def test_without_a_penalty_the_formula_gives_the_planted_recipe(programs):
    activity = np.random.default_rng(0).uniform(1, 3, FEATURES)
    truth = np.array([RECIPE.get(f, 1.0) for f in range(FEATURES)])
    edits = (activity[:, None] * programs).T
    found = penalised_recipe(edits, edits @ (truth - 1), np.sign(truth - 1), 0.0)
    assert found == pytest.approx(truth, abs=1e-9)
    shrunk = penalised_recipe(edits, edits @ (truth - 1), np.sign(truth - 1), 0.05)
    assert np.abs(shrunk - 1).sum() < np.abs(truth - 1).sum()
