import json
import os
import signal
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from cellprism.errors import ConfigError, ModelError, RunError
from cellprism.features.baselines import untrained_sae
from cellprism.features.train import SaeJob, train_sae, train_saes
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.config import SaeConfig
from cellprism.sae.evaluate import evaluate
from cellprism.sae.files import load_sae
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
from features.latent import LatentModel
from features.tokens.test_cell_tokens import Counting

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
    small = replace(CENTRED, memory=(4 * D_MODEL + 16) * 400)
    kept, streamed = (train_sae(model, cells, LAYER, c).metadata["measures"] for c in (CENTRED, small))
    assert streamed["explained_within"] == pytest.approx(kept["explained_within"], abs=0.05)
    assert streamed["tokens"] == kept["tokens"]


def test_a_run_folder_gets_weights_measures_and_history(model, cells, tmp_path):
    sae = train_sae(model, cells, LAYER, CENTRED, seed=7, out=tmp_path)
    folder = tmp_path / "sae" / "L1"
    found = load_sae(folder)
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
        "tokens": {"policy": "present", "per_epoch": CELLS * GENES},
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
    with pytest.raises(ModelError, match="layer 3 does not exist"):
        train_sae(model, cells, LAYER, replace(CONFIG, target_layer=3))


def same(first: SparseAutoencoder, second: SparseAutoencoder) -> bool:
    names = ("W_enc", "b_enc", "W_dec", "b_dec", "firing_rate")
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in names)


@pytest.mark.parametrize("policy", ["expressed", "weighted"])
def test_the_token_policy_decides_what_is_learned_from_and_is_recorded(model, cells, policy):
    sae = train_sae(model, cells, LAYER, replace(CONFIG, tokens=policy))
    expressed = int((cells.X.toarray() > 0).sum())
    assert sae.history["tokens"].iloc[-1] == 3 * expressed
    assert sae.metadata["measures"]["tokens"] == expressed
    assert sae.metadata["tokens"] == {"policy": policy, "per_epoch": expressed}


def test_whole_cells_can_be_batches(cells):
    sae = train_sae(make_model(True), cells, LAYER, replace(CONFIG, batch_cells=8))
    assert len(sae.history) == 3 * 3
    assert sae.history["tokens"].iloc[-1] == 3 * CELLS * GENES


def test_global_centring_takes_the_overall_mean_off_and_folds_it_into_the_biases(model, cells):
    sae = train_sae(model, cells, LAYER, replace(CONFIG, centring="global", learning_rate=1e-9))
    assert sae.centre is None
    mean = dense_residuals(model, cells).mean((0, 1))
    torch.testing.assert_close(sae.b_dec, mean, rtol=1e-3, atol=1e-3)  # it has hardly learned, so this is the mean


