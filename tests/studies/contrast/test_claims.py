"""Claims and figures of a recipe: published numbers where they answer the same question, fair verdicts, named genes."""

from dataclasses import replace

import numpy as np
import pytest

from cellprism.report.published import NUMBERS
from cellprism.studies.contrast.claims import as_published, contrast_claims
from cellprism.studies.contrast.doses import dose_figure
from cellprism.studies.contrast.figures import axis_title, gap_title
from cellprism.studies.contrast.scores import SCORE_LABELS, score_table
from cellprism.studies.contrast.view import contrast_of
from studies.made_up import edit_json, shown


@pytest.fixture
def latent(page):
    return contrast_of(page.found["contrast"].recipes[0], page.context)


def claims_of(contrast) -> dict:
    return {claim.id: claim for claim in contrast_claims(contrast)}


def test_the_verdict_is_that_of_the_rank_among_permuted_labels(run_folder):
    def rank(summary):
        summary["scores"]["latent_progress"]["permuted_labels"].update(p=0.1)

    claims = shown(run_folder).claims
    assert claims["contrast-latent-latent-progress"].verdict == "above chance"
    edit_json(run_folder / "contrast" / "latent" / "summary.json", rank)
    claim = shown(run_folder).claims["contrast-latent-latent-progress"]
    assert claim.verdict == "cannot be told here"
    assert "p = 0.1 among 39 draws" in claim.why
    assert (claim.null.p, claim.null.draws, claim.test.side) == (0.1, 39, "two-sided")


def test_few_permutations_cannot_tell(run_folder):
    def fewer(summary):
        summary["scores"]["latent_progress"]["permuted_labels"].update(n=19)

    edit_json(run_folder / "contrast" / "latent" / "summary.json", fewer)
    claim = shown(run_folder).claims["contrast-latent-latent-progress"]
    assert claim.verdict == "cannot be told here"
    assert "at least 39" in claim.why


@pytest.mark.parametrize(
    ("source", "target", "same"),
    [
        ("CD4 T", "CD8 T", True),
        ("CD4+/CD45RO+ Memory", "CD8+ Cytotoxic T", True),
        ("CD8 T", "CD4 T", False),
        ("B", "CD14 monocyte", False),
        ("CD4 T", "CD14 monocyte", False),
        ("CD4 T", "NK", False),
        ("CD40 B", "CD80 B", False),
        ("CD4 CD8 T", "CD8 T", False),
    ],
)
def test_published_numbers_stand_only_beside_the_same_question(latent, source, target, same):
    contrast = replace(latent, source=source, target=target)
    number = NUMBERS["closer-latent"]
    assert as_published(contrast, number) == (number if same else None)
    published = [claim.id for claim in contrast_claims(contrast) if claim.published]
    assert bool(published) == same
    if same:
        assert {"contrast-latent-cd8a", "contrast-latent-cd8b", "contrast-latent-recipe-03"} <= set(published)


def test_b_cells_to_monocytes_carry_no_published_number_on_the_page(run_folder):
    for objective in ("latent", "expression"):
        path = run_folder / "contrast" / objective / "summary.json"
        edit_json(path, lambda s: s.update(source="B", target="CD14 monocyte"))
    claims = [c for c in shown(run_folder).claims.values() if c.id.startswith("contrast-")]
    assert len(claims) > 12
    assert [claim.id for claim in claims if claim.published] == []


def test_only_genes_that_were_asked_for_become_claims(run_folder, page):
    def ask(summary):
        summary["named"] = {"CD8B": summary["named"]["CD8B"]}

    edit_json(run_folder / "contrast" / "latent" / "summary.json", ask)
    found = shown(run_folder).claims
    assert {id for id in page.claims if id not in found} == {"contrast-latent-cd8a"}
    edit_json(run_folder / "contrast" / "latent" / "summary.json", lambda s: s.update(named={}))
    found = shown(run_folder)
    assert not {"contrast-latent-cd8a", "contrast-latent-cd8b"} & set(found.claims)
    assert "CD8A" not in found.figures["gap-latent"].title


def test_a_gene_that_is_not_measured_says_so(run_folder):
    edit_json(run_folder / "contrast/latent/summary.json", lambda s: s["named"].update(CD8A={"measured": False}))
    found = shown(run_folder)
    claim = found.claims["contrast-latent-cd8a"]
    assert (claim.verdict, claim.value, claim.source) == ("cannot be told here", None, None)
    assert "CD8A is not among the genes of this run" in claim.why
    assert list(contrast_of(found.found["contrast"].recipes[0], found.context).named) == ["CD8B"]


@pytest.mark.parametrize("gene", ["HLA.A", "MT_CO1", "RP11-34P13.7", "TRAC/TRBC"])
def test_a_gene_of_any_name_can_be_asked_for(run_folder, gene):
    def ask(summary):
        summary["named"] = {gene: summary["named"]["CD8A"]}

    edit_json(run_folder / "contrast/latent/summary.json", ask)
    (claim,) = [c for c in shown(run_folder).claims.values() if c.statement.startswith(f"{gene} moves")]
    assert claim.value == 0.04


def test_recipe_sizes_are_those_of_the_recipe(page):
    for recipe in page.found["contrast"].recipes:
        moved = (recipe.recipe["strength"] - 1).abs()
        objective = recipe.summary["objective"]
        assert page.claims[f"contrast-{objective}-recipe-03"].value == (moved > 0.3).sum()
        assert page.claims[f"contrast-{objective}-recipe-05"].value == (moved > 0.5).sum()


