"""The suite fails an adapter whose stated abilities or facts are not as the protocol promises them."""

from dataclasses import replace

import pytest
import torch
from anndata import AnnData

from cellprism.models.aido.model import AidoCell
from cellprism.models.conformance import FAILS, HOLDS, conformance
from models.adapters import blood_cells, broken, promises, scvi


@pytest.fixture(scope="module")
def cells() -> AnnData:
    return blood_cells()


@pytest.mark.parametrize(
    ("residuals", "verdict", "words"),
    [
        (lambda model, batch, layers: AidoCell.residuals(model, batch, layers), HOLDS, ""),
        (lambda model, batch, layers: AidoCell.residuals(model, batch, layers)[::-1], FAILS, "results differ"),
        (lambda model, batch, layers: AidoCell.residuals(model, batch, layers)[:1], FAILS, "1 residual streams for 3"),
    ],
)
def test_residuals_of_several_layers_are_compared_with_each(cells, residuals, verdict, words):
    model = broken(promises(cells), residuals=residuals)
    outcome = next(o for o in conformance(model, cells) if o.check == "residuals")
    assert outcome.verdict == verdict
    assert words in outcome.words


@pytest.mark.parametrize(
    ("between", "verdict"),
    [
        (AidoCell.between, HOLDS),
        (lambda model, batch, layer, x, to: AidoCell.between(model, batch, layer, x, max(to - 1, layer)), FAILS),
        (lambda model, batch, layer, x, to: x, FAILS),
    ],
)
def test_streams_between_blocks_are_compared_with_those_of_whole_passes(cells, between, verdict):
    model = broken(promises(cells), between=between)
    assert next(o for o in conformance(model, cells) if o.check == "between blocks").verdict == verdict


@pytest.mark.parametrize(
    ("resume_at", "verdict", "words"),
    [
        (AidoCell.resume_at, HOLDS, ""),
        (lambda model, batch, layer, x, tokens: AidoCell.resume_at(model, batch, layer, x, tokens.sort().values), FAILS,
         "results differ"),
        (lambda model, batch, layer, x, tokens: model.resume(batch, layer, x), FAILS, ""),
    ],
)  # fmt: skip
def test_the_output_at_some_genes_is_compared_with_that_at_all(cells, resume_at, verdict, words):
    model = broken(promises(cells), resume_at=resume_at)
    outcome = next(o for o in conformance(model, cells) if o.check == "some genes")
    assert outcome.verdict == verdict
    assert words in outcome.words


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"tokens": "cells"}, "tokens is 'cells', and a cell has 55 tokens"),
        ({"predicts": "token_logit"}, "predicts is 'token_logit', and the output has expression"),
        ({"predicts": "nothing"}, "predicts is 'nothing', and the output has expression"),
    ],
)
def test_a_model_that_states_another_kind_than_it_is_fails(cells, members, words):
    outcomes = {o.check: o for o in conformance(broken(promises(cells), **members), cells)}
    assert outcomes["kind"].verdict == FAILS
    assert words in outcomes["kind"].words


def test_a_model_of_whole_cells_that_states_genes_fails(cells):
    model = scvi(list(cells.var_names))
    model.tokens = "genes"
    outcome = next(o for o in conformance(model, cells) if o.check == "kind")
    assert "7 present tokens are none" in outcome.words


def test_a_model_that_states_an_output_that_it_has_not_fails(cells):
    silent = broken(promises(cells), resume=lambda *given: replace(AidoCell.resume(*given), expression=None))
    outcome = next(o for o in conformance(silent, cells) if o.check == "kind")
    assert "predicts is 'expression', and the output has neither" in outcome.words


def masks_nothing(model, batch, hidden):
    return batch


def masks_in_place(model, batch, hidden):
    batch.values.masked_fill_(hidden, -1)
    return batch


def masks_half(model, batch, hidden):
    return replace(batch, values=torch.where(hidden, batch.values / 2, batch.values))


def masks_presence(model, batch, hidden):
    return replace(AidoCell.mask(model, batch, hidden), present=batch.present & ~hidden)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (masks_nothing, "hidden genes are read as before"),
        (masks_in_place, "mask wrote into the batch"),
        (masks_half, "results differ by"),
        (masks_presence, "mask changed more of the batch"),
    ],
)
def test_a_mask_that_hides_nothing_half_or_too_much_fails(cells, mask, words):
    outcomes = {o.check: o for o in conformance(broken(promises(cells), mask=mask), cells)}
    assert {name for name, o in outcomes.items() if o.verdict == FAILS} == {"hidden genes"}
    assert words in outcomes["hidden genes"].words


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (lambda model, n_genes, **free: AidoCell.plan(model, n_genes - 2, **free), "53 tokens a cell are planned"),
        (lambda model, n_genes, **free: AidoCell.plan(model, n_genes, free=1), "[1, 1, 1] cells a pass"),
    ],
)
def test_a_plan_of_other_tokens_or_deaf_to_what_is_free_fails(cells, plan, words):
    outcomes = {o.check: o for o in conformance(broken(promises(cells), plan=plan), cells)}
    assert {name for name, o in outcomes.items() if o.verdict == FAILS} == {"memory plan"}
    assert words in outcomes["memory plan"].words


def test_a_model_that_moves_into_another_object_fails(cells):
    outcomes = {o.check: o for o in conformance(broken(promises(cells), to=lambda model, device: None), cells)}
    assert {name for name, o in outcomes.items() if o.verdict == FAILS} == {"device"}
    assert "another object" in outcomes["device"].words
