"""Strengths at which cells no longer look like cells are warned about, and marked in the figure of the doses."""

from cellprism.studies.steer.tables import read
from cellprism.studies.steer.view import too_far


def test_a_feature_judged_beyond_its_plausible_strengths_is_warned_about(whole_run, page):
    (experiment,) = read(whole_run / "steer").experiments
    said = too_far(experiment)
    assert len(said) == 2
    assert "feature 12 is judged at strengths -3 and 5, but beyond -1 to 3" in said[0]
    for row in experiment.summary["features"][:2]:
        row["plausible"] = [-3.0, 5.0]
    assert too_far(experiment) == []
    figure = page.figures["dose-12"]
    assert [shape["x0"] for shape in figure.plot.to_plotly_json()["layout"]["shapes"]] == [1, -1.0, 3.0]
    assert "no longer look like cells" in figure.reading