def test_scores_without_a_value_are_left_out(run_folder):
    path = run_folder / "contrast" / "latent" / "summary.json"
    edit_json(path, lambda s: s["scores"]["up_correct"].update(value=None))
    found = shown(run_folder)
    assert "up_correct" not in contrast_of(found.found["contrast"].recipes[0], found.context).scores
    assert "contrast-latent-up-correct" not in found.claims


def test_titles_of_a_contrast_name_their_control(latent):
    assert "with permuted labels" in axis_title(latent)
    assert "(permuted labels: 52\u00a0% and 50\u00a0%)" in gap_title(latent)
    assert "CD8A closes 4.0\u00a0% of its gap (permuted labels −4.0\u00a0% to 6.0\u00a0%)" in gap_title(latent)
    wild = replace(latent.named["CD8A"], null=replace(latent.named["CD8A"].null, interval=(-3.0, 4.0)))
    assert "CD8A cannot be told" in gap_title(replace(latent, named={"CD8A": wild}))
    bare = replace(latent, scores={n: replace(s, nulls={}) for n, s in latent.scores.items()}, named={})
    assert "no permuted-label control" in axis_title(bare)
    assert "(no control)" in gap_title(bare)


def test_every_score_stands_beside_its_nulls(latent):
    table = score_table(latent, claims_of(latent))
    assert len(table.rows) == len(latent.scores)
    assert all(len(row) == len(table.header) for row in table.rows)
    assert all("not measured" not in row for row in table.rows)
    bare = replace(latent, scores={"up_correct": replace(latent.scores["up_correct"], nulls={}, competitors={})})
    assert score_table(bare, claims_of(bare)).rows[0][-1] == "cannot be told here"


def test_no_verdict_is_given_where_neither_direction_is_better(latent):
    verdicts = {row[0].split(" ")[0]: row[-1] for row in score_table(latent, claims_of(latent)).rows}
    assert verdicts["drift"] == "–"
    assert verdicts["cells"] == "above chance"


def test_the_table_of_scores_says_what_the_claims_say(latent):
    score = latent.scores["latent_progress"]
    unsure = replace(score, nulls={**score.nulls, "permuted_labels": replace(score.nulls["permuted_labels"], p=0.2)})
    contrast = replace(latent, scores={**latent.scores, "latent_progress": unsure})
    claims = claims_of(contrast)
    rows = {row[0]: row[-1] for row in score_table(contrast, claims).rows}
    assert claims["contrast-latent-latent-progress"].verdict == "cannot be told here"
    for name, label in SCORE_LABELS.items():
        id = f"contrast-latent-{name.replace('_', '-')}"
        if id in claims:
            assert rows[label] == claims[id].verdict, name


def test_the_recipe_stands_beside_the_difference_of_means_dose_by_dose(latent):
    figure = dose_figure(latent, ("contrast/latent/trials.parquet",))
    assert "the recipe 0.42; difference of means, gene by gene 0.38" in figure.title
    assert [len(trace.x) for trace in figure.plot.data] == [4, 4, 4]
    alone = replace(latent, trials=latent.trials[:1])
    assert dose_figure(alone, ()) is None


def test_points_of_the_gap_figure_stay_within_its_range(page):
    plot = page.figures["gap-latent"].plot
    low, high = plot.layout.yaxis.range
    for trace in plot.data:
        assert np.all((np.asarray(trace.y) >= low) & (np.asarray(trace.y) <= high))


@pytest.mark.parametrize(
    ("gaps", "words"),
    [
        ({"correlation": 0.12, "low": -0.05, "high": 0.3}, "do not follow those in the counts (correlation 0.12"),
        ({"correlation": -0.6, "low": -0.7, "high": -0.5}, "do not follow those in the counts (correlation −0.60"),
        ({"correlation": None, "low": None, "high": None}, "cannot be told: too few genes or cells"),
    ],
)
def test_where_predicted_gaps_miss_the_counts_the_page_warns_and_claims_about_genes_are_left_open(
    run_folder, gaps, words
):
    for objective in ("latent", "expression"):
        edit_json(run_folder / "contrast" / objective / "summary.json", lambda summary: summary["gaps"].update(gaps))
    found = shown(run_folder)
    section = found.sections["contrast"]
    assert words in section.said
    assert "Claims about genes are left open" in section.said
    for objective in ("latent", "expression"):
        for name in ("expression-progress", "up-correct", "down-correct", "cd8a"):
            claim = found.claims[f"contrast-{objective}-{name}"]
            assert claim.verdict == "cannot be told here"
            assert words in claim.why
    assert "cannot be told here" not in found.claims["contrast-latent-latent-progress"].verdict
    assert found.figures["gap-latent"].title.startswith("Nothing can be told of these genes")
    assert "CD8A" not in section.said
    assert found.claims["contrast-gaps-follow-counts"].verdict != "above chance"


def test_where_predicted_gaps_follow_the_counts_nothing_warns(page):
    claim = page.claims["contrast-gaps-follow-counts"]
    assert (claim.verdict, claim.value, claim.interval) == ("above chance", 0.71, (0.6, 0.8))
    assert "left open" not in page.sections["contrast"].said
    assert page.claims["contrast-latent-up-correct"].verdict != "cannot be told here"
    assert "each time with other genes hidden" in page.sections["contrast"].method


def test_the_page_says_what_a_share_of_directions_cannot_detect(page):
    (said,) = page.sections["contrast"].cannot
    assert said.startswith("Detect a recipe reliably by the share of genes that move in the right direction")
