from dataclasses import replace

import pytest
import torch

from cellprism.errors import ConfigError, InputError
from cellprism.sae.centre import group_means
from cellprism.sae.config import SaeConfig
from cellprism.sae.evaluate import evaluate
from cellprism.sae.fit import fit_sae, fit_saes
from cellprism.sae.initial import random_directions
from cellprism.sae.job import Job
from cellprism.sae.stream import Vectors
from sae.conftest import planted

D, N = 13, 41
CONFIG = SaeConfig(k=5, n_features=N, learning_rate=3e-3)


@pytest.fixture
def batches() -> list[torch.Tensor]:
    return list(planted(1009, D, 31, 3).x.split(101))


@pytest.mark.slow
def test_planted_directions_are_recovered_far_better_than_by_chance():
    data, unseen = planted(20_000, 31, 61, 3), planted(2_003, 31, 61, 3, seed=1)
    config = SaeConfig(k=3, n_features=61, learning_rate=3e-3)
    sae = fit_sae(list(data.x.split(512)), config, 31, steps=900, seed=0)
    recovered = (data.dictionary @ sae.W_dec.T).amax(dim=1)
    chance = (data.dictionary @ random_directions(61, 31, 0).T).amax(dim=1)
    assert chance.mean() < 0.5
    assert recovered.mean() > 0.92
    assert (recovered > 0.9).double().mean() > 0.8
    measures = evaluate(sae, [unseen.x])
    assert measures.explained_variance > 0.8
    assert measures.dead_share < 0.05
    assert measures.l0 <= 3


def test_decoder_rows_have_norm_one(batches):
    sae = fit_sae(batches, CONFIG, D, steps=31)
    torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(N))


def test_the_same_seed_gives_the_same_bits_and_another_seed_other_weights(batches):
    first, again, other = (fit_sae(batches, CONFIG, D, steps=29, seed=s) for s in (0, 0, 1))
    for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert not torch.allclose(first.W_dec, other.W_dec)


