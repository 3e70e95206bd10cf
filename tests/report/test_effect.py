"""Changes in percent and folds."""

import math

import numpy as np
import pytest

from cellprism.report.effect import between, change_axis, changed, gap_axis, in_percent, moves, on_axis
from cellprism.report.words import LOG_COUNTS, words_for

LOGIT = words_for("genes", "token_logit")
SPACE = "\u00a0"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (0.003, "+0.3 %"), (-0.003, "−0.3 %"), (0.164, "+18 %"), (-0.0006148, "−0.061 %"), (0.0, "0 %"),
        (1e-6, "+<0.01 %"), (math.log(1.9951), "+100 %"), (math.log(2.7), "2.7-fold up"),
        (-math.log(2), "2-fold down"), (-math.log(1.99), "−50 %"), (math.log(130), "130-fold up"),
    ],
)  # fmt: skip
def test_a_change_of_log_counts_is_a_ratio(change, words):
    assert in_percent(change) == words.replace(" %", f"{SPACE}%")


def test_a_ratio_is_that_of_the_counts_plus_one():
    """A gene of 9 counts per 10,000 that goes to 10 rises by a tenth of 1 + 9."""
    assert in_percent(math.log1p(10) - math.log1p(9)) == f"+10{SPACE}%"


def test_logits_are_no_amounts():
    assert changed(0.164, LOGIT.unit) == "+0.16"
    assert changed(-12.0, LOGIT.unit) == "−12"
    assert changed(0.00001, LOGIT.unit) == "+1e−5"
    assert between(-0.003, 0.164, LOG_COUNTS) == f"−0.3{SPACE}% to +18{SPACE}%"
    np.testing.assert_array_equal(on_axis([0.5, -1.0], LOGIT.unit), [0.5, -1.0])
    assert "logit" in change_axis("change", LOGIT)["title"]["text"]


def test_axes_are_relative():
    np.testing.assert_allclose(on_axis([0.0, math.log(2)], LOG_COUNTS), [0.0, 1.0])
    assert change_axis("change", words_for())["title"]["text"] == "change"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (0.003, "raises GNLY by 0.3 %"), (-0.003, "lowers GNLY by 0.3 %"), (1.0, "raises GNLY 2.7-fold"),
        (-1.0, "lowers GNLY 2.7-fold"),
    ],
)  # fmt: skip
def test_what_an_edit_does_has_a_direction_and_a_size(change, said):
    assert moves(change, LOG_COUNTS, "GNLY") == said.replace(" %", f"{SPACE}%")


def test_gaps_are_named_as_folds_each_way():
    axis = gap_axis("gap", 2.0, words_for())
    assert axis["ticktext"] == [
        "5-fold<br>lower", "3-fold<br>lower", "2-fold<br>lower", "equal", "2-fold<br>higher", "3-fold<br>higher",
        "5-fold<br>higher",
    ]  # fmt: skip
    assert np.allclose(np.exp(axis["tickvals"]), [1 / 5, 1 / 3, 1 / 2, 1, 2, 3, 5])
    assert gap_axis("gap", 0.01, words_for())["ticktext"] == ["equal"]
    assert "tickvals" not in gap_axis("gap", 2.0, LOGIT)
