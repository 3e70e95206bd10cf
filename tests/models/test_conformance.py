"""The suite passes models that keep the protocol's promises, and says what it found, of whatever it is asked."""

import json
import re

import numpy as np
import pytest
import torch
from anndata import AnnData

from cellprism.cells.genes import GeneTable
from cellprism.errors import CellsError
from cellprism.models.aido.model import AidoCell
from cellprism.models.conformance import CHECKS, FAILS, HOLDS, MEANINGLESS, conformance, table, to_json
from cellprism.models.latent.dgd import DgdModel, DgdSizes
from cellprism.models.latent.embedding import EmbeddingModel
from cellprism.models.scgpt.model import ScGpt
from models.adapters import (
    CELLS,
    GENES,
    LAYERS,
    WIDTH,
    ExpressedGenes,
    a_block_twice,
    blood_cells,
    broken,
    failing,
    not_finite,
    promises,
    scvi,
    verdicts,
)

OPTIONAL = {"residuals", "between blocks", "some genes", "hidden genes", "memory plan", "device"}


@pytest.fixture(scope="module")
def cells() -> AnnData:
    return blood_cells()


@pytest.mark.parametrize("gene_subset", [True, False])
def test_a_model_of_the_family_holds(cells, gene_subset):
    found = verdicts(promises(cells, gene_subset=gene_subset), cells)
    assert set(found.values()) <= {HOLDS, MEANINGLESS}
    assert list(found.values()).count(HOLDS) >= len(CHECKS) - 1


def test_a_model_with_another_set_of_genes_in_each_cell_holds(cells):
    found = verdicts(ExpressedGenes(cells), cells)
    assert {name for name, verdict in found.items() if verdict != HOLDS} == OPTIONAL
    model = ExpressedGenes(cells)
    model.room = 11
    assert failing(model, cells) == set(), "the first that fit are all that a short input can hold"


def geneformer(genes):
    pytest.importorskip("transformers", reason="Geneformer needs the extra geneformer")
    from cellprism.models.geneformer.model import Geneformer

    return Geneformer.random(genes, hidden=WIDTH, layers=LAYERS, heads=2, intermediate=19, input_size=61)


def scgpt(genes):
    return ScGpt.random(genes, hidden=WIDTH, layers=LAYERS, heads=2, intermediate=19)


def dgd(genes):
    return DgdModel.random(DgdSizes(len(genes), 5, 3, 19, search_steps=23), GeneTable.of(genes), 0)


@pytest.mark.parametrize("family", [geneformer, scgpt, scvi, dgd])
def test_every_other_family_of_ours_holds(cells, family):
    outcomes = conformance(family(list(cells.var_names)), cells)
    assert [(o.check, o.words) for o in outcomes if o.verdict == FAILS] == []


@pytest.mark.parametrize("decoder", [None, "ridge"])
def test_an_embedding_with_and_without_a_decoder_holds(cells, decoder):
    cells.obsm["X_made"] = np.random.default_rng(0).normal(size=(CELLS, 5))
    outcomes = {o.check: o for o in conformance(EmbeddingModel("X_made", decoder).fitted(cells), cells)}
    assert {name for name, o in outcomes.items() if o.verdict != HOLDS} == {"same at every cut"} | OPTIONAL - {"device"}
    assert FAILS not in {o.verdict for o in outcomes.values()}


def test_what_has_no_meaning_says_why(cells):
    one_block = AidoCell.random(list(cells.var_names), hidden=WIDTH, layers=1, heads=2, intermediate=19)
    outcomes = {o.check: o for o in conformance(one_block, cells)}
    assert outcomes["same at every cut"].verdict == MEANINGLESS
    assert "one site" in outcomes["same at every cut"].words
    assert outcomes["same at every cut"].deviation is None


def test_any_object_can_be_asked(cells):
    (outcome,) = conformance("mini", cells)
    assert (
        "no name, revision, licence, n_layers, d_model, genes, card, gene_table, tokens, predicts, trained_at, batches"
        in outcome.words
    )


def test_an_adapter_that_raises_fails_there_and_the_rest_still_runs(cells):
    def resume(model, batch, layer, x):
        raise ZeroDivisionError("of my own making")

    outcomes = {o.check: o for o in conformance(broken(promises(cells), resume=resume), cells)}
    assert re.fullmatch(
        r"ZeroDivisionError in test_conformance.py, line \d+: of my own making", outcomes["outputs"].words
    )
    told = [line for line in table(list(outcomes.values())).splitlines() if "of my own making" in line]
    assert len(told) == 1, "said once, of all the checks that met it"
    assert told[0].startswith("kind, outputs, same at every cut, identity edit, ")
    assert outcomes["members"].verdict == outcomes["batches"].verdict == outcomes["genes"].verdict == HOLDS
    assert len(outcomes) == len(CHECKS)


def test_an_interruption_is_no_outcome(cells):
    def resume(model, batch, layer, x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        conformance(broken(promises(cells), resume=resume), cells)


def test_too_few_cells_are_refused(cells):
    with pytest.raises(CellsError, match="2 cells; the checks compare batch sizes and need 3 or more"):
        conformance(promises(cells), cells[:2].copy())


def test_progress_names_each_check(cells):
    told = []
    conformance(promises(cells), cells, lambda done, name: told.append((done, name)))
    assert told == list(enumerate(c.name for c in CHECKS))


def test_the_table_says_what_was_expected_and_where_to_look(cells):
    outcomes = conformance(broken(promises(cells), resume=a_block_twice), cells)
    lines = table(outcomes).splitlines()
    assert lines[0].split() == ["check", "outcome", "difference", "allowed"]
    row = next(line for line in lines if line.startswith("same at every cut"))
    assert FAILS in row
    told = next(line for line in lines[len(CHECKS) + 1 :] if line.startswith("same at every cut: "))
    assert "expected the same output from every layer" in told
    assert "Look at which blocks residual and resume run" in told


def test_outcomes_are_json_even_where_a_difference_is_infinite(cells):
    outcomes = conformance(broken(promises(cells), resume=not_finite), cells)
    rows = json.loads(json.dumps(to_json(outcomes), allow_nan=False))
    assert [row["check"] for row in rows] == [c.name for c in CHECKS]
    assert {row["verdict"] for row in rows} >= {HOLDS, FAILS}


def test_a_model_without_a_head_predicts_nothing_and_holds(cells):
    model = promises(cells)
    model.head = None
    assert model.predicts == "nothing"
    assert failing(model, cells) == set()
    assert model.resume(next(model.batches(cells, 3)), 0, torch.zeros(3, GENES + 2, WIDTH)).expression is None
