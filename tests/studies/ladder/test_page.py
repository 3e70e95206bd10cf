"""What the page says of the ladder."""

from dataclasses import replace

import pytest

from cellprism.report.context import read_context
from cellprism.studies.ladder.claims import claims
from cellprism.studies.ladder.labels import RULES, RUNGS, few, label_of, named, unfair
from cellprism.studies.ladder.page import section
from studies.made_up import Shown
from studies.made_up_ladder import ladder


@pytest.fixture
def context(whole_run):
    return read_context(whole_run)


def test_one_claim_a_rule_beside_the_hardest_fair_rung(page: Shown):
    said = {id: claim for id, claim in page.claims.items() if id.startswith("ladder-")}
    assert {id: (claim.verdict, claim.null.name) for id, claim in said.items()} == {
        "ladder-top20": ("below chance", "neurons, their tails apart"),
        "ladder-correlation": ("above chance", "non-negative factors of the log counts"),
    }
    assert said["ladder-top20"].null.draws == 199
    assert said["ladder-correlation"].null.value == pytest.approx(0.42)


def test_unfair_rungs_are_shown_and_never_the_hardest(page: Shown):
    """By where features fire, co-expression modules have .66 and the neurons .77; by correlation modules are fair."""
    found = page.found["ladder"]
    by_token, by_cell = found.rules
    assert {rung.name for rung in by_token.rungs if rung.unfair} == {"uniform", "coexpression"}
    assert not [rung.name for rung in by_cell.rungs if rung.unfair]
    assert (by_token.hardest.fair, by_cell.hardest.fair) == (4, 3)
    figure = page.figures["ladder-top20"]
    marks = {trace.name: list(trace.y) for trace in figure.plot.data}
    assert marks["hardest fair control"] == ["E8 neurons, tails apart"]
    assert marks["shown, not judged"] == ["E0 uniform random lists", "E3 co-expression modules"]
    assert figure.title == "20 genes, mean activation: 61\u00a0%, below the 77\u00a0% of E8 neurons, tails apart"


def test_what_is_missing_is_said_with_its_reason(context):
    part = section(ladder(), [], context)
    assert "E5 model with random blocks: 'mini' cannot draw its blocks alone anew" in part.method
    assert part.method.endswith("20 genes, largest activation: features have no such lists.")
    rows = {row[0]: row for row in part.rows[0][0].numbers.rows}
    assert rows["E6 vectors of genes"][1] == "no such lists"
    assert rows["E3 co-expression modules"][-1] == "no"
    assert "; E3 co-expression modules: its lists are of genes that vary together over cells" in part.rows[0][0].reading
    assert section(None, [], context).absent.endswith("`cellprism do ladder RUN` does.")
    assert "cannot have" not in section(replace(ladder(), absent=[], without=[]), [], context).method


def test_the_summary_counts_the_rules(page: Shown):
    summary = page.sections["ladder"].said
    assert summary.startswith("Features exceed the hardest fair control by 1 of 2 ways of making lists: ")
    assert "20 genes, mean activation, 61\u00a0% beside 77\u00a0% of neurons, their tails apart" in summary


def test_the_table_has_the_least_excess_with_its_interval(page: Shown):
    (table,) = page.sections["ladder"].tables
    rows = {row[0]: row for row in table.numbers.rows}
    assert rows["20 genes, correlation over cells"][4].startswith("+19\u00a0% [+1")
    assert rows["20 genes, mean activation"][-1] == "below chance"


def test_figures_of_spread_and_information(page: Shown):
    assert page.figures["ladder-ratios"].title.startswith(
        "Half of the features spread over more than 29 genes, beside 13"
    )
    informed = page.figures["ladder-information"]
    assert "68\u00a0% of pairs" in informed.title
    assert "69\u00a0% for genes as popular" in informed.title
    assert "information content" in informed.plot.layout.xaxis.title.text


def test_without_a_fair_control_nothing_is_claimed(context):
    found = ladder()
    bare = replace(found.rules[0], hardest=None, control=None)
    found = replace(found, rules=[bare], information=None, ratios=[])
    said = claims(found, context)
    assert said == []
    part = section(found, said, context)
    assert "no fair control was measured" in part.rows[0][0].title
    assert part.said == "No fair control was measured, so that nothing is judged."
    assert len(part.rows) == 1


def test_every_rung_has_a_level_and_words():
    assert {named(rung).level for rung in RUNGS} == {f"E{i}" for i in range(9)}
    assert label_of("own", "cnmf") == "cnmf"
    assert named("own", "cnmf").words == "the programs of cnmf"


@pytest.mark.parametrize("rule", RULES)
def test_groups_of_genes_that_vary_together_are_fair_where_features_lists_are_made_so(rule):
    for rung in RUNGS:
        together = rung in ("coexpression", "nmf") and rule != "correlation"
        assert bool(unfair(rung, rule, False)) == (together or rung == "uniform"), rung
        assert bool(unfair(rung, rule, True)) == (rung == "uniform"), rung


def test_a_control_that_has_few_lists_by_a_rule_is_not_judged_by_those():
    assert few(15, 283) == "only 15 of its 283 directions have lists by this rule"
    assert few(95, 283) == few(2, 2) == ""
