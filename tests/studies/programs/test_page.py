"""Features on the page: the map, the heat map, the rates beside their controls, the table of all."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from cellprism.studies.programs.feature_rows import feature_rows
from cellprism.studies.programs.figures import feature_map, program_heatmap
from cellprism.studies.programs.over_seeds import excess_of
from cellprism.studies.programs.rates import rate_title
from studies.made_up import edit_json, shown


@pytest.fixture
def programs(page):
    return page.found["programs"]


def test_features_that_never_fire_are_not_on_the_map(page, programs):
    drawn = sum(len(trace.x) for trace in page.figures["feature-map"].plot.data)
    assert drawn == int((programs.features["firing_rate"] > 0).sum())
    assert f"of {drawn} firing features" in page.figures["feature-map"].title


def test_without_types_there_is_no_map_and_no_heat_map(page, programs):
    bare = replace(programs, specificity=None)
    assert feature_map(bare, page.context, ()) is None
    assert program_heatmap(bare, ()) is None


def test_without_programs_there_is_no_heat_map(programs):
    assert program_heatmap(replace(programs, features=programs.features.assign(best_padj=1.0)), ()) is None


def test_the_heat_map_shows_one_feature_for_each_program(page):
    (heat,) = page.figures["program-heatmap"].plot.data
    names = [name.rsplit(" · ", 1)[0] for name in heat.y]
    assert len(names) == len(set(names)) == 9


@pytest.mark.parametrize(
    ("control", "ending"),
    [
        (0.85, "fewer than the 85\u00a0% of untrained autoencoders (E4), top 20 genes"),
        (0.95, "fewer than the 95\u00a0% of untrained autoencoders (E4), top 20 genes"),
        (0.1, "fewer than the 77\u00a0% of raw neurons, tails apart (E8), top 20 genes"),
    ],
)
def test_the_title_of_the_rates_follows_the_claims(run_folder, control, ending):
    def change(rates):
        rates["rows"][8]["rate"] = control

    def judge(found):
        row = found["rows"][1]
        controls = [control + x for x in (0.0, 0.01, -0.01, 0.02, -0.02)]
        found["rows"][1] = asdict(excess_of(row["name"], row["shares"], controls, 523))

    edit_json(run_folder / "programs" / "rates.json", change)
    edit_json(run_folder / "programs" / "seeds.json", judge)
    assert shown(run_folder).figures["annotated-rate"].title.endswith(ending)


def test_controls_with_lists_of_another_length_are_told_apart(page, programs):
    drawn = {trace.name: len(trace.x) for trace in page.figures["annotated-rate"].plot.data}
    assert drawn["features"] == 1
    assert drawn["features, lists of fixed length"] == 2
    assert drawn["controls"] == 4
    assert drawn["controls with other lists"] == 6
    (own,) = [row for row in programs.rates["rows"] if row["name"] == "features, 20 genes each"]
    assert rate_title({**programs.rates, "rows": [own]}, {}).endswith("(no control was measured)")
    assert rate_title({**programs.rates, "rows": []}, {}) == "How often lists of genes match a known program"


def test_the_excess_stands_beside_the_rates(page):
    rows = {row[0]: row for row in page.figures["annotated-rate"].numbers.rows}
    assert rows["popularity-matched lists (E1)"][3] == "18\u00a0% [13\u00a0%, 23\u00a0%]"
    assert rows["co-expression modules (E3)"][3] == "–"


def test_rates_are_judged_over_seeds_by_their_excess(page):
    claim = page.claims["annotated-against-popularity"]
    assert claim.value == pytest.approx(0.61)
    assert claim.null.value == pytest.approx(0.414)
    found = ttest_1samp(np.array([0.20, 0.18, 0.23, 0.21, 0.16]), 0)
    low, high = found.confidence_interval()
    assert claim.interval == pytest.approx((0.414 + low, 0.414 + high))
    assert (claim.null.p, claim.null.draws, claim.null.units) == (0.01, 199, 5)
    assert found.pvalue < 0.01, "so that of the draws is the larger one"
    assert claim.test.unit_of_inference.startswith("autoencoders of other seeds")
    assert claim.unit.endswith("this run's own: 61\u00a0%")


def test_the_figure_of_seeds_has_a_point_for_each_autoencoder(page):
    figure = page.figures["seed-excess"]
    drawn = {trace.name: len(trace.x) for trace in figure.plot.data}
    assert drawn == {"one autoencoder": 20, "mean and 95 % t interval": 4}
    assert figure.title == "Over 5 autoencoders, features exceed 2 of 4 controls"
    assert [row[-1] for row in figure.numbers.rows] == [
        page.claims[id].verdict
        for id in (
            "correlated-against-coexpression", "annotated-against-popularity", "annotated-against-untrained",
            "annotated-against-neurons",
        )
    ]  # fmt: skip


@pytest.mark.parametrize(("seeds", "why"), [(1, "1 measured"), (4, "4 measured")])
def test_few_autoencoders_allow_no_verdict(run_folder, seeds, why):
    def few(found):
        for i, row in enumerate(found["rows"]):
            made = excess_of(
                row["name"], row["shares"][:seeds], row["controls"][:seeds], 523, row["p_draws"], row["draws"]
            )
            found["rows"][i] = asdict(made)

    edit_json(run_folder / "programs" / "seeds.json", few)
    page = shown(run_folder)
    for id in ("annotated-against-popularity", "annotated-against-untrained", "correlated-against-coexpression"):
        claim = page.claims[id]
        assert (claim.verdict, claim.why.split(";")[0], claim.q) == ("cannot be told here", why, None)


def test_beyond_every_judged_control_the_title_says_so(programs):
    names = [row["name"] for row in programs.rates["rows"]]
    assert rate_title(programs.rates, dict.fromkeys(names, "above chance")).endswith("with lists as long")


def test_features_beyond_shuffled_labels_are_counted_among_those_that_fire(page, programs):
    fires = programs.features[programs.features["firing_rate"] > 0]
    claim = page.claims["features-tell-types-apart"]
    assert claim.value == pytest.approx((fires["type_share"] > programs.specificity.chance_share).mean())
    assert f"{len(fires)} firing features" in claim.test.background
    assert (claim.null.p, claim.null.draws) == (0.02, 99)
    assert claim.interval is None


def test_the_table_lists_features_that_fire_the_most_certain_program_first(page, programs):
    table = feature_rows(programs, page.context)
    assert len(table.rows) == 124
    header = list(table.header)
    q, program = header.index("q"), header.index("Best program")
    values = [row[q].value for row in table.rows]
    assert values == sorted(values)
    assert table.rows[0][program].text != "–"
    assert all(row[program].text == "–" for row in table.rows if row[q].value >= 0.05)
    sign = header.index("Sign")
    low = [row for row in table.rows if row[sign].text.startswith("low")]
    assert low
    assert all((row[program].text.startswith("low: ")) == (row in low) for row in table.rows if row[q].value < 0.05)
    assert all(row[header.index("Its genes high in")].text == "–" for row in low)
    assert page.sections["features"].long[0].rows == table.rows


def test_without_features_there_is_no_table(tmp_path):
    from cellprism.store.run import Run

    Run(tmp_path).update(steps={})
    assert shown(tmp_path).sections["features"].long == []


def test_without_labels_types_are_unknown(page, programs):
    table = feature_rows(replace(programs, specificity=None), page.context)
    assert {row[table.header.index("Between types")].text for row in table.rows} == {"–"}


def test_the_table_says_how_much_ground_programs_cover_and_which_files_they_come_from(page, programs):
    lead = feature_rows(programs, page.context).lead
    assert "match 9 programs, 7 when those that say nearly the same count once; the genes that they share" in lead
    assert lead.endswith("Programs come from blood.gmt (release not stated, SHA-256 abababababab…).")
