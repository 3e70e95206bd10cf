"""What the page says of factors: power first, then a verdict in two sentences, with what co-expression alone
reaches."""

from dataclasses import replace

import numpy as np
import pytest

from cellprism.regulation.inference import DIRECTION, FORWARD, SPECIFIC
from cellprism.report.context import read_context
from cellprism.report.open_questions import open_claims
from cellprism.studies.regulation import STUDY
from cellprism.studies.regulation.answers import factor_alone
from cellprism.studies.regulation.claims import IDS, claims
from cellprism.studies.regulation.page import answers_of, section
from cellprism.studies.regulation.tables import MODEL, Regulation
from studies.made_up_regulation import FACTORS, regulation


@pytest.fixture(scope="module")
def found() -> Regulation:
    return regulation(np.random.default_rng(0))


@pytest.fixture
def context(whole_run):
    return read_context(whole_run)


def facts(found: Regulation, **changes) -> Regulation:
    return replace(found, facts=replace(found.facts, **changes))


def test_the_power_is_told_and_the_verdict_has_what_co_expression_alone_reaches(found, context):
    part = section(found, claims(found, context), context)
    assert "would have shown" in part.method
    assert "7 factors with 77 edges" in part.method
    assert "+0.4% expression, −2.0% dose" in part.method
    assert part.said.startswith("The model has no direction that matters")
    assert "in 0.510 [0.490, 0.530] of pairs (one half is chance, p = 0.4; 0.090 more or less would" in part.said
    assert (
        "0.610 of pairs (0.620 by co-expression alone, 0.600 by ridge); beside genes that are co-expressed alike in "
        "0.520 (0.500 by co-expression alone)" in part.said
    )
    assert len(part.said.split(". ")) == 2


def test_the_claims_answer_the_two_open_questions(found, context):
    said = {claim.id: claim for claim in claims(found, context)}
    assert {question.id for question in STUDY.open} <= set(said)
    assert not {question.id for question in STUDY.open} & {claim.id for claim in open_claims((), context)}
    directed = said[IDS[DIRECTION]]
    assert (directed.verdict, directed.null.units, directed.published is not None) == ("at chance", len(FACTORS), True)
    assert said[IDS[SPECIFIC]].value == pytest.approx(1 / 7)
    assert said["measured-screen-cd8-ifng"].null.draws == 99


def test_a_test_that_calls_relabelled_regulons_too_often_is_not_believed(found, context):
    rows = [replace(row, called=0.4) for row in found.facts.relabelled]
    said = {claim.id: claim for claim in claims(facts(found, relabelled=rows), context)}
    assert said[IDS[DIRECTION]].verdict == "cannot be told here"
    assert "calls 40% of relabelled regulons" in said[IDS[DIRECTION]].why
    none = {claim.id: claim for claim in claims(facts(found, relabelled=[]), context)}
    assert "without relabelled regulons" in none[IDS[FORWARD]].why
    assert none[IDS[SPECIFIC]].value is None


def test_what_one_network_may_have_by_accident_is_not_claimed(found, context):
    strong = [replace(row, value=0.56, interval=(0.53, 0.59), p=0.001) if row.source == MODEL else row
              for row in found.facts.overall]  # fmt: skip
    for width, verdict in ((0.002, "above chance"), (0.03, "cannot be told here")):
        rows = [replace(row, interval=(row.value - width, row.value + width)) if row.networks else row
                for row in strong]  # fmt: skip
        known = facts(found, overall=rows)
        said = {claim.id: claim for claim in claims(known, context)}[IDS[DIRECTION]]
        assert said.verdict == verdict
        told = section(known, [said], context).said
        assert ("this is one network" in told) == (verdict != "above chance")
    without = facts(found, overall=[row for row in strong if not row.networks])
    said = {claim.id: claim for claim in claims(without, context)}[IDS[DIRECTION]]
    assert said.why.startswith("without untrained networks")


def test_one_factor_is_judged_by_permutation_and_nothing_is_said_over_factors(found, context):
    rng = np.random.default_rng(1)
    own, matched = rng.standard_normal(31) + 4, rng.standard_normal((31, 3))
    one = [factor_alone("TBX21", measure, own, matched, 0) for measure in (FORWARD, DIRECTION)]
    alone = facts(found, overall=[], relabelled=[], one=one)
    said = {claim.id: claim for claim in claims(alone, context)}
    assert said["regulator-tbx21-direction"].verdict == "above chance"
    assert said[IDS[DIRECTION]].value is None
    assert "--all" in said[IDS[DIRECTION]].why
    part = section(alone, list(said.values()), context)
    assert part.said.startswith("TBX21 moves its targets more than they move it: by comparison with matched genes")
    assert "in 1.00 of pairs (one half is chance; 31 targets, p = 0.002" in part.said
    untold = section(alone, [], context).said
    assert untold.startswith("Whether TBX21 moves its targets more than they move it cannot be told: by")
    assert [row[0].id for row in part.rows][:1] == ["regulation-factor-tbx21"]
    assert factor_alone("X", FORWARD, own[:0], matched[:0], 0) is None


def test_each_factor_has_its_answer_with_the_power_behind_it(found, context):
    part = section(found, claims(found, context), context)
    answers = answers_of(found.tables["factors"])
    assert answers["directed"] == 1
    assert sum(answers.values()) == len(FACTORS)
    (table,) = part.long
    rows = {row[0].text: [cell.text for cell in row] for row in table.rows}
    assert rows["TBX21"][1] == "directed"
    assert rows["TBX21"][-3] == "0.26"
    assert rows["TBX21"][-1].endswith("%")
    assert "Beside 14 perturbed regulators together" in part.tables[0].caption
    assert "model −0.012 [−0.040, +0.020]" in part.tables[0].caption
    assert "5 targets, 3.4 regulators each" in part.tables[0].caption
    assert "calls 6% of 99 relabelled regulons" in part.tables[0].caption
    assert "IL2 is seen in" in part.cannot[1]


def test_every_figure_has_its_numbers(found, context):
    part = section(found, claims(found, context), context)
    figures = {figure.id: figure for row in part.rows for figure in row}
    assert {"regulation-overall", "regulation-factor-tbx21", "regulation-doses", "regulation-tbx21"} <= set(figures)
    overall = figures["regulation-overall"]
    assert [len(trace.x) for trace in overall.plot.data] == [3, 3, 4]
    scatter = figures["regulation-factor-tbx21"]
    assert {trace.name: len(trace.x) for trace in scatter.plot.data} == {"genes matched to them": 33, "targets": 11}
    assert "one half is chance" in scatter.title
    preset = figures["regulation-tbx21"]
    assert len(preset.plot.data) == 4
    assert list(preset.plot.data[0].x) == [-15, -5, -2, 2, 5, 15]
    every = figures["regulation-tbx21-targets"]
    assert {trace.name: len(trace.x) for trace in every.plot.data} == {"published as no target": 1, "targets": 2}
    answers = figures["regulation-factors"]
    assert sum(len(trace.x) for trace in answers.plot.data) == len(FACTORS)
    assert "As amounts, TBX21 raised from no count to its dose changes its targets by 1." in scatter.reading
    assert len(figures["regulation-experiments"].plot.data) == 4


def test_without_an_answer_there_is_a_page(context):
    assert "cellprism regulation RUN --all --edges FILE" in section(None, [], context).absent