def test_data_in_other_units_give_the_same_features(batches):
    plain = fit_sae(batches, CONFIG, D, steps=11)
    scaled = fit_sae([b * 128 for b in batches], CONFIG, D, steps=11)
    torch.testing.assert_close(scaled.W_dec, plain.W_dec, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(scaled.b_dec, plain.b_dec * 128, rtol=1e-4, atol=1e-2)
    assert scaled.history["mse"].iloc[-1] == pytest.approx(plain.history["mse"].iloc[-1] * 128**2, rel=1e-3)


def test_the_history_describes_every_step(batches):
    sae = fit_sae(batches, replace(CONFIG, dead_after=300), D, steps=37)
    history = sae.history
    assert history["step"].tolist() == list(range(1, 38))
    assert history["tokens"].iloc[:3].tolist() == [101, 202, 303]
    assert history["explained_variance"].iloc[-1] > history["explained_variance"].iloc[0]
    assert history["mse"].iloc[-1] < history["mse"].iloc[0]
    assert history["l0"].between(0, 5).all()
    assert history["dead_share"].iloc[1] == 0  # 202 tokens: too early to call anything dead
    assert history["learning_rate"].idxmax() == 2  # after a warm-up of 5 %, then falling
    assert (history["learning_rate"].diff().iloc[3:] < 0).all()


def test_the_history_counts_features_that_stay_silent(batches):
    sae = fit_sae([torch.ones(101, D)], replace(CONFIG, dead_after=500), D, steps=11)
    assert sae.history["dead_share"].iloc[-1] > 0
    assert sae.history["dead_share"].iloc[3] == 0


def test_progress_hears_of_every_step(batches):
    heard = []
    sae = fit_sae(batches, CONFIG, D, steps=3, progress=lambda done, figures: heard.append((done, figures)))
    assert [done for done, _ in heard] == [1, 2, 3]
    assert [f["mse"] for _, f in heard] == sae.history["mse"].tolist()


def test_groups_are_centred_before_fitting():
    x = planted(1009, D, 31, 3).x
    group = torch.arange(1009) % 7
    offset = 30 * torch.randn(7, D, generator=torch.Generator().manual_seed(0))
    pairs = list(zip((x + offset[group]).split(101), group.split(101), strict=True))
    centre = group_means(pairs, 7)
    sae = fit_sae(pairs, replace(CONFIG, centring="group"), D, steps=97, centre=centre)
    assert torch.equal(sae.centre, centre)
    measures = evaluate(sae, pairs)
    assert measures.explained_within > 0.5
    assert measures.explained_variance > 0.99


def test_without_relu_values_may_be_negative(batches):
    x = batches[0]
    signed = fit_sae(batches, replace(CONFIG, relu=False, k=41), D, steps=5)
    assert (signed.encode(x).values < 0).any()


def test_a_list_is_gone_through_again_and_metadata_are_kept(batches):
    sae = fit_sae(batches, CONFIG, D, steps=len(batches) * 2 + 1, metadata={"model_name": "tiny"})
    assert len(sae.history) == len(batches) * 2 + 1
    assert sae.metadata == {"model_name": "tiny"}


def test_an_iterator_that_ends_too_early_says_how_far_it_came(batches):
    with pytest.raises(InputError, match="the batches ended after 10 of 11 steps; give more"):
        fit_sae(iter(batches), CONFIG, D, steps=11)
    assert len(fit_sae(iter(batches), CONFIG, D, steps=10).history) == 10


def test_no_batches_at_all_are_an_error():
    with pytest.raises(InputError, match="the batches ended after 0"):
        fit_sae([], CONFIG, D, steps=5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_vectors_that_are_not_finite_are_refused(batches, value):
    batches[1][3, 4] = value
    with pytest.raises(InputError, match="batch 1 holds NaN or infinite values"):
        fit_sae(batches, CONFIG, D, steps=3)


@pytest.mark.parametrize(
    ("rate", "size", "message"),
    [
        (1e20, 1.0, r"its error is no finite number at step [2-9] of 9"),
        (1e-3, 1e25, "its error is no finite number at step 1 of 9"),
    ],
)
def test_a_training_that_diverges_stops_at_once(batches, rate, size, message):
    heard: list[int] = []
    with pytest.raises(InputError, match=rf"the training does not converge: {message}; lower train.learning_rate"):
        fit_sae(
            [batch * size for batch in batches], replace(CONFIG, learning_rate=rate), D, steps=9,
            progress=lambda done, _: heard.append(done),
        )  # fmt: skip
    assert len(heard) < 5


def test_weights_of_a_last_step_that_went_too_far_are_not_given(batches):
    with pytest.raises(InputError, match="its weights are too large to compute with after the last step"):
        fit_sae(batches, replace(CONFIG, learning_rate=1e20, warmup=0.0), D, steps=1)


def test_vectors_of_another_width_are_refused(batches):
    with pytest.raises(InputError, match=r"batch 0 has shape \[101, 13\]; expected \[token, 14\]"):
        fit_sae(batches, CONFIG, 14, steps=3)


def test_centring_and_centre_must_go_together(batches):
    with pytest.raises(ConfigError, match="centring is 'group' and centre is missing"):
        fit_sae(batches, replace(CONFIG, centring="group"), D, steps=3)
    with pytest.raises(ConfigError, match="centring is 'none' and centre is given"):
        fit_sae(batches, CONFIG, D, steps=3, centre=torch.zeros(7, D))


def test_centring_needs_groups(batches):
    with pytest.raises(InputError, match="batch 0 has no groups"):
        fit_sae(batches, replace(CONFIG, centring="group"), D, steps=3, centre=torch.zeros(7, D))


def test_no_steps_are_refused(batches):
    with pytest.raises(ConfigError, match="steps is 0: expected at least 1"):
        fit_sae(batches, CONFIG, D, steps=0)


@pytest.mark.parametrize("settings", [{"centring": "global"}, {"centring": "global", "biases": "two"}])
def test_one_mean_for_all_is_folded_into_the_biases(batches, settings):
    far = [b + 100 for b in batches]
    config = replace(CONFIG, **settings)
    sae = fit_sae(far, config, D, steps=11)
    assert sae.centre is None
    plain = evaluate(sae, far)
    assert plain.explained_variance == pytest.approx(float(sae.history["explained_variance"].iloc[-1]), abs=0.1)
    assert plain.explained_variance > 0.2


@pytest.mark.slow
def test_a_transcoder_learns_a_linear_map_of_its_input():
    data = planted(6000, 31, 61, 3)
    generator = torch.Generator().manual_seed(1)
    turn = torch.randn(31, 19, generator=generator)
    y = data.x @ turn + 5
    batches = [Vectors(a, None, b) for a, b in zip(data.x.split(500), y.split(500), strict=True)]
    config = SaeConfig(k=3, n_features=61, learning_rate=3e-3, target_layer=1)
    sae = fit_saes(batches, [Job(config, 31, d_target=19)], steps=300)[0]
    assert sae.is_transcoder
    assert (sae.d_model, sae.W_dec.shape[1]) == (31, 19)
    measures = evaluate(sae, batches)
    assert measures.explained_variance > 0.6
    assert measures.explained_variance == pytest.approx(float(sae.history["explained_variance"].iloc[-1]), abs=0.1)
    with pytest.raises(InputError, match="has no targets, which a transcoder needs"):
        fit_saes([data.x[:100]], [Job(config, 31, d_target=19)], steps=1)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["batchtopk", "matryoshka", "l1", "gated", "jumprelu"])
def test_an_autoencoder_with_a_threshold_does_alone_what_it_did_in_training(architecture):
    data, unseen = planted(20_000, 31, 61, 3), planted(2_003, 31, 61, 3, seed=1)
    config = SaeConfig(architecture=architecture, k=5, n_features=61, learning_rate=3e-3)
    sae = fit_sae(list(data.x.split(500)), config, 31, steps=400)
    assert sae.architecture == architecture
    last = sae.history.iloc[-20:].mean()
    alone = evaluate(sae, [unseen.x])
    assert alone.explained_variance == pytest.approx(last["explained_variance"], abs=0.05)
    assert alone.l0 == pytest.approx(last["l0"], rel=0.15)
    assert alone.explained_variance > 0.4


def test_several_jobs_on_one_stream_are_each_what_they_are_alone(batches):
    jobs = [
        Job(CONFIG, D, seed=0),
        Job(replace(CONFIG, k=3), D, seed=1),
        Job(replace(CONFIG, n_features=59), D, seed=0),
    ]
    together = fit_saes(batches, jobs, steps=13)
    for job, sae in zip(jobs, together, strict=True):
        alone = fit_saes(batches, [job], steps=13)[0]
        assert torch.equal(sae.W_enc, alone.W_enc)
        assert sae.history["mse"].tolist() == alone.history["mse"].tolist()


def test_the_preset_of_published_settings_fits(batches):
    sae = fit_sae(batches, SaeConfig.preset("yc2026", k=5, n_features=N), D, steps=200)
    assert not sae.relu
    assert evaluate(sae, batches).explained_variance > 0.3
