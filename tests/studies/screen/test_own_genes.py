"""Features beside those of other dictionaries: what is planted stands out, one more draw does not."""

import numpy as np
import pytest

from cellprism.studies.screen.own_genes import Dictionary, beside_controls, describes, share_beyond, standing
from cellprism.studies.screen.summary import apart, bootstrap_rank, quadrants, rank_correlation

N, CONTROLS = 40, 79


def drawn(seed: int, shift: float = 0.0, follows: float = 0.0) -> Dictionary:
    """Features whose responses are noise in proportion to their edits, raised by ``shift``; effects follow
    descriptions."""
    rng = np.random.default_rng(seed)
    measures = rng.standard_normal((N, 4))
    described = rng.gamma(1.0, 2.0, N)
    response = np.exp(measures[:, 1]) * (rng.standard_normal(N) + shift)
    return Dictionary(np.arange(N), measures, response, described, follows * described + rng.gamma(2.0, 1.0, N))


def test_one_more_draw_is_called_as_often_as_it_may_be_and_a_shift_is_found():
    calls, shares = 0, []
    for replicate in range(60):
        one, *others = (drawn(100 * replicate + i) for i in range(6))
        rest = [[*others[:i], *others[i + 1 :]] for i in range(5)]
        moves = [share_beyond(other, some, CONTROLS) for other, some in zip(others, rest, strict=True)]
        found = standing("drawn", share_beyond(one, others, CONTROLS), moves)
        if found is not None and found.p is not None:
            calls += found.p <= 0.05
            shares.append(found.value)
    assert calls / 60 < 0.12
    assert np.mean(shares) == pytest.approx(0.025, abs=0.01)
    others = [drawn(7 + i) for i in range(5)]
    rest = [[*others[:i], *others[i + 1 :]] for i in range(5)]
    moves = [share_beyond(other, some, CONTROLS) for other, some in zip(others, rest, strict=True)]
    found = standing("drawn", share_beyond(drawn(3, shift=2.5), others, CONTROLS), moves)
    assert found is not None
    assert found.p < 0.01
    assert found.value > found.interval[1]


def test_a_feature_that_moves_its_genes_has_a_small_q_and_others_have_not():
    one, others = drawn(0), [drawn(i) for i in range(1, 9)]
    one.response[0] = 0.0
    one.response[4] = 90 * np.exp(one.measures[4, 1])
    one.measures[5] = np.nan
    one.response[5] = np.nan
    table = beside_controls(one, others, 399)  # all 320 there are
    assert table["p"].idxmin() == 4
    assert table["p"].min() == pytest.approx(2 / 321)
    assert table["q"].min() == table.loc[4, "q"]
    assert table.loc[5].isna().all()
    assert beside_controls(one, [], 9).isna().all().all()
    assert np.isnan(share_beyond(one, [], 9))


def test_a_control_is_scaled_to_the_edit_of_the_feature():
    one, other = drawn(0), drawn(1)
    one.measures[:] = 0.0
    other.measures[:] = 0.0
    other.measures[:, 1] = np.log(2.0)
    table = beside_controls(one, [other], N)
    assert table["control"].to_numpy() == pytest.approx(np.full(N, other.response.mean() / 2))


def test_description_beside_effect():
    assert describes(drawn(0, follows=9.0)) > 0.7
    assert abs(np.mean([describes(drawn(i)) for i in range(20)])) < 0.15
    still = drawn(0)
    still.described[:] = 1.0
    assert np.isnan(describes(still))
    assert standing("none", float("nan"), [0.1, 0.2]) is None
    assert standing("none", 0.1, [float("nan")]) is None
    assert standing("few", 0.1, [0.2]).p is None


def test_quadrants_ranks_and_what_stands_apart():
    says, does = np.array([0.0, 1.0, 2.0, 9.0]), np.array([4.0, 3.0, 2.0, 1.0])
    assert quadrants(says, does)[0] == "not described, moves genes"
    assert quadrants(says, does)[3] == "described, moves little"
    assert apart(says, does).tolist() == pytest.approx([-1, -1 / 3, 1 / 3, 1])
    assert rank_correlation(says, does) == pytest.approx(-1)
    assert rank_correlation(says[:3], does[:3]) is None
    low, high = bootstrap_rank(says, does, 0)
    assert low <= -1 <= high
    assert bootstrap_rank(says, np.ones(4), 0) is None