@pytest.mark.slow
@pytest.mark.parametrize("centring", ["none", "group"])
def test_a_transcoder_learns_one_layer_from_another(cells, centring):
    model = make_model(True)
    sae = train_sae(model, cells, 0, replace(CONFIG, target_layer=2, centring=centring, epochs=31))
    assert sae.is_transcoder
    x, y = (torch.stack([model.residual(b, i)[0, :GENES] for b in model.batches(cells, 1)]) for i in (0, 2))
    if centring == "group":
        columns = [model.genes.index(g) for g in cells.var_names]
        torch.testing.assert_close(sae.centre[columns], x.mean(0), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(sae.target_centre[columns], y.mean(0), rtol=1e-4, atol=1e-4)
    genes = torch.tensor([model.genes.index(g) for g in cells.var_names]).repeat(CELLS)
    x, y = x.flatten(0, 1), y.flatten(0, 1)
    error = (sae.decode(sae.encode(x, genes), genes) - y).square().mean()
    assert error < 0.5 * (y - y.mean(0)).square().mean()
    assert sae.metadata["target_layer"] == 2
    assert sae.metadata["target_site"] == "block 2, the 3rd of 3"


def test_a_model_that_reads_a_cell_as_a_whole_is_trained_on_cells(cells):
    model = LatentModel(cells)
    small = replace(CONFIG, n_features=13, epochs=5)
    sae = train_sae(model, cells, LAYER, replace(small, centring="global"))
    assert sae.metadata["measures"]["tokens"] == CELLS
    with pytest.raises(ConfigError, match="centring is 'group'.* of 'latent' are genes; use centring = 'global'"):
        train_sae(model, cells, LAYER, replace(small, centring="group"))
    with pytest.raises(ConfigError, match="use tokens = 'present'"):
        train_sae(model, cells, LAYER, replace(small, tokens="expressed"))


JOBS = [
    SaeJob(LAYER, CENTRED, seed=3),
    SaeJob(LAYER, replace(CONFIG, k=3, n_features=31), seed=4, name="small"),
    SaeJob(0, CONFIG, seed=3),
    SaeJob(0, replace(CONFIG, target_layer=2), seed=3, name="transcoder"),
]


def test_several_are_trained_in_one_pass_as_each_would_be_alone(cells, tmp_path):
    counting = Counting(make_model(True))
    heard = []
    saes = train_saes(counting, cells, JOBS, tmp_path, seed=3, progress=lambda done, rows: heard.append(len(rows)))
    assert counting.cells == 3 * CELLS  # the model runs once at each of three layers
    assert set(heard) == {4}
    for sae, job in zip(saes, JOBS, strict=True):
        found = load_sae(tmp_path / "sae" / job.folder)
        assert torch.equal(found.W_enc, sae.W_enc)
        assert found.metadata["seed"] == job.seed
    for number in (0, 2, 3):
        job = JOBS[number]
        assert same(saes[number], train_sae(make_model(True), cells, job.layer, job.config, job.seed))
    assert [job.folder for job in JOBS] == ["L1", "L1-small", "L0", "L0-transcoder"]
    assert not (tmp_path / "sae" / "checkpoint").exists()


def test_without_measures_the_weights_are_the_same_and_nothing_is_written(cells, tmp_path):
    measured, bare = (train_saes(make_model(True), cells, JOBS[:1], measured=so)[0] for so in (True, False))
    assert torch.equal(measured.W_enc, bare.W_enc)
    assert torch.equal(measured.W_dec, bare.W_dec)
    assert measured.firing_rate is not None
    assert (bare.firing_rate, "measures" in bare.metadata) == (None, False)
    with pytest.raises(ConfigError, match="leave out either out or measured=False"):
        train_saes(make_model(True), cells, JOBS[:1], tmp_path, measured=False)
    assert list(tmp_path.iterdir()) == []


def test_jobs_that_do_not_go_together_are_refused(cells, tmp_path):
    model = make_model(True)
    with pytest.raises(ConfigError, match="there are no jobs"):
        train_saes(model, cells, [])
    with pytest.raises(ConfigError, match="see the same batches, but batch_size is 64 and 32"):
        train_saes(model, cells, [JOBS[0], SaeJob(LAYER, replace(CONFIG, batch_size=32))])
    with pytest.raises(ConfigError, match="give jobs of the same layer different names"):
        train_saes(model, cells, [JOBS[0], SaeJob(LAYER, CONFIG, seed=5)], tmp_path)


def stopping(at: int):
    """A progress callback during which the user presses Ctrl-C."""
    return lambda done, _: os.kill(os.getpid(), signal.SIGINT) if done == at else None


@pytest.mark.parametrize("memory", [1 << 30, (4 * D_MODEL + 16) * 400], ids=["kept", "in windows"])
def test_a_training_that_was_stopped_goes_on_to_the_same_bits(cells, tmp_path, memory):
    model, config = make_model(True), replace(CENTRED, memory=memory)
    whole = train_sae(model, cells, LAYER, config, seed=2)
    for at in (5, 11):
        with pytest.raises(KeyboardInterrupt):
            train_sae(model, cells, LAYER, config, seed=2, out=tmp_path, progress=stopping(at))
    heard = []
    again = train_sae(model, cells, LAYER, config, 2, tmp_path, progress=lambda done, _: heard.append(done))
    assert heard[0] == 12
    assert same(again, whole)
    assert again.history["step"].tolist() == whole.history["step"].tolist()
    assert not (tmp_path / "sae" / "L1" / "checkpoint").exists()


def test_a_stopped_training_goes_on_with_the_same_cells_only(cells, tmp_path):
    model = make_model(True)
    with pytest.raises(KeyboardInterrupt):
        train_sae(model, cells, LAYER, CONFIG, out=tmp_path, progress=stopping(5))
    other = cells.copy()
    other.X[0, 0] += 1
    with pytest.raises(RunError, match="checkpoints of another training"):
        train_sae(model, other, LAYER, CONFIG, out=tmp_path)


def test_training_from_a_store(cells, tmp_path):
    counting, stored = Counting(make_model(True)), replace(CENTRED, store=True, epochs=5)
    first = train_sae(counting, cells, LAYER, stored, out=tmp_path)
    assert counting.cells == CELLS
    again = train_sae(counting, cells, LAYER, stored, out=tmp_path)
    assert counting.cells == CELLS
    assert same(first, again)
    plain = train_sae(counting, cells, LAYER, replace(stored, store=False))
    explained = [sae.metadata["measures"]["explained_within"] for sae in (first, plain)]
    assert explained[0] == pytest.approx(explained[1], abs=0.05)
    np.testing.assert_allclose(first.centre, plain.centre, atol=0.02)


def test_a_store_needs_a_folder_and_no_whole_cells(cells, tmp_path):
    model = make_model(True)
    with pytest.raises(ConfigError, match="store is true, but a store needs a folder: give out="):
        train_sae(model, cells, LAYER, replace(CONFIG, store=True))
    with pytest.raises(ConfigError, match="store is true, but a store mixes cells, so batch_cells has none"):
        train_sae(model, cells, LAYER, replace(CONFIG, store=True, batch_cells=2), out=tmp_path)
