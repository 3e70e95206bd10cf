"""A page names what it shows: a logit is not expression, and a gene that goes with a feature is not one it fires at."""

import json
import shutil

import pytest
from studies.made_up import edit_json, seal, shown
from studies.made_up_assess import latent_assessment

from cellprism.report.words import words_for
from cellprism.store.atomic import write_json
from cellprism.studies.assess import tables
from cellprism.studies.assess.figures import gain_figure
from cellprism.workflow.publish import write_report
from report.test_page import Page

WHY = "this model predicts which gene, not how much"


@pytest.fixture
def logits(run_folder):
    """The run as if its model predicted genes rather than amounts."""
    shutil.rmtree(run_folder / "contrast" / "expression")
    edit_json(run_folder / "model.json", lambda m: m.update(predicts="token_logit"))
    path = run_folder / "contrast/latent/summary.json"
    summary = json.loads(path.read_text())
    scores = {name.replace("expression_", "token_logit_"): row for name, row in summary["scores"].items()}
    write_json(path, summary | {"output_kind": "token_logit", "scores": scores})
    write_json(run_folder / "contrast/absent.json", {"expression": WHY})
    return seal(run_folder)


@pytest.fixture
def latent(run_folder):
    """The run as if its model read a cell as a whole, with the card of such a model."""
    gains = {
        "model": (0.117, 0.012),
        "type mean": (0.124, 0.011),
        "untrained network": (-1.36, 0.03),
        "gene mean": (0.0, 0.0),
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
    edit_json(run_folder / "model.json", lambda m: m.update(tokens="cells", card={"assessment": assessment}))
    edit_json(run_folder / "fit/measures.json", lambda m: m.update(classes=[]))
    tables.write(run_folder / "assess", latent_assessment({"assessment": assessment}))
    return seal(run_folder)


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
    found = shown(logits)
    claims = found.claims
    assert claims["steer-programs-12-genes"].unit == "logit of the gene's own token"
    assert "Token logits of genes in" in claims["contrast-latent-token-logit-progress"].statement
    assert claims["contrast-latent-up-correct"].statement.startswith("Genes higher in CD8 T rise in token logits")
    contrast = found.sections["contrast"]
    assert "in token logits" in contrast.rows[0][1].title
    assert contrast.rows[2][0].title.endswith("in token logits")


def test_a_part_that_does_not_apply_is_named_beside_what_there_is(logits):
    contrast = shown(logits).sections["contrast"]
    assert contrast.rows
    assert contrast.absent == f"Expression: {WHY}."
    assert contrast.method.count("The latent recipe pulls the model's inner state towards the target") == 1
    assert WHY in text_of(logits)


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
    claims = shown(latent).claims
    assert "features for each of its cells explain" in claims["sae-explained-variance"].statement
    assert "genes that are high in the cells in which it fires" in text_of(latent)


def test_a_latent_model_stands_beside_its_own_yardsticks(latent):
    found = shown(latent)
    assert found.figures["hidden-count-gain"].title == (
        "The model predicts counts better than the same model, untrained and mean of the gene, but not clearly better "
        "than mean of the cell's own type"
    )
    assert "92\u00a0% from the model; 93\u00a0% from raw expression" in found.figures["cell-types-readable"].title
    assert found.claims["model-gains-over-untrained-network"].verdict == "above chance"
    assert found.claims["model-gains-over-type-mean"].verdict == "cannot be told here"
    assert found.claims["cell-types-against-raw"].source.field == "cell_types.vectors.value"
    assert gain_figure(found.found["assess"], {}, ("x",)).files == ("x",)


@pytest.mark.parametrize("tokens", ["genes", "cells"])
@pytest.mark.parametrize("quantity", ["expression", "token_logit", "nothing"])
def test_there_are_words_for_every_kind(tokens, quantity):
    words = words_for(tokens, quantity)
    assert words.tokens.endswith(tokens.replace("genes", "gene tokens"))
    assert bool(words.note) == (quantity != "expression")
