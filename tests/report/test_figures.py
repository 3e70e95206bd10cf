import json
from dataclasses import replace

import numpy as np
import pytest

from cellprism.report.figures.contrast import axis_title, gap_title
from cellprism.report.figures.enrichment import rate_title
from cellprism.report.figures.features import feature_map, program_heatmap
from cellprism.report.figures.figure import log_axis, percent, plain, small, small_text, wrapped
from cellprism.report.figures.model import error_figure
from cellprism.report.figures.scores import SCORE_LABELS, score_table
from cellprism.report.figures.steering import dose_figure, dose_title, steering_table, term_table
from cellprism.report.gather.contrast import contrast_claims
from cellprism.report.sections import page_sections
from cellprism.report.words import words_for


@pytest.fixture(scope="module")
def figures(facts):
    return {f.id: f for section in page_sections(facts) for row in section.rows for f in row}


def test_every_figure_of_the_page_is_there(figures):
    assert set(figures) == {
        "held-out-error",
        "cell-types-readable",
        "sae-training",
        "feature-firing",
        "feature-map",
        "program-heatmap",
        "annotated-rate",
        "dose-12",
        "genes-12",
        "dose-40",
        "genes-40",
        "axis-latent",
        "gap-latent",
        "axis-expression",
        "gap-expression",
        "both-scales",
        "recipe-path",
    }


def test_every_figure_says_its_finding_how_to_read_it_what_it_shows_and_where_it_comes_from(figures, whole_run):
    for figure in figures.values():
        assert len(figure.title) > 20, figure.id
        assert len(figure.reading) > 80, figure.id
        assert len(figure.alt) > 30, figure.id
        assert figure.files
        assert all((whole_run / file).exists() for file in figure.files), figure.id


def test_every_axis_with_numbers_has_a_title(figures):
    for figure in figures.values():
        layout = figure.plot.to_plotly_json()["layout"]
        if figure.id != "program-heatmap":
            assert layout["xaxis"]["title"]["text"], figure.id
        numeric = {"sae-training", "feature-map", "dose-12", "gap-latent", "both-scales", "recipe-path"}
        if figure.id in numeric:
            assert layout["yaxis"]["title"]["text"], figure.id


def test_figures_are_plain_json_without_nan(figures):
    for figure in figures.values():
        json.loads(figure.plot.to_json(), parse_constant=pytest.fail)


def test_features_that_never_fire_are_not_on_the_map(facts, figures):
    shown = sum(len(trace.x) for trace in figures["feature-map"].plot.data)
    assert shown == int((facts.features.table["firing_rate"] > 0).sum())
    assert f"of {shown} firing features" in figures["feature-map"].title


def test_without_types_there_is_no_map_and_no_heat_map(facts):
    bare = replace(facts.features, contrast=None, chance_share=None)
    assert feature_map(bare, 0.05, ()) is None
    assert program_heatmap(bare, 0.05, ()) is None


def test_without_programs_there_is_no_heat_map(facts):
    none = replace(facts.features, table=facts.features.table.assign(best_padj=1.0))
    assert program_heatmap(none, 0.05, ()) is None


def test_the_heat_map_shows_one_feature_for_each_program(figures):
    (heat,) = figures["program-heatmap"].plot.data
    programs = [name.rsplit(" · ", 1)[0] for name in heat.y]
    assert len(programs) == len(set(programs)) == 9


@pytest.mark.parametrize(
    ("rate", "ending"),
    [
        (0.59, "not clearly more than the 57\u00a0% of co-expression modules (E3)"),
        (0.15, "fewer than the 57\u00a0% of co-expression modules (E3)"),
        (0.9, "more than any control with lists as long"),
    ],
)
def test_the_title_of_the_rates_follows_the_numbers(facts, rate, ending):
    changed = {"rate": rate, "interval": [rate - 0.04, rate + 0.04]}
    rows = [{**row, **changed} if row["name"] == "features" else row for row in facts.rates.rows]
    assert rate_title(replace(facts.rates, rows=rows)).endswith(ending)


def test_controls_with_lists_of_another_length_are_told_apart(facts, figures):
    drawn = {trace.name: len(trace.x) for trace in figures["annotated-rate"].plot.data}
    assert drawn["SAE features"] == 1
    assert drawn["SAE features, lists of fixed length"] == 1
    assert drawn["controls"] == 5
    assert drawn["controls with longer or shorter lists"] == 1
    bare = replace(facts.rates, rows=facts.rates.rows[:1])
    assert rate_title(bare).endswith("(no control was measured)")


def test_the_excess_stands_beside_the_rates(figures):
    rows = {row[0]: row for row in figures["annotated-rate"].numbers.rows}
    assert rows["popularity-matched lists (E1)"][3] == "18\u00a0% [13\u00a0%, 23\u00a0%]"
    assert rows["co-expression modules (E3)"][3] == "–"


