"""The yardsticks agree with other libraries on planted cells; no method sees what it is asked for."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.preprocessing import StandardScaler

from cellprism.models.aido.assess import (
    assess,
    expression_of,
    nearest_genes,
    predict_masked,
)
from cellprism.models.aido.model import AidoCell
from cellprism.models.aido.pretrain import held_out_cells
from cellprism.models.simple_predictors import PENALTIES, pooled_residuals
from models.planted import CELLS, GENES, TABLE, planted_cells

SHARE, SEED = 0.3, 5


@pytest.fixture(scope="module")
def cells():
    return planted_cells()


@pytest.fixture(scope="module")
def model() -> AidoCell:
    return AidoCell.random(TABLE.symbol, hidden=14, layers=3, heads=2, intermediate=19, seed=2)


@pytest.fixture(scope="module")
def split() -> tuple[np.ndarray, np.ndarray]:
    return held_out_cells(CELLS, 0.3, 1)


@pytest.fixture(scope="module")
def expression(cells) -> np.ndarray:
    """log1p(CP10k) in double precision, straight from the counts."""
    return np.log1p(cells.X.toarray().astype(float) / cells.obs["total_counts"].to_numpy()[:, None] * 1e4)


@pytest.fixture(scope="module")
def assessment(model, cells, split):
    return assess(model, cells, *split, markers=("G0", "G20", "NOGENE"), share=SHARE, masks=1, seed=SEED)


@pytest.fixture(scope="module")
def hidden() -> np.ndarray:
    """The one mask that the assessment draws."""
    mask = np.zeros(GENES, dtype=bool)
    mask[np.random.default_rng([SEED, 1]).choice(GENES, round(SHARE * GENES), replace=False)] = True
    return mask


def mse_of(assessment, method: str) -> float:
    return assessment.masked["methods"][method]["mse"]


def test_expression_is_what_the_model_reads(model, cells, expression):
    np.testing.assert_allclose(expression_of(model, cells, 7), expression, rtol=1e-5, atol=1e-6)


def test_the_gene_mean_is_that_of_training_cells(assessment, expression, split, hidden):
    train, test = split
    expected = ((expression[np.ix_(test, hidden)] - expression[np.ix_(train, hidden)].mean(0)) ** 2).mean()
    assert mse_of(assessment, "gene mean") == pytest.approx(expected, rel=1e-5)
    assert assessment.masked["methods"]["gene mean"]["of_gene_mean"] == 1.0


def test_the_type_mean_is_that_of_training_cells_of_the_same_type(assessment, cells, expression, split, hidden):
    train, test = split
    kind = cells.obs["cell_type"].to_numpy()
    total = 0.0
    for cell in test:
        same = [row for row in train if kind[row] == kind[cell]]
        total += ((expression[cell, hidden] - expression[np.ix_(same, hidden)].mean(0)) ** 2).mean()
    assert mse_of(assessment, "type mean") == pytest.approx(total / len(test), rel=1e-5)


def ridge_by_normal_equations(x, y, new, penalty: float) -> np.ndarray:
    mean, centred = x.mean(0), x - x.mean(0)
    weights = np.linalg.solve(centred.T @ centred + penalty * np.eye(x.shape[1]), centred.T @ (y - y.mean(0)))
    return (new - mean) @ weights + y.mean(0)


def test_ridge_is_the_normal_equations_at_the_penalty_chosen_on_training_cells(assessment, expression, split, hidden):
    train, test = split
    rng = np.random.default_rng([SEED, 1])
    rng.choice(GENES, round(SHARE * GENES), replace=False)
    order = rng.permutation(train)
    validation, inner = order[: len(order) // 5], order[len(order) // 5 :]
    seen, target = expression[:, ~hidden], expression[:, hidden]

    def error(penalty: float) -> float:
        return (
            (ridge_by_normal_equations(seen[inner], target[inner], seen[validation], penalty) - target[validation]) ** 2
        ).mean()

    best = min(PENALTIES, key=error)
    found = ridge_by_normal_equations(seen[train], target[train], seen[test], best)
    assert mse_of(assessment, "ridge") == pytest.approx(((found - target[test]) ** 2).mean(), rel=1e-4)


def test_ridge_is_no_straw_man(assessment, expression, split, hidden):
    """Its error is close to that of scikit-learn's own cross-validated ridge, and below the gene means'."""
    train, test = split
    fitted = RidgeCV(alphas=np.logspace(0, 5, 21)).fit(
        expression[np.ix_(train, ~hidden)], expression[np.ix_(train, hidden)]
    )
    rival = ((fitted.predict(expression[np.ix_(test, ~hidden)]) - expression[np.ix_(test, hidden)]) ** 2).mean()
    assert mse_of(assessment, "ridge") < 1.15 * rival
    assert mse_of(assessment, "ridge") < 0.7 * mse_of(assessment, "gene mean")


def test_the_models_error_is_that_of_its_predictions_at_hidden_genes(
    assessment, model, cells, expression, split, hidden
):
    _, test = split
    predicted = predict_masked(model, cells[test], hidden)[:, hidden]
    truth = expression[np.ix_(test, hidden)]
    assert mse_of(assessment, "model") == pytest.approx(((predicted - truth) ** 2).mean(), rel=1e-5)
    correlation = np.corrcoef(predicted.ravel(), truth.ravel())[0, 1]
    assert assessment.masked["correlation"] == pytest.approx(correlation, rel=1e-4)


def test_a_prediction_does_not_depend_on_what_is_hidden(model, cells, hidden):
    altered = cells.copy()
    counts = altered.X.toarray()
    counts[:, hidden] = counts[:, hidden][:, ::-1] * 3 + 1
    altered.X = counts
    assert np.array_equal(predict_masked(model, cells, hidden), predict_masked(model, altered, hidden))
    assert not np.array_equal(predict_masked(model, cells, ~hidden), predict_masked(model, altered, ~hidden))


def test_intervals_hold_their_estimates_and_differences_have_the_right_sign(assessment):
    methods = assessment.masked["methods"]
    for figures in methods.values():
        lower, upper = figures["interval"]
        assert lower <= figures["of_gene_mean"] <= upper
        difference = figures["mse"] - methods["model"]["mse"]
        assert figures["minus_model"][0] <= difference <= figures["minus_model"][1]
    assert methods["model"]["minus_model"] == [0.0, 0.0]
    assert methods["ridge"]["interval"][0] < methods["ridge"]["interval"][1]


def test_cells_that_are_all_the_same_have_no_error_to_be_a_share_of(model, cells, split):
    same = cells.copy()
    same.X = same.X[np.zeros(CELLS, dtype=int)]
    same.obs["total_counts"] = same.obs["total_counts"].iloc[0]
    assert assess(model, same, *split, share=SHARE, masks=1, seed=SEED).masked == {}


def test_the_figures_say_what_was_measured(assessment, split):
    said = {key: assessment.masked[key] for key in ("share_hidden", "masks", "test_cells", "train_cells", "genes")}
    train, test = split
    assert said == {
        "share_hidden": SHARE, "masks": 1, "test_cells": len(test), "train_cells": len(train), "genes": GENES,
    }  # fmt: skip


def test_more_masks_are_averaged_over(model, cells, split, assessment):
    three = assess(model, cells, *split, share=SHARE, masks=3, seed=SEED)
    assert three.masked["masks"] == 3
    assert mse_of(three, "gene mean") != mse_of(assessment, "gene mean")
    again = assess(model, cells, *split, share=SHARE, masks=3, seed=SEED)
    assert three == again, "the same seed gives the same figures"


def test_the_readout_is_a_logistic_regression_on_training_cells(assessment, model, cells, expression, split):
    train, test = split
    kind = cells.obs["cell_type"].to_numpy()
    readout = assessment.cell_types["readout"]
    sources = {"raw expression": expression, "residuals": pooled_residuals(model, cells, 1)}
    for name, x in sources.items():
        scaled = StandardScaler().fit(x[train])
        reader = LogisticRegression(max_iter=2000).fit(scaled.transform(x[train]), kind[train])
        accuracy = (reader.predict(scaled.transform(x[test])) == kind[test]).mean()
        assert readout[name]["accuracy"] == pytest.approx(accuracy, abs=1e-9), name
        assert readout[name]["interval"][0] <= accuracy <= readout[name]["interval"][1]
    assert readout["raw expression"]["accuracy"] > 0.9, "the planted types are far apart"
    share = max(np.mean(kind[test] == t) for t in ("left", "right"))
    assert assessment.cell_types["largest_type"] == pytest.approx(share)
    assert "untrained network" in readout


def test_what_the_model_had_from_the_start_is_measured_beside_it(model, cells, split, assessment):
    start = model.reinitialised(9)
    found = assess(model, cells, *split, start=start, markers=("G0",), share=SHARE, masks=1, seed=SEED)
    assert found.neighbours_at_start == nearest_genes(start, ("G0",)) != found.neighbours
    assert found.cell_types["readout"].keys() - assessment.cell_types["readout"].keys() == {"start of training"}
    assert found.masked == assessment.masked
    assert assessment.neighbours_at_start == {}


def test_labels_that_mean_nothing_are_read_at_chance(model, cells, split):
    shuffled = cells.copy()
    accuracies = []
    for seed in range(5):
        shuffled.obs["cell_type"] = np.random.default_rng(seed).permutation(cells.obs["cell_type"].to_numpy())
        types = assess(model, shuffled, *split, masks=1, seed=SEED).cell_types
        accuracies.append(types["readout"]["raw expression"]["accuracy"])
    assert np.mean(accuracies) == pytest.approx(0.5, abs=0.2)


def test_unlabelled_cells_are_neither_trained_on_nor_scored(model, cells, split):
    train, test = split
    labelled = cells.copy()
    kind = labelled.obs["cell_type"].astype(str).to_numpy()
    kind[train[:3]] = kind[test[:2]] = "unlabelled"
    labelled.obs["cell_type"] = kind
    found = assess(model, labelled, train, test, masks=1, seed=SEED)
    expected = assess(model, cells, train[3:], test[2:], masks=1, seed=SEED)
    assert found == expected
    assert found.masked["test_cells"] == len(test) - 2


def test_a_type_without_training_cells_gets_the_mean_of_all(model, cells, split, expression, hidden):
    train, test = split
    rare = cells.copy()
    kind = rare.obs["cell_type"].astype(str).to_numpy()
    kind[test] = "rare"
    rare.obs["cell_type"] = kind
    figures = assess(model, rare, train, test, share=SHARE, masks=1, seed=SEED)
    assert mse_of(figures, "type mean") == mse_of(figures, "gene mean")


def test_without_labels_there_is_no_type_mean_and_no_readout(model, cells, split):
    bare = cells.copy()
    del bare.obs["cell_type"]
    found = assess(model, bare, *split, masks=1, seed=SEED)
    assert found.cell_types == {}
    assert set(found.masked["methods"]) == {"model", "ridge", "gene mean"}


def test_pooled_residuals_are_means_over_present_genes(cells):
    model = AidoCell.random(
        [*TABLE.symbol, "X1", "X2"], hidden=14, layers=2, heads=2, intermediate=19, gene_subset=False
    )
    found = pooled_residuals(model, cells, 1, size=7)
    batch = next(model.batches(cells, CELLS))
    x = model.residual(batch, 1).double().numpy()
    for cell in range(CELLS):
        np.testing.assert_allclose(found[cell], x[cell, :GENES].mean(0), rtol=1e-4, atol=1e-5)


def test_nearest_genes_are_those_with_the_largest_centred_cosine(model, assessment):
    table = model.position_embedding.weight[:GENES].double().numpy()
    table = table - table.mean(0)
    for marker, found in nearest_genes(model, ("G0", "G20"), count=7).items():
        own = table[TABLE.symbol.index(marker)]
        cosine = {
            gene: row @ own / np.linalg.norm(row) / np.linalg.norm(own)
            for gene, row in zip(TABLE.symbol, table, strict=True)
            if gene != marker
        }
        assert found == sorted(cosine, key=cosine.get, reverse=True)[:7]
    assert list(assessment.neighbours) == ["G0", "G20"], "a marker that the model does not know is left out"
    assert all(len(near) == 5 for near in assessment.neighbours.values())


def test_depth_tokens_are_nobodys_neighbours():
    model = AidoCell.random(["A", "B", "C"], hidden=14, layers=1, heads=2, intermediate=19)
    with torch.no_grad():
        model.position_embedding.weight[3:] = model.position_embedding.weight[0]
    assert sorted(nearest_genes(model, ("A",))["A"]) == ["B", "C"]
