"""The page's part about all features, on a made-up run."""

import numpy as np
import pytest

from cellprism.studies.screen.claims import MOVES
from studies.made_up import Shown


def test_what_all_features_say_is_judged_among_dictionaries(page: Shown):
    claim = page.claims[MOVES]
    assert claim.verdict == "above chance"
    assert claim.null.units == 5
    assert claim.source.field == "summary.moves.value"
    assert [name for name in page.claims if name.startswith("screen-")] == [MOVES]


def test_figures_say_what_they_show(page: Shown):
    titles = {name: figure.title for name, figure in page.figures.items() if name.startswith("screen-")}
    assert titles["screen-agreement"].endswith(
        "+0.91 (gradient), +0.94 (with attention and norms held fixed), +0.97 (own tokens exactly, others by the "
        "gradient)"
    )
    assert "+0.21" in titles["screen-quadrants"]
    assert titles["screen-ranges"].split()[2] == "6"
    bars = page.figures["screen-ranges"].plot.data[0]
    assert (np.array(bars.base) == -3).all()
    dots = page.figures["screen-quadrants"].plot.data[0]
    assert len(dots.x) == 53


def test_the_section_says_how_far_to_believe_it(page: Shown):
    part = page.sections["screen"]
    assert "5 of 53 features move the genes of their own lists beyond their controls" in part.said
    assert "by +0.91 (gradient), +0.94 (with attention and norms held fixed), +0.97 (own" in part.said
    (told,) = part.told.values()
    assert told.startswith("11.3\u00a0% of firing features move the genes of their own lists")
    rows = part.long[0].rows
    assert [row[0].text for row in rows] == [str(i) for i in range(53)]
    assert part.tables[1].numbers.rows[0][2] in ("described", "moves genes")
    assert "taken was the places of all features" in part.method
    assert pytest.approx(1.0) == len(part.cannot)
