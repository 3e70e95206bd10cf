import json
from dataclasses import replace

import pandas as pd
import pytest
import torch

from cellprism.errors import ConfigError, ModelError
from cellprism.features.baselines import untrained_sae
from cellprism.features.train import train_sae
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.config import SaeConfig
from cellprism.sae.evaluate import evaluate
from features.conftest import (
    CELLS,
    D_MODEL,
    FEATURES,
    GENES,
    LAYER,
    K,
    dense_residuals,
    make_cells,
    make_model,
)

CONFIG = SaeConfig(k=K, n_features=FEATURES, batch_size=64, epochs=3, learning_rate=3e-3)
CENTRED = replace(CONFIG, centring="group")


def test_training_explains_more_than_random_directions_do(cells):
    model = make_model(True)
    sae = train_sae(model, cells, LAYER, replace(CONFIG, epochs=31))
    x = [dense_residuals(model, cells).flatten(0, 1)]
    ours, random = evaluate(sae, x), evaluate(untrained_sae(sae, 0), x)
    assert ours.explained_variance > 0.8
    assert random.explained_variance < ours.explained_variance - 0.2
    assert sae.metadata["measures"]["explained_variance"] == pytest.approx(ours.explained_variance, abs=1e-4)
    torch.testing.assert_close(sae.firing_rate, ours.firing_rate, rtol=0, atol=0.01)


def test_an_epoch_is_one_pass_over_all_tokens(cells):
    sae = train_sae(make_model(True), cells, LAYER, CONFIG)
    assert len(sae.history) == 3 * -(-CELLS * GENES // 64)
    assert sae.history["tokens"].iloc[-1] == 3 * CELLS * GENES


def test_centring_takes_each_genes_mean_off_and_unseen_genes_get_the_overall_mean(model, cells):
    sae = train_sae(model, cells, LAYER, CENTRED)
    x = dense_residuals(model, cells)
    columns = [model.genes.index(g) for g in cells.var_names]
    torch.testing.assert_close(sae.centre[columns], x.mean(0), rtol=1e-4, atol=1e-4)
    unseen = [i for i in range(len(model.genes)) if i not in columns]
    torch.testing.assert_close(sae.centre[unseen], x.mean((0, 1)).expand(8, -1), rtol=1e-4, atol=1e-4)
    assert sae.metadata["measures"]["explained_within"] > 0.3


def test_the_same_seed_gives_the_same_bits(cells):
    model = make_model(True)
    first, again, other = (train_sae(model, cells, LAYER, CENTRED, seed) for seed in (0, 0, 1))
    assert torch.equal(first.W_dec, again.W_dec)
    assert not torch.equal(first.W_dec, other.W_dec)


def test_a_stream_too_large_for_memory_trains_as_well():
    model, cells = make_model(True), make_cells(31)
    small = replace(CENTRED, memory=4 * D_MODEL * 300)
    kept, streamed = (train_sae(model, cells, LAYER, c).metadata["measures"] for c in (CENTRED, small))
    assert streamed["explained_within"] == pytest.approx(kept["explained_within"], abs=0.05)
    assert streamed["tokens"] == kept["tokens"]


def test_a_run_folder_gets_weights_measures_and_history(model, cells, tmp_path):
    sae = train_sae(model, cells, LAYER, CENTRED, seed=7, out=tmp_path)
    folder = tmp_path / "sae" / "L1"
    found = SparseAutoencoder.load(folder)
    assert torch.equal(found.W_enc, sae.W_enc)
    assert torch.equal(found.centre, sae.centre)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics == {"n_features": FEATURES, "k": K, **sae.metadata["measures"]}
    assert pd.read_parquet(folder / "history.parquet")["mse"].tolist() == sae.history["mse"].tolist()


def test_metadata_say_what_it_was_trained_on(cells):
    metadata = train_sae(make_model(True), cells, LAYER, CENTRED, seed=7).metadata
    expected = {
        "model_name": "random",
        "hook_name": "blocks.1.hook_resid_post",
        "hook_layer": 1,
        "site": "block 1, the 2nd of 3",
        "model_revision": "seed 1",
        "model_licence": "none",
        "cells": {"n_cells": CELLS, "n_genes": GENES, "source": "made up", "sha256": "abc"},
        "seed": 7,
    }
    assert {name: metadata[name] for name in expected} == expected
    assert metadata["config"]["k"] == K


def test_progress_hears_of_every_step(cells):
    heard = []
    sae = train_sae(make_model(True), cells, LAYER, CONFIG, progress=lambda done, _: heard.append(done))
    assert heard == sae.history["step"].tolist()


def test_the_random_state_outside_is_left_alone(cells):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    train_sae(make_model(True), cells, LAYER, CONFIG)
    # making the model forks the state; nothing else draws from it
    assert torch.equal(torch.get_rng_state(), before)


def test_settings_that_do_not_fit_the_model_are_refused(model, cells):
    with pytest.raises(ConfigError, match="fewer than k 99"):
        train_sae(model, cells, LAYER, SaeConfig(expansion=2, k=99))
    with pytest.raises(ModelError, match="layer 9 does not exist"):
        train_sae(model, cells, 9, CONFIG)
