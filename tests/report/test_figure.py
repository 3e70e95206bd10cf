"""What every figure of a page has, and the small helpers that write numbers and names into them."""

import json

import pytest

from cellprism.report.figure import log_axis, percent, plain, small, small_text, wrapped


def test_every_figure_of_the_page_is_there(page):
    assert set(page.figures) == {
        "hidden-gene-error",
        "output-follows-counts",
        "cell-types-readable",
        "block-dimensions",
        "block-dictionaries",
        "sae-training",
        "feature-firing",
        "feature-map",
        "program-heatmap",
        "annotated-rate",
        "seed-excess",
        "adds-excess",
        "screen-agreement",
        "screen-quadrants",
        "screen-ranges",
        "pareto-front",
        "pareto-cosines",
        "pareto-path-cosines",
        "pareto-beside",
        "pareto-genes",
        "pareto-curve",
        "pareto-plane-final",
        "pareto-plane-site",
        "contrast-fractions",
        "contrast-curve",
        "steering-expression",
        "naming-foretell",
        "adds-best-rival",
        "steering-overview",
        "sae-beside-untrained",
        "gene-or-state",
        "state-followed",
        "map-features",
        "map-cells",
        "map-overlaps",
        "map-meaning",
        "stability-grades",
        "stability-matches",
        "lens-rare-cells",
        "lens-set-high",
        "compare-differences",
        "ladder-top20",
        "ladder-correlation",
        "ladder-ratios",
        "ladder-information",
        "dose-12",
        "genes-12",
        "dose-40",
        "genes-40",
        "axis-latent",
        "gap-latent",
        "doses-latent",
        "doses-expression",
        "axis-expression",
        "gap-expression",
        "both-scales",
        "recipe-path",
        "regulation-overall",
        "regulation-factor-tbx21",
        "regulation-factor-spi1",
        "regulation-factor-irf1",
        "regulation-factor-stat1",
        "regulation-doses",
        "regulation-tbx21",
        "regulation-tbx21-targets",
        "regulation-factors",
        "regulation-experiments",
    }


def test_every_figure_says_its_finding_how_to_read_it_what_it_shows_and_where_it_comes_from(page, whole_run):
    for figure in page.figures.values():
        assert len(figure.title) > 20, figure.id
        assert len(figure.reading) > 80, figure.id
        assert len(figure.alt) > 30, figure.id
        assert figure.files
        assert all((whole_run / file).exists() for file in figure.files), figure.id


def test_every_axis_with_numbers_has_a_title(page):
    for figure in page.figures.values():
        layout = figure.plot.to_plotly_json()["layout"]
        of_places = ("map-features", "map-cells", "pareto-plane-final", "pareto-plane-site")
        if figure.id not in ("program-heatmap", *of_places):  # of a map, near is all that is said
            assert layout["xaxis"]["title"]["text"], figure.id
        numeric = {"sae-training", "feature-map", "dose-12", "gap-latent", "both-scales", "recipe-path"}
        if figure.id in numeric:
            assert layout["yaxis"]["title"]["text"], figure.id


def test_figures_are_plain_json_without_nan(page):
    for figure in page.figures.values():
        json.loads(figure.plot.to_json(), parse_constant=pytest.fail)


def test_a_logarithmic_axis_has_marks_to_read_it_by():
    assert {0.05, 0.1, 0.2, 0.5, 1, 2} <= set(log_axis([0.07, 4.0])["tickvals"])
    wide = log_axis([0, 1e-5, 3.0])["tickvals"]
    assert {1e-5, 1e-4} <= set(wide)
    assert not {2e-5, 5e-4} & set(wide)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.594, "59\u00a0%"),
        (0.004, "0.4\u00a0%"),
        (0.0, "0\u00a0%"),
        (-0.09, "−9.0\u00a0%"),
        (1.0, "100\u00a0%"),
    ],
)
def test_shares_in_words_lose_nothing_small(share, text):
    assert percent(share) == text


def test_small_probabilities_are_readable():
    assert small(2e-7) == "2 × 10<sup>−7</sup>"
    assert small(0.034) == "0.034"
    assert small_text(2e-7) == "2e−7"


def test_labels_are_escaped_before_they_are_wrapped():
    assert plain("<script>&") == "&lt;script&gt;&amp;"
    assert wrapped("a <b> label that is long", 9) == "a &lt;b&gt;<br>label<br>that is<br>long"
    assert wrapped("") == ""
