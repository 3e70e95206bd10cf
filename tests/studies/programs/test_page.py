"""Features on the page: the map, the heat map, the rates beside their controls, the table of all."""

from dataclasses import replace

import pytest

from cellprism.studies.programs.feature_rows import feature_rows
from cellprism.studies.programs.figures import feature_map, program_heatmap
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
    ("rate", "p", "ending"),
    [
        (0.43, 0.3, "not clearly more than the 41\u00a0% of popularity-matched lists (E1)"),
        (0.15, 0.02, "fewer than the 41\u00a0% of popularity-matched lists (E1)"),
        (0.9, 0.02, "not clearly more than the 30\u00a0% of untrained SAE (E4)"),
    ],
)
def test_the_title_of_the_rates_follows_the_claims(run_folder, rate, p, ending):
    def change(rates):
        rates["rows"][0].update({"rate": rate, "interval": [rate - 0.04, rate + 0.04]})
        rates["rows"][2]["p_value"] = p

    edit_json(run_folder / "programs" / "rates.json", change)
    assert shown(run_folder).figures["annotated-rate"].title.endswith(ending)


def test_controls_with_lists_of_another_length_are_told_apart(page, programs):
    drawn = {trace.name: len(trace.x) for trace in page.figures["annotated-rate"].plot.data}
    assert drawn["SAE features"] == 1
    assert drawn["SAE features, lists of fixed length"] == 2
    assert drawn["controls"] == 4
    assert drawn["controls with other lists"] == 3
    bare = {**programs.rates, "rows": programs.rates["rows"][:1]}
    assert rate_title(bare, {}).endswith("(no control was measured)")


def test_the_excess_stands_beside_the_rates(page):
    rows = {row[0]: row for row in page.figures["annotated-rate"].numbers.rows}
    assert rows["popularity-matched lists (E1)"][3] == "18\u00a0% [13\u00a0%, 23\u00a0%]"
    assert rows["co-expression modules (E3)"][3] == "–"


def test_lists_of_another_length_allow_no_verdict(page):
    claim = page.claims["annotated-against-neurons"]
    assert claim.why == "lists of 21 and of 189 genes on average: long lists match more easily"


def test_one_seed_allows_no_verdict_against_another_network(page):
    claim = page.claims["annotated-against-untrained"]
    assert (claim.verdict, claim.why[:9]) == ("cannot be told here", "one seed:")


def test_beyond_every_judged_control_the_title_says_so(programs):
    names = [row["name"] for row in programs.rates["rows"]]
    assert rate_title(programs.rates, dict.fromkeys(names, "above chance")).endswith("with lists as long")


def test_lists_made_by_another_rule_allow_no_verdict_and_those_by_the_same_do(page):
    assert "compare lists by correlation" in page.claims["annotated-against-coexpression"].why
    claim = page.claims["annotated-against-coexpression-20"]
    assert (claim.value, claim.null.value, claim.null.p, claim.null.draws) == (0.88, 0.66, 0.0198, 100)
    assert claim.null.name == "co-expression modules (E3), top 20 by correlation"


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
