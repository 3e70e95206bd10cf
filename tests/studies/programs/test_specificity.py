import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import f, f_oneway, false_discovery_control, ks_2samp, kstest

from cellprism.enrich import column_blocks
from cellprism.studies.programs import specificity
from cellprism.studies.programs.specificity import (
    between_types,
    chance_share,
    shuffled_shares_apart,
    some_of_each,
    type_contrast,
)


@pytest.fixture
def cells():
    rng = np.random.default_rng(11)
    labels = rng.choice(["a", "b", "c"], size=101, p=[0.5, 0.3, 0.2])
    activation = rng.gamma(1.3, size=(101, 41))
    activation[:, 7] += 3.0 * (labels == "b")
    activation[:, 13] = 0.25  # constant
    return activation, labels


def test_the_share_is_the_between_sum_of_squares_over_the_total(cells):
    activation, labels = cells
    share = between_types(activation, labels).share
    for feature in range(41):
        x = activation[:, feature]
        between = sum((labels == t).sum() * (x[labels == t].mean() - x.mean()) ** 2 for t in "abc")
        total = ((x - x.mean()) ** 2).sum()
        assert share[feature] == pytest.approx(between / total if total > 0 else 0.0, abs=1e-10)


def test_p_values_are_those_of_scipy_corrected_over_all_features(cells):
    activation, labels = cells
    groups = [np.delete(activation, 13, axis=1)[labels == t] for t in "abc"]
    p = np.insert(f_oneway(*groups).pvalue, 13, 1.0)
    np.testing.assert_allclose(between_types(activation, labels).padj, false_discovery_control(p), rtol=1e-9)


def test_a_planted_feature_stands_out_and_a_constant_one_does_not(cells):
    found = between_types(*cells)
    assert found.share.argmax() == 7
    assert found.padj[7] < 1e-6
    assert (found.share[13], found.padj[13]) == (0.0, 1.0)


def test_shuffled_labels_give_uniform_p_and_pass_the_limit_once_in_twenty():
    rng = np.random.default_rng(3)
    labels = rng.permutation(np.repeat(["a", "b", "c"], [53, 31, 17]))
    activation = rng.normal(size=(101, 2003))
    found = between_types(activation, labels)
    assert (found.share > found.chance).mean() == pytest.approx(0.05, abs=0.015)
    statistic = found.share / 2 / ((1 - found.share) / 98)
    assert kstest(f.sf(statistic, 2, 98), "uniform").pvalue > 0.01


@pytest.mark.parametrize("at_once", [1, 250, 1 << 22])
def test_shuffled_shares_are_those_of_an_analysis_of_variance_with_the_same_labels(cells, monkeypatch, at_once):
    activation, labels = cells
    monkeypatch.setattr(specificity, "AT_ONCE", at_once)
    monkeypatch.setattr(column_blocks, "MOST", 16)
    found = shuffled_shares_apart(sp.csr_matrix(activation), labels, 0.04, 5, seed=3)
    rng = np.random.default_rng([3, 17])
    kinds, code = np.unique(labels, return_inverse=True)
    for share in found:
        assert share == pytest.approx((between_types(activation, kinds[rng.permutation(code)]).share > 0.04).mean())


def test_some_cells_of_each_type_stand_for_all(cells):
    _, labels = cells
    assert some_of_each(labels, 101, 0).tolist() == list(range(101))
    rare = np.array(["a"] * 9_000 + ["b"] * 997 + ["c"] * 3)
    rows = some_of_each(rare, 500, 0)
    assert {kind: int((rare[rows] == kind).sum()) for kind in "abc"} == {"a": 450, "b": 50, "c": 2}
    assert len(set(rows)) == len(rows) == 502
    assert rows.tolist() != some_of_each(rare, 500, 1).tolist()


def test_fewer_cells_give_the_same_chance_of_features_that_go_together():
    """Features in bundles of eleven: what spreads under shuffled labels is the bundles, whatever the cells' number."""
    rng, labels = np.random.default_rng(5), np.repeat(["a", "b", "c"], [3000, 1700, 301])
    activation = np.repeat(rng.gamma(1.3, size=(5001, 17)), 11, axis=1) + 0.1 * rng.normal(size=(5001, 187))
    drawn = {}
    for most in (5001, 600):
        rows = some_of_each(labels, most, 0)
        limit = chance_share(labels[rows])
        drawn[most] = shuffled_shares_apart(activation[rows], labels[rows], limit, 999, seed=1)
    for share in drawn.values():
        assert share.mean() == pytest.approx(0.05, abs=0.006)
    assert drawn[600].std() == pytest.approx(drawn[5001].std(), rel=0.1)
    assert ks_2samp(*drawn.values()).pvalue > 0.01


def test_types_without_any_spread_inside_explain_everything():
    labels = np.array(["a", "a", "b", "b", "b"])
    activation = np.array([[1.0], [1.0], [2.0], [2.0], [2.0]])
    assert between_types(activation, labels).share[0] == 1.0


def test_scale_and_shift_of_a_feature_do_not_matter(cells):
    activation, labels = cells
    np.testing.assert_allclose(
        between_types(3.5 * activation - 2, labels).share, between_types(activation, labels).share
    )


def test_the_contrast_is_in_standard_deviations_and_balances_out(cells):
    activation, labels = cells
    contrast = type_contrast(activation, labels)
    assert contrast.shape == (41, 3)
    assert list(contrast.columns) == ["a", "b", "c"]
    x = activation[:, 7]
    assert contrast.loc[7, "b"] == pytest.approx((x[labels == "b"].mean() - x.mean()) / x.std())
    assert (contrast.loc[13] == 0).all()
    sizes = np.array([(labels == t).sum() for t in "abc"])
    np.testing.assert_allclose(contrast.to_numpy() @ sizes, 0, atol=1e-9)
