"""What the page says of the trained autoencoder beside directions that nobody trained."""

from dataclasses import replace

import pytest

from cellprism.report.context import read_context
from cellprism.studies.adds.labels import COMPONENTS, TRAINED
from cellprism.studies.adds.page import claims, section
from cellprism.studies.adds.tables import Adds
from studies.made_up import Shown
from studies.made_up_features import adds


@pytest.fixture
def found() -> Adds:
    return adds()


@pytest.fixture
def context(whole_run):
    return read_context(whole_run)


def test_every_measure_has_its_winner_and_the_page_how_many_each_has(found, context):
    part = section(found, claims(found, context), context)
    assert part.said.startswith(
        "The trained autoencoder leads in 1 of 3 measures, directions that nobody trained in 1 and 1 is not told apart."
    )
    assert "by where features fire: the trained autoencoder (40.2) leads, 8.3 [" in part.method
    few = "ahead of vectors of the inner state as directions (31.9; 41 of each, with all 127 trained ones 40.2)"
    assert few in part.method
    assert "vectors of the inner state as directions (0.808) lead, 0.070 [" in part.method
    assert "the trained autoencoder (0.050) is not told apart from" in part.method
    figure = part.rows[0][0]
    assert [(trace.name, len(trace.x)) for trace in figure.plot.data] == [
        ("training leads", 1), ("directions that nobody trained lead", 1), ("not told apart", 1),
    ]  # fmt: skip
    assert figure.plot.data[0].x[0] == pytest.approx(8.3 / 31.9, abs=0.01)
    assert [row[-1] for row in figure.numbers.rows] == [
        "training leads", "not told apart", "directions that nobody trained lead",
    ]  # fmt: skip


def test_no_verdict_is_spoken_and_nothing_claimed(page: Shown):
    part = page.sections["adds"]
    for word in ("chance", "significant", "outlasts"):
        assert word not in part.method + part.said
    assert not [claim for claim in page.claims.values() if claim.source and claim.source.file.startswith("adds/")]


def test_the_table_has_every_source_with_a_dash_where_it_has_no_value(found, context):
    (table,) = section(found, [], context).tables
    rows = {row[0]: row[1:] for row in table.numbers.rows}
    assert rows["trained autoencoder"] == ("40.2", "0.050", "0.738")
    assert rows["principal components, both signs"][0].startswith("20.2 (+20.0 [")
    assert rows["principal components, both signs"][2] == "–"
    assert rows["random projections of the cells' log counts"][:2] == ("–", "–")
    assert set(rows["random directions with the inner state's covariance"]) == {"–"}
    assert "halves of cells" in table.caption
    assert "there are at most 128, and they are the same for all" in table.caption
    assert "7 types" in table.caption
    by_donor = replace(found, by_donor=True, types=0, columns=found.columns[2:])
    (table,) = section(by_donor, [], context).tables
    assert "halves of donors" in table.caption
    assert "no labels" in table.caption
    assert "at most 128" not in table.caption


def test_one_autoencoder_tells_nothing_of_others(found, context):
    columns = [
        replace(column, interval=None, rows=[replace(row, interval=None) for row in column.rows])
        for column in found.columns
    ]
    part = section(replace(found, seeds=[3], columns=columns), [], context)
    assert part.said == "One autoencoder says nothing of another training, so that nothing is told apart here."
    assert "difference +8.3" in part.method
    assert "[" not in part.method
    assert "leads" not in part.method
    assert part.rows


def test_without_anything_to_compare_there_is_a_page(found, context):
    assert "Nothing could be compared on 101 cells" in section(replace(found, columns=[]), [], context).absent
    assert "cellprism do adds RUN" in section(None, [], context).absent


def test_whole_cells_have_no_genes_to_fire_at(found, context):
    whole = replace(context, model=replace(context.model, tokens="cells"))
    part = section(found, [], whole)
    assert "lists by the cells in which features fire" in part.method
    assert "where features fire" not in part.method


def test_the_figure_has_a_panel_a_measure_and_a_line_a_source(found, page):
    figure = page.figures["adds-excess"]
    assert figure.title == "Training leads in 1 of 3 measures, untrained directions in 1"
    layout = figure.plot.to_plotly_json()["layout"]
    domains = [layout[axis]["domain"] for axis in ("yaxis", "yaxis2", "yaxis3")]
    assert "yaxis4" not in layout
    for (low, high), (_, below) in zip(domains, [*domains[1:], (0, 0)], strict=True):
        assert below <= low < high <= 1
    means = [trace for trace in figure.plot.data if "mean" in trace.name]
    assert [len(trace.x) for trace in means] == [len(column.rows) for column in found.columns]
    first = {row.name: row.mean for row in found.columns[0].rows}
    assert sorted(means[0].x) == pytest.approx(sorted(first.values()))
    assert TRAINED not in first
    assert COMPONENTS in first
