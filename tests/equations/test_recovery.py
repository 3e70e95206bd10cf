import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.metrics import f1_score, r2_score, roc_auc_score

from cellprism.equations.recovery import auroc, auroc_of_sets, correlations, explained, f1, f1_cut, one_to_one


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_correlations_are_numpys_and_those_of_a_constant_are_zero(rng):
    a, b = rng.normal(size=(17, 5)), rng.normal(size=(17, 7)) + 100
    b[:, 3], a[:, 1] = 0.1, 1e9
    found = correlations(a, b)
    for i in range(5):
        for j in range(7):
            expected = 0 if j == 3 or i == 1 else np.corrcoef(a[:, i], b[:, j])[0, 1]
            assert found[i, j] == pytest.approx(expected, abs=1e-9)


def test_the_assignment_is_the_best_of_all():
    strength = np.array([[0.9, 0.8, 0.1], [0.8, 0.1, 0.0]])
    assert one_to_one(strength).tolist() == [1, 0, -1]
    assert one_to_one(strength.T).tolist() == [1, 0]


def test_aurocs_are_scikit_learns_with_ties(rng):
    values = rng.integers(0, 5, size=(43, 11)).astype(float)
    positive = rng.random((43, 3)) < 0.3
    positive[:, 2] = False
    found = auroc(values, positive)
    for i in range(11):
        for j in range(2):
            assert found[i, j] == pytest.approx(roc_auc_score(positive[:, j], values[:, i]))
    assert np.isnan(found[:, 2]).all()
    np.testing.assert_allclose(auroc_of_sets(values.T, csr_array(positive.T)), found)


def test_f1_is_scikit_learns(rng):
    a, b = rng.random(41) < 0.4, rng.random(41) < 0.3
    assert f1(a, b) == pytest.approx(f1_score(b, a))
    assert f1(np.zeros(3, bool), np.zeros(3, bool)) == 0


def test_the_cut_is_the_best_of_all_cuts(rng):
    for _ in range(20):
        values, actual = rng.integers(0, 6, 37).astype(float), rng.random(37) < 0.3
        best = max(f1(values >= cut, actual) for cut in np.unique(values))
        assert f1(values >= f1_cut(values, actual), actual) == best
    assert f1_cut(np.arange(3.0), np.zeros(3, bool)) == np.inf


def test_explained_is_scikit_learns(rng):
    actual, predicted = rng.normal(size=(29, 3)), rng.normal(size=(29, 3))
    actual[:, 1] = 2.0
    found = explained(actual, predicted)
    assert found[0] == pytest.approx(r2_score(actual[:, 0], predicted[:, 0]))
    assert np.isnan(found[1])
