"""A page names what it shows: a logit is not expression, and a gene that goes with a feature is not one it fires at."""

import json
import shutil

import anndata
import pytest
from cellprism.report.figures.model import gain_figure, reading_figure
from cellprism.report.gather.all import gather_claims
from cellprism.report.inputs import read_run
from cellprism.report.sections import page_sections

from cellprism.report.page import write_report
from cellprism.report.words import words_for
from report.made_up import LAYER
from report.test_inputs import edit_json
from report.test_page import Page

WHY = "this model predicts which gene, not how much"


@pytest.fixture
def logits(run_folder):
    """The run as if its model predicted genes rather than amounts."""
    shutil.rmtree(run_folder / "contrast" / "expression")
    edit_json(run_folder / "steer/programs/summary.json", lambda s: s.update(output_kind="token_logit"))
    path = run_folder / "contrast/latent/summary.json"
    summary = json.loads(path.read_text())
    scores = {name.replace("expression_", "token_logit_"): row for name, row in summary["scores"].items()}
    path.write_text(json.dumps(summary | {"output_kind": "token_logit", "scores": scores}))
    (run_folder / "contrast/absent.json").write_text(json.dumps({"expression": WHY}))
    return run_folder


@pytest.fixture
def latent(run_folder):
    """The run as if its model read a cell as a whole, with the card of such a model."""
    edit_json(
        run_folder / f"sae/L{LAYER}/measures.json", lambda m: m.update(tokens="cells", classes={"absent": "none"})
    )
    path = run_folder / f"features/L{LAYER}/cells.h5ad"
    cells = anndata.read_h5ad(path)
    cells.uns["cellprism"] = {"tokens": "cells"}
    cells.write_h5ad(path)
    gains = {
        "model": (0.117, 0.012),
        "type mean": (0.124, 0.011),
        "untrained network": (-1.36, 0.03),
        "gene mean": (0, 0),
    }
    assessment = {
        "reconstruction": {n: {"gain": g, "interval": [g - h, g + h]} for n, (g, h) in gains.items()},
        "cell_types": {
            "readout": {
                name: {"accuracy": a, "interval": [a - 0.03, a + 0.03]}
                for name, a in (("vectors", 0.92), ("raw expression", 0.93), ("untrained network", 0.61))
            },
            "largest_type": 0.45,
        },
        "test_cells": 263,
    }
    edit_json(run_folder / "model.json", lambda m: m.update(card={"assessment": assessment}))
    return run_folder


def text_of(run) -> str:
    return Page(write_report(run).read_text(encoding="utf-8")).words


def test_logits_are_called_logits_everywhere(logits):
    page = write_report(logits).read_text(encoding="utf-8")
    assert "log(1 + counts" not in page
    assert "predicted expression" not in page
    words = Page(page).words
    assert "These numbers are not expression" in words
    assert "of which the model is as sure" in words
    assert "say how well each gene fits its place" in words
    facts = read_run(logits)
    claims = {claim.id: claim for claim in gather_claims(facts)}
    assert claims["steer-programs-12-genes"].unit == "logit of the gene's own token"
    assert "Token logits of genes in" in claims["contrast-latent-token-logit-progress"].statement
    assert claims["contrast-latent-up-correct"].statement.startswith("Genes higher in CD8 T rise in token logits")
    (contrast,) = (s for s in page_sections(facts) if s.id == "contrast")
    assert "in token logits" in contrast.rows[0][1].title
    assert contrast.rows[1][0].title.endswith("in token logits")


def test_a_part_that_does_not_apply_is_named_beside_what_there_is(logits):
    (contrast,) = (s for s in page_sections(read_run(logits)) if s.id == "contrast")
    assert contrast.rows
    assert contrast.absent == f"Expression: {WHY}."
    assert contrast.lead.count("The recipe pulls the model's inner state towards the target.") == 1
    assert WHY in text_of(logits)


def test_a_step_that_does_not_apply_gives_its_reason_in_place_of_a_verb(run_folder):
    shutil.rmtree(run_folder / "steer")
    (run_folder / "steer").mkdir()
    (run_folder / "steer/absent.json").write_text(json.dumps({"programs": "there is no decoder; give it one"}))
    (steering,) = (s for s in page_sections(read_run(run_folder)) if s.id == "steering")
    assert (steering.rows, steering.absent) == ([], "Programs: there is no decoder; give it one.")


def test_features_of_whole_cells_fire_in_cells_and_have_genes_by_association(latent):
    words = text_of(latent)
    for said in ("Fires in", "latent vector", "this is what goes together over cells", "encoder", "numbers per cell"):
        assert said in words
    for wrong in (
        "gene token",
        "Fires at",
        "at which the feature fires",
        "residual stream",
        "block 1",
        "numbers per gene",
    ):
        assert wrong not in words
    claims = {claim.id: claim for claim in gather_claims(read_run(latent))}
    assert "features for each of its cells explain" in claims["sae-explained-variance"].statement
    assert "genes that are high where the feature fires" in text_of(latent)


def test_a_latent_model_stands_beside_its_own_yardsticks(latent):
    facts = read_run(latent)
    figure = gain_figure(facts.model, ())
    assert figure.title == (
        "The model predicts counts better than the same model, untrained, but not clearly better than mean of the "
        "cell's own type"
    )
    assert "92\u00a0% from the model; 93\u00a0% from raw expression" in reading_figure(facts.model, ()).title
    claims = {claim.id: claim for claim in gather_claims(facts)}
    assert claims["model-gains-over-untrained-network"].verdict == "above chance"
    assert claims["model-gains-over-type-mean"].verdict == "at chance"
    assert claims["cell-types-against-raw"].source.field == "card.assessment.cell_types.readout.vectors.accuracy"
    assert gain_figure(read_run(latent).model, ("x",)).files == ("x",)


def test_a_model_of_another_kind_has_no_gains(facts):
    assert gain_figure(facts.model, ()) is None


@pytest.mark.parametrize("tokens", ["genes", "cells"])
@pytest.mark.parametrize("quantity", ["expression", "token_logit", "nothing"])
def test_there_are_words_for_every_kind(tokens, quantity):
    words = words_for(tokens, quantity)
    assert words.tokens.endswith(tokens.replace("genes", "gene tokens"))
    assert bool(words.note) == (quantity != "expression")
