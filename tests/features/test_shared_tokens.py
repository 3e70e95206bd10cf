"""Tokens that several steps share: the model runs once, and every step finds what it finds alone."""

import numpy as np
import pytest
import torch

from cellprism.errors import ConfigError
from cellprism.features.baselines import neuron_genes
from cellprism.features.classes import fit_by_class
from cellprism.features.collect import feature_genes, feature_statistics
from cellprism.features.evaluate import evaluate_at
from cellprism.features.tokens.cell_tokens import CellTokens, tokens_at
from cellprism.features.train import train_sae
from cellprism.sae.config import SaeConfig
from features.conftest import CELLS, D_MODEL, GENES, LAYER, make_cells, make_model
from features.tokens.test_cell_tokens import BYTES, Counting

CONFIG = SaeConfig(n_features=23, k=3, epochs=2, batch_size=64)


@pytest.fixture(params=["memory", "disk", "nowhere"])
def counted(request, cells, tmp_path):
    """A model that counts its cells, its tokens kept in one of the places, and how often it runs for all steps."""
    model = Counting(make_model(True))
    memory = 1 << 30 if request.param == "memory" else 300 * BYTES
    folder = tmp_path if request.param == "disk" else None
    return model, CellTokens(model, cells, [0, LAYER], memory=memory, batch_size=5, folder=folder), request.param


def test_every_step_finds_what_it_finds_alone_to_the_bit(counted, cells, sae, tmp_path):
    model, tokens, place = counted
    alone = {"batch_size": 5}
    assert vars_of(evaluate_at(model, sae, cells, LAYER, tokens=tokens)) == vars_of(
        evaluate_at(model, sae, cells, LAYER, **alone)
    )
    assert fit_by_class(model, sae, cells, LAYER, tokens=tokens).equals(fit_by_class(model, sae, cells, LAYER, **alone))
    found, expected = (feature_statistics(model, sae, cells, LAYER, **given) for given in ({"tokens": tokens}, alone))
    assert np.array_equal(found.genes.X, expected.genes.X)
    assert found.residual == expected.residual
    assert np.array_equal(
        feature_genes(model, sae, cells, LAYER, tokens=tokens).layers["frac"], expected.genes.layers["frac"]
    )
    fresh = CellTokens(model, cells, [LAYER], batch_size=5)
    assert np.array_equal(
        neuron_genes(model, cells, LAYER, tokens=tokens).X, neuron_genes(model, cells, LAYER, tokens=fresh).X
    )
    assert not list(tmp_path.iterdir()), "files of tokens have no name and go with the process"
    before = model.cells
    list(tokens.in_passes())
    assert (model.cells == before) == (place != "nowhere")


def vars_of(measures) -> dict:
    return {**measures.summary(), "firing_rate": measures.firing_rate.tolist()}


@pytest.mark.parametrize("place", ["memory", "disk"])
def test_the_model_runs_once_for_training_and_all_that_follows(cells, sae, tmp_path, place):
    model = Counting(make_model(True))
    memory = CELLS * GENES * BYTES - (place == "disk")
    tokens = CellTokens(model, cells, [LAYER], memory=memory, folder=tmp_path)
    train_sae(model, cells, LAYER, CONFIG, cell_tokens=tokens)
    evaluate_at(model, sae, cells, LAYER, tokens=tokens)
    fit_by_class(model, sae, cells, LAYER, tokens=tokens)
    feature_statistics(model, sae, cells, LAYER, tokens=tokens)
    neuron_genes(model, cells, LAYER, tokens=tokens)
    assert model.cells == CELLS


def test_training_on_shared_tokens_is_training_alone(cells):
    model = make_model(True)
    shared = CellTokens(model, cells, [LAYER])
    first, second = (train_sae(model, cells, LAYER, CONFIG, cell_tokens=given) for given in (shared, None))
    assert torch.equal(first.W_dec, second.W_dec)
    assert first.metadata["measures"] == second.metadata["measures"]


def test_a_full_disk_is_not_written_to(cells, tmp_path, monkeypatch):
    model = Counting(make_model(True))
    tokens = CellTokens(model, cells, [LAYER], memory=300 * BYTES, folder=tmp_path)
    monkeypatch.setattr(
        "cellprism.features.tokens.cell_tokens.shutil.disk_usage", lambda folder: type("Usage", (), {"free": 100})
    )
    assert not tokens.on_disk
    for _ in range(2):
        list(tokens.in_passes())
    assert model.cells == 2 * CELLS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("layer", r"these tokens were read after blocks \[1\]; read them after \[2\] too"),
        ("policy", "these are 'expressed' tokens, but a measure takes all"),
        ("cells", "these tokens are of another model or of other cells"),
        ("model", "these tokens are of another model or of other cells"),
    ],
)
def test_tokens_of_something_else_are_refused(cells, sae, change, message):
    model = make_model(True)
    tokens = CellTokens(model, cells, [LAYER], "expressed" if change == "policy" else "present")
    other = make_cells(11) if change == "cells" else cells
    asked = make_model(True) if change == "model" else model
    with pytest.raises(ConfigError, match=message):
        evaluate_at(asked, sae, other, 2 if change == "layer" else LAYER, tokens=tokens)


def test_training_refuses_tokens_of_another_policy(cells):
    model = make_model(True)
    with pytest.raises(ConfigError, match="these are 'expressed' tokens, but tokens = 'present' is to be trained on"):
        train_sae(model, cells, LAYER, CONFIG, cell_tokens=CellTokens(model, cells, [LAYER], "expressed"))


def test_layers_come_in_the_order_asked(cells):
    model = make_model(True)
    shared = CellTokens(model, cells, [0, LAYER], batch_size=5)
    for held, fresh in zip(
        tokens_at(model, cells, [LAYER, 0], shared=shared), tokens_at(model, cells, [LAYER, 0], 5), strict=True
    ):
        assert all(torch.equal(a, b) for a, b in zip(held.x, fresh.x, strict=True))
        assert held.x[0].shape[1] == D_MODEL
