"""The model's scores on the page: what was measured on the run's cells, what the card says, and the banner."""

import shutil
from dataclasses import replace

import pytest
from report.test_page import Page

from cellprism.report.page import render_page
from cellprism.studies.assess.banner import FOLLOWS, banner
from cellprism.studies.assess.claims import claims as claims_of
from cellprism.studies.assess.figures import agreement_figure, error_figure, gain_figure
from cellprism.studies.assess.page import section
from cellprism.studies.assess.tables import Assessment, Gain
from cellprism.workflow.publish import write_report
from studies.made_up_assess import hidden_genes, latent_assessment


def with_errors(found: Assessment, **errors: float) -> Assessment:
    return replace(found, hidden_genes=hidden_genes(**errors))


def test_the_title_of_the_errors_follows_the_paired_differences(page):
    found, context = page.found["assess"], page.context
    assert page.figures["hidden-gene-error"].title == (
        "The model fills in hidden genes better than ridge regression on the other genes and mean of the gene, but not "
        "clearly better than mean of the cell's own type"
    )
    methods = {n: replace(m, behind=(-0.1, 0.1)) for n, m in found.hidden_genes.methods.items()}
    level = replace(found, hidden_genes=replace(found.hidden_genes, methods=methods))
    drawn = section(level, claims_of(level, context), context)
    assert drawn.rows[0][0].title == "The model beats no baseline"
    worse = with_errors(found, ridge=0.8)
    drawn = section(worse, claims_of(worse, context), context)
    assert "but worse than ridge regression on the other genes and not clearly better than" in drawn.rows[0][0].title
    assert error_figure(replace(found, hidden_genes=None), {}, ()) is None


def test_how_far_a_rival_lies_behind_on_the_card_is_counted_in_the_gene_means_error(page):
    assert page.found["assess"].card.held_out["ridge"].behind == pytest.approx((0.009, 0.017))


def test_what_is_removed_is_what_is_not_left(page):
    found = page.found["assess"]
    for row in [*found.card.held_out.values(), *found.hidden_genes.methods.values()]:
        assert row.removed == 1 - row.value


def test_a_model_of_another_kind_has_no_gains(page):
    assert gain_figure(page.found["assess"], {}, ()) is None
    assert agreement_figure(latent_assessment({"assessment": {}}), ()) is None


def test_the_first_number_of_the_page_is_measured_on_the_runs_own_cells(page):
    first = page.findings[0]
    assert first.claim.id == "model-beats-type-mean"  # the harder of both, ridge regression the other
    assert first.said == (
        "On these cells the model removes 14.2\u00a0% of the error that gene means make on hidden genes, not told "
        "apart from mean of the cell's own type."
    )
    assert page.sections["model"].said.startswith(first.said.partition(",")[0])
    assert "ridge regression on the other genes 12.9\u00a0%" in page.sections["model"].said
    assert page.claims["model-beats-ridge"].source.field == "hidden_genes.methods.model.removed"
    assert next(iter(page.claims)) == "model-beats-ridge"


def test_what_the_card_says_stands_apart_and_is_no_claim(page):
    captions = [table.caption for table in page.sections["model"].tables]
    (card,) = [t for t in page.sections["model"].tables if t.caption.startswith("What the model's card says")]
    assert "on 521 cells held out of its training, not on the cells of this run" in card.caption
    assert ("error on hidden genes, the model", "0.858 [0.852, 0.864]") in card.numbers.rows
    assert any(caption.startswith("According to the card: genes") for caption in captions)
    assert not [claim for claim in page.claims.values() if claim.source and ".card." in claim.source.field]
    nothing = replace(page.found["assess"], card=Assessment().card)
    captions = [table.caption for table in section(nothing, [], page.context).tables]
    assert len(captions) == 1
    assert "card" not in captions[0]


def test_both_ratios_and_noise_cells_stand_beside_each_other(page):
    table = page.sections["model"].tables[0].numbers
    assert table.header == ("", "these cells", "noise cells")
    rows = {row[0]: row[1:] for row in table.rows}
    as_it_is = "error of the model as it is, over that of the gene means of its training data"
    put_right = "error of the model, each gene's mean put right, over that of the gene means of these cells"
    assert rows[as_it_is] == ("1.040 [1.010, 1.070]", "–")
    assert rows[put_right] == ("0.858 [0.852, 0.864]", "1.000 [0.994, 1.006]")
    assert rows["correlation of output and counts at visible genes"][0] == "−0.37 [−0.41, −0.33]"
    found = page.found["assess"]
    none = replace(found, hidden_genes=replace(found.hidden_genes, over_training_means=None))
    table = section(none, [], page.context).tables[0].numbers
    assert table.rows[0][1] == "absent: the model's card holds no gene means"


def test_visible_tokens_have_a_claim_of_their_own(page):
    hidden, visible = (page.claims[f"{token}-output-follows-counts"] for token in ("hidden", "visible"))
    assert (hidden.verdict, visible.verdict) == ("above chance", "below chance")
    assert hidden.null.name == "counts with the same margins and no other structure"
    assert visible.null.interval == (0.0, 0.0)


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ({}, ""),
        ({"model": 0.9, "ridge": 0.85}, ""),  # behind, but not far
        ({"model": 0.93, "ridge": 0.85}, "far behind a ridge regression: it removes 7.0\u00a0% of the"),
        ({"model": 0.998, "ridge": 0.999}, "cannot be shown to be better than always answering each gene's mean"),
        ({"model": 1.35, "ridge": 0.9}, "is no better than always answering each gene's mean: it removes −35\u00a0%"),
    ],
)  # fmt: skip
def test_a_model_that_has_nothing_to_say_of_these_cells_is_bannered(page, errors, words):
    found = with_errors(page.found["assess"], **errors)
    drawn = section(found, claims_of(found, page.context), page.context)
    assert words in drawn.banner
    assert bool(drawn.banner) == bool(words)
    assert drawn.banner.endswith(FOLLOWS) == bool(words)


def test_a_latent_model_that_gains_nothing_is_bannered(page):
    found = latent_assessment({"assessment": {}})
    assert banner(found, claims_of(found, page.context)) == ""
    counts = found.hidden_counts | {
        "model": Gain(-0.2, (-0.3, -0.1), (0.0, 0.0)),
        "gene mean": Gain(0.0, (0.0, 0.0), (-0.3, -0.1)),
    }
    worse = replace(found, hidden_counts=counts)
    said = banner(worse, claims_of(worse, page.context))
    assert "no better than the gene means at predicting hidden counts: it gains −0.200 nats" in said


def test_the_banners_of_all_sections_stand_above_the_summary_and_are_escaped(page):
    sections = list(page.sections.values())
    marked = [replace(sections[0], banner="<b>one</b>"), *sections[1:-1], replace(sections[-1], banner="two & two")]
    text = render_page(page.context, marked, list(page.claims.values()), page.findings)
    assert text.index("&lt;b&gt;one&lt;/b&gt;") < text.index("two &amp; two") < text.index('<header id="summary">')
    plain = render_page(page.context, sections, list(page.claims.values()), page.findings)
    assert "Read this first" not in plain


def test_what_was_not_measured_is_said_on_the_page(whole_run, page, tmp_path):
    folder = shutil.copytree(whole_run, tmp_path / "run")
    assert "Tell whether the model has seen these cells before" in Page(write_report(folder).read_text("utf-8")).words
    empty = section(Assessment(absent=["No genes.", "No types."]), [], page.context)
    assert (empty.absent, empty.rows, empty.told, empty.cannot) == ("No genes. No types.", [], {}, [])
