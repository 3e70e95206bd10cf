import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cellprism.equations.effects import permutation_p
from cellprism.report.verdict import FEWEST_DRAWS, VERDICTS, judge, judge_draws, judge_units

number = st.floats(-50, 50)
width = st.floats(0, 20)


@pytest.mark.parametrize(
    ("value", "interval", "null", "verdict"),
    [
        pytest.param(0.59, (0.50, 0.67), (0.0, 0.03), "above chance", id="far above the null is above chance"),
        pytest.param(0.20, (0.17, 0.24), (0.35, 0.47), "below chance", id="far below the null is below chance"),
        pytest.param(0.41, (0.37, 0.45), (0.36, 0.44), "at chance", id="a sharp value inside the null is at chance"),
        pytest.param(
            0.40,
            (0.20, 0.60),
            (0.36, 0.44),
            "cannot be told here",
            id="a vague value inside the null tells nothing",
        ),
        pytest.param(
            0.47,
            (0.43, 0.51),
            (0.36, 0.44),
            "cannot be told here",
            id="a value that overlaps the edge tells nothing",
        ),
        pytest.param(0.05, None, (-0.02, 0.03), "above chance", id="an exact value needs no interval"),
        pytest.param(0.01, None, (-0.02, 0.03), "at chance", id="an exact value inside the null is at chance"),
        pytest.param(0.035, None, (-0.02, 0.03), "above chance", id="an exact value just outside the null is above"),
        pytest.param(0.0, (0.0, 0.0), (0.0, 0.0), "at chance", id="nothing against nothing is at chance"),
        pytest.param(
            0.1,
            (-0.1, 0.3),
            (0.0, 0.0),
            "cannot be told here",
            id="an exact null inside the interval tells nothing",
        ),
        pytest.param(0.44, (0.44, 0.50), (0.36, 0.44), "cannot be told here", id="touching the null is not beyond it"),
        pytest.param(None, None, (0.0, 1.0), "cannot be told here", id="nothing measured tells nothing"),
        pytest.param(float("nan"), None, (0.0, 1.0), "cannot be told here", id="NaN tells nothing"),
        pytest.param(0.9, (0.8, 1.0), None, "cannot be told here", id="without a null nothing is told"),
        pytest.param(
            0.9,
            (float("nan"), float("nan")),
            (0.1, 0.2),
            "cannot be told here",
            id="an interval of NaN tells nothing",
        ),
        pytest.param(0.9, (0.8, 1.0), (float("-inf"), 0.2), "cannot be told here", id="an endless null tells nothing"),
    ],
)
def test_verdict_of(value, interval, null, verdict):
    assert judge(value, interval, null).verdict == verdict


def test_at_chance_needs_a_run_that_could_have_seen_a_difference_that_matters():
    wide = (0.41, (0.37, 0.45), (0.21, 0.61))
    assert judge(*wide).verdict == "at chance"
    assert judge(*wide, matters=0.1).verdict == "cannot be told here"  # 0.04 + 0.2 would have gone unseen
    assert judge(*wide, matters=0.25).verdict == "at chance"


def test_a_difference_too_small_to_matter_is_still_above_chance():
    assert judge(0.012, None, (-0.002, 0.004), matters=0.05).verdict == "above chance"


def test_a_reason_is_given_exactly_when_it_cannot_be_told():
    for value, interval, null in [
        (0.5, (0.4, 0.6), (0.0, 0.1)),
        (0.5, (0.0, 1.0), (0.4, 0.6)),
        (None, None, None),
    ]:
        found = judge(value, interval, null)
        assert bool(found.why) == (found.verdict == "cannot be told here")


def test_the_reason_names_both_intervals_and_the_smallest_difference_that_would_have_shown():
    why = judge(0.40, (0.20, 0.60), (0.36, 0.44), ".0%").why
    for part in ("20\u00a0%", "60\u00a0%", "36\u00a0%", "44\u00a0%", "24\u00a0%"):  # 0.20 + half of 0.08
        assert part in why


@given(value=number, low=width, high=width, centre=number, spread=width, shift=st.integers(-64, 64))
def test_moving_value_and_null_together_changes_nothing(value, low, high, centre, spread, shift):
    interval, null = (value - low, value + high), (centre - spread, centre + spread)
    assume_clear(interval, null)
    moved = judge(value + shift, shifted(interval, shift), shifted(null, shift))
    assert moved.verdict == judge(value, interval, null).verdict


@given(value=number, low=width, high=width, centre=number, spread=width)
def test_turning_the_sign_swaps_above_and_below(value, low, high, centre, spread):
    interval, null = (value - low, value + high), (centre - spread, centre + spread)
    turned = judge(-value, (-interval[1], -interval[0]), (-null[1], -null[0])).verdict
    swap = {"above chance": "below chance", "below chance": "above chance"}
    verdict = judge(value, interval, null).verdict
    assert turned == swap.get(verdict, verdict)
    assert verdict in VERDICTS


def test_chance_is_seldom_called_more_than_chance():
    """Values drawn from the null itself, each with its own honest interval: 2.5 % at most on either side."""
    rng = np.random.default_rng(7)
    values, spread = rng.normal(size=4001), 1.96
    verdicts = [judge(float(v), (float(v) - spread, float(v) + spread), (-spread, spread)).verdict for v in values]
    for beyond in ("above chance", "below chance"):
        assert verdicts.count(beyond) / len(values) < 0.025
    exact = [judge(float(v), None, (-spread, spread)).verdict for v in values]
    assert exact.count("above chance") / len(values) == pytest.approx(0.025, abs=0.008)