def test_the_title_of_the_errors_follows_the_paired_differences(facts):
    assert "not clearly better than mean of the cell's own type" in error_figure(facts.model, ()).title
    held_out = {n: replace(m, behind=(-0.1, 0.1)) for n, m in facts.model.held_out.items()}
    assert error_figure(replace(facts.model, held_out=held_out), ()).title == "The model beats no yardstick"
    assert error_figure(replace(facts.model, held_out={}), ()) is None


def test_the_title_of_a_dose_follows_its_null(facts):
    strong, weak = facts.steering[0].features
    assert "beyond matched random features (p = 0.048)" in dose_title(strong)
    assert "no more than matched random features do (p = 0.38)" in dose_title(weak)
    wide = replace(weak.response, random_feature=replace(weak.response.random_feature, interval=(-0.4, 0.4)))
    assert "too few random features" in dose_title(replace(weak, response=wide))
    turned = replace(strong, response=replace(strong.response, value=-0.3))
    assert "against its strength" in dose_title(turned)


def test_the_null_band_is_pinched_where_nothing_is_changed(facts):
    strong = facts.steering[0].features[0]
    band = dose_figure(strong, 97, words_for(), ()).plot.data[0]
    at_one = [y for x, y in zip(band.x, band.y, strict=True) if x == 1]
    assert at_one == [0.0, 0.0]
    assert (min(band.x), max(band.x)) == (-3.0, 5.0)


def test_without_random_features_there_is_no_band(facts):
    strong = facts.steering[0].features[0]
    bare = replace(
        strong,
        response=replace(strong.response, random_feature=replace(strong.response.random_feature, interval=None)),
    )
    assert len(dose_figure(bare, 97, words_for(), ()).plot.data) == 2
    assert steering_table(replace(facts.steering[0], features=[bare])).rows[0][2] == "not measured"


def test_titles_of_a_contrast_name_their_control(facts):
    latent = facts.contrasts[0]
    assert "with shuffled labels" in axis_title(latent)
    assert "(shuffled labels: 52\u00a0% and 50\u00a0%)" in gap_title(latent)
    assert "CD8A closes 4.0\u00a0% of its gap (random edits −4.0\u00a0% to 6.0\u00a0%)" in gap_title(latent)
    wild = replace(latent.named["CD8A"], null=replace(latent.named["CD8A"].null, interval=(-3.0, 4.0)))
    assert "CD8A cannot be told" in gap_title(replace(latent, named={"CD8A": wild}))
    bare = replace(latent, scores={n: replace(s, nulls={}) for n, s in latent.scores.items()}, named={})
    assert "no shuffled-label control" in axis_title(bare)
    assert "(no control)" in gap_title(bare)


def test_every_score_stands_beside_its_nulls(facts):
    table = score_table(facts.contrasts[0])
    assert len(table.rows) == len(facts.contrasts[0].scores)
    assert all(len(row) == len(table.header) for row in table.rows)
    assert all("not measured" not in row for row in table.rows)
    bare = replace(
        facts.contrasts[0],
        scores={"up_correct": replace(facts.contrasts[0].scores["up_correct"], nulls={}, competitors={})},
    )
    assert score_table(bare).rows[0][-1] == "cannot be told here"


def test_no_verdict_is_given_where_neither_direction_is_better(facts):
    verdicts = {row[0].split(" ")[0]: row[-1] for row in score_table(facts.contrasts[0]).rows}
    assert verdicts["drift"] == "–"
    assert verdicts["cells"] == "above chance"


def test_the_table_of_scores_says_what_the_claims_say(facts):
    contrast = facts.contrasts[0]
    lucky = replace(contrast.scores["latent_progress"], short_search=0.0)
    contrast = replace(contrast, scores={**contrast.scores, "latent_progress": lucky})
    rows = {row[0]: row[-1] for row in score_table(contrast).rows}
    claims = {claim.id: claim.verdict for claim in contrast_claims(contrast)}
    assert claims["contrast-latent-latent-progress"] == "cannot be told here"
    for name, label in SCORE_LABELS.items():
        id = f"contrast-latent-{name.replace('_', '-')}"
        if id in claims:
            assert rows[label] == claims[id], name


def test_a_logarithmic_axis_has_marks_to_read_it_by():
    assert {0.05, 0.1, 0.2, 0.5, 1, 2} <= set(log_axis([0.07, 4.0])["tickvals"])
    wide = log_axis([0, 1e-5, 3.0])["tickvals"]
    assert {1e-5, 1e-4} <= set(wide)
    assert not {2e-5, 5e-4} & set(wide)


def test_programs_of_the_moved_genes_are_listed_by_feature_and_direction(facts):
    rows = term_table(facts.steering[0], 0.05).rows
    assert rows[0] == (
        "12 (B cell receptor signalling)",
        "5",
        "rise",
        "20",
        "B cell receptor signalling",
        "2e−6",
    )
    assert len(rows) == 4
    assert {row[4] for row in term_table(facts.steering[0], 1e-9).rows} == {"none"}


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


def test_points_of_the_gap_figure_stay_within_its_range(figures):
    plot = figures["gap-latent"].plot
    low, high = plot.layout.yaxis.range
    for trace in plot.data:
        assert np.all((np.asarray(trace.y) >= low) & (np.asarray(trace.y) <= high))