def shifted(interval, by):
    return interval[0] + by, interval[1] + by


def assume_clear(interval, null):
    """Leave out ties, which rounding decides."""
    margin = (null[1] - null[0]) / 2
    for a in interval:
        for b in (*null, null[0] - margin, null[1] + margin):
            assume(abs(a - b) > 1e-6)


def test_p_values_of_draws_are_uniform_under_the_null():
    """The value is one more draw, of a skewed distribution: P(p <= a) is a where a is a step of p."""
    rng = np.random.default_rng(11)
    draws = 199
    p = np.array([permutation_p(row[0], row[1:]) for row in rng.lognormal(size=(4001, 1 + draws))])
    for level in (0.01, 0.05, 0.2, 0.5):
        assert (p <= level).mean() == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 4001))


def test_ties_make_p_larger_never_smaller():
    rng = np.random.default_rng(12)
    p = np.array([permutation_p(row[0], row[1:]) for row in rng.binomial(4, 0.3, size=(2003, 100)).astype(float)])
    assert (p <= 0.05).mean() <= 0.06
    assert permutation_p(0.0, np.zeros(99)) == 1.0
    assert np.isnan(permutation_p(np.nan, np.zeros(99)))
    assert np.isnan(permutation_p(0.0, np.array([0.0, np.nan])))
    assert permutation_p(1.0, np.full(99, 1.0 + 1e-9)) == 1.0  # rounding is no difference


def test_p_is_two_sided_by_doubling():
    drawn = np.arange(1.0, 40.0)
    assert permutation_p(100.0, drawn) == permutation_p(-100.0, drawn) == pytest.approx(2 / 40)
    assert permutation_p(38.5, drawn) == pytest.approx(4 / 40)
    assert permutation_p(20.0, drawn) == 1.0


@pytest.mark.parametrize(
    ("value", "draws", "verdict"),
    [
        pytest.param(5.0, FEWEST_DRAWS, "above chance", id="beyond 39 draws is above"),
        pytest.param(-5.0, FEWEST_DRAWS, "below chance", id="and on the other side below"),
        pytest.param(5.0, FEWEST_DRAWS - 1, "cannot be told here", id="38 draws are too few"),
        pytest.param(0.1, 199, "at chance", id="among the draws is at chance"),
        pytest.param(None, 199, "cannot be told here", id="nothing measured tells nothing"),
    ],
)
def test_the_verdict_of_draws(value, draws, verdict):
    drawn = np.random.default_rng(3).normal(size=draws)
    interval = tuple(np.percentile(drawn, [2.5, 97.5]).tolist())
    p = 1.0 if value is None else permutation_p(value, drawn)
    found = judge_draws(value, p, draws, interval)
    assert found.verdict == verdict
    assert bool(found.why) == (verdict == "cannot be told here")


def test_draws_of_chance_are_called_beyond_chance_once_in_twenty():
    rng = np.random.default_rng(9)
    verdicts = []
    for row in rng.gamma(0.5, size=(2003, 1 + FEWEST_DRAWS)):
        low, high = np.percentile(row[1:], [2.5, 97.5])
        p = permutation_p(row[0], row[1:])
        verdicts.append(judge_draws(float(row[0]), p, FEWEST_DRAWS, (float(low), float(high))).verdict)
    beyond = np.isin(verdicts, ["above chance", "below chance"]).mean()
    assert beyond == pytest.approx(0.05, abs=0.015)
    for side in ("above chance", "below chance"):
        assert verdicts.count(side) / len(verdicts) == pytest.approx(0.025, abs=0.012)


def test_wide_draws_are_no_evidence_of_chance():
    assert judge_draws(0.1, 0.8, 99, (-1.0, 1.0), matters=0.1).verdict == "cannot be told here"


def test_a_value_at_the_edge_without_its_p_is_not_called():
    found = judge_draws(0.21, 0.06, 99, (-0.2, 0.2))
    assert (found.verdict, "p = 0.06" in found.why) == ("cannot be told here", True)


@pytest.mark.parametrize(
    ("value", "interval", "p", "units", "verdict", "why"),
    [
        pytest.param(0.5, (0.4, 0.6), 0.001, 5, "above chance", "", id="far above"),
        pytest.param(0.1, (0.0, 0.2), 0.001, 5, "below chance", "", id="far below"),
        pytest.param(0.31, (0.29, 0.33), 0.2, 5, "at chance", "", id="near for certain"),
        pytest.param(0.31, (0.15, 0.47), 0.8, 5, "cannot be told here", "only a difference of about 0.16", id="vague"),
        pytest.param(0.5, (0.4, 0.6), 0.001, 4, "cannot be told here", "4 measured", id="four are too few"),
        pytest.param(
            0.5, None, None, 5, "cannot be told here", "all 5 differ from their control alike", id="no spread"
        ),
        pytest.param(None, None, None, 5, "cannot be told here", "does not measure it", id="nothing measured"),
        pytest.param(0.5, (0.4, 0.6), 0.3, 5, "cannot be told here", "at the edge", id="the draws say no"),
    ],
)
def test_the_verdict_over_units(value, interval, p, units, verdict, why):
    found = judge_units(value, interval, 0.3, p, units, matters=0.05)
    assert found.verdict == verdict
    assert why in found.why
    assert bool(found.why) == (verdict == "cannot be told here")
