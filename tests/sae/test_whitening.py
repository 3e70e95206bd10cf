"""Vectors of which a few directions hold most of the variance, and what whitening them changes and does not."""

from dataclasses import replace

import pytest
import torch

from cellprism.errors import ConfigError
from cellprism.sae.config import SaeConfig
from cellprism.sae.files import load_sae, save_sae
from cellprism.sae.fit import fit_sae, fit_saes
from cellprism.sae.job import Job
from cellprism.sae.scaling import whitened_by
from cellprism.types import SparseCode
from sae.conftest import planted

D, LOUD, QUIET = 17, 3, 31
PLAIN = SaeConfig(k=4, n_features=61, learning_rate=3e-3)
WHITE = replace(PLAIN, whitening=D, shrinkage=1e-4)


def loud_and_quiet(tokens: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums of two of 31 quiet directions, beside three dimensions thirty times as loud; and how active each is."""
    quiet = planted(tokens, D - LOUD, QUIET, 2, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    x = torch.cat([30 * torch.randn(tokens, LOUD, generator=generator), quiet.x], dim=1)
    return x, quiet.activity


@pytest.fixture
def batches() -> list[torch.Tensor]:
    return list(loud_and_quiet(1009, 0)[0].split(101))


def dense(code: SparseCode) -> torch.Tensor:
    return torch.zeros(len(code.values), code.n_features).scatter_(1, code.features.long(), code.values)


def followed(config: SaeConfig) -> float:
    """Correlation of each quiet direction with the feature that follows it best, on vectors not trained on."""
    sae = fit_sae(list(loud_and_quiet(20_011, 0)[0].split(512)), config, D, steps=150)
    x, activity = loud_and_quiet(1009, 1)
    found = torch.corrcoef(torch.cat([activity, dense(sae.encode(x))], dim=1).T)[:QUIET, QUIET:]
    return float(found.nan_to_num().amax(dim=1).mean())


def test_quiet_directions_are_found_where_vectors_are_whitened():
    assert followed(PLAIN) < 0.3
    assert followed(WHITE) > 0.6


def test_few_components_leave_the_others_as_loud_as_the_last(batches):
    x = torch.cat(batches)
    centred = (x - x.mean(dim=0)) @ whitened_by(x, LOUD, 0.0)
    variance = torch.linalg.eigvalsh(centred.T @ centred / len(x)).flip(0)
    before = torch.linalg.eigvalsh((x - x.mean(dim=0)).T @ (x - x.mean(dim=0)) / len(x)).flip(0)
    torch.testing.assert_close(variance[:LOUD], before[:1].expand(LOUD), rtol=1e-3, atol=0)
    torch.testing.assert_close(variance[LOUD:], before[LOUD:] * before[0] / before[LOUD - 1], rtol=2e-2, atol=1e-2)


def test_all_components_and_no_shrinkage_make_all_directions_alike(batches):
    x = torch.cat(batches)
    white = (x - x.mean(dim=0)) @ whitened_by(x, D, 0.0)
    covariance = white.T @ white / len(x)
    torch.testing.assert_close(covariance / covariance[0, 0], torch.eye(D), rtol=0.02, atol=0.02)


def test_codes_are_those_of_the_whitened_vectors(batches):
    x = torch.cat(batches)
    stretch = whitened_by(x, D, WHITE.shrinkage)
    white = fit_sae(batches, WHITE, D, steps=len(batches))
    alone = fit_sae([b @ stretch for b in batches], PLAIN, D, steps=len(batches))
    one, other = white.encode(x), alone.encode(x @ stretch)
    torch.testing.assert_close(dense(one), dense(other), rtol=2e-3, atol=2e-3 * float(other.values.max()))
    torch.testing.assert_close(white.decode(one) @ stretch, alone.decode(other), rtol=2e-3, atol=0.05)


def test_it_is_saved_and_loaded_like_any_other(batches, tmp_path):
    sae = fit_sae(batches, WHITE, D, steps=11)
    save_sae(sae, tmp_path / "sae")
    again = load_sae(tmp_path / "sae")
    x = torch.cat(batches)
    assert torch.equal(dense(again.encode(x)), dense(sae.encode(x)))


def test_a_training_that_was_stopped_goes_on_to_the_same_bits(batches, tmp_path):
    class Stopped(Exception):
        pass

    def stop(step, _):
        if step == 7:
            raise Stopped

    whole = fit_sae(batches, WHITE, D, steps=13)
    job = Job(WHITE, D, 0)
    with pytest.raises(Stopped):
        fit_saes(batches, [job], 13, checkpoints=tmp_path, checkpoint_seconds=0, progress=stop)
    (resumed,) = fit_saes(batches, [job], 13, checkpoints=tmp_path)
    assert torch.equal(resumed.W_dec, whole.W_dec)
    assert torch.equal(resumed.W_enc, whole.W_enc)


def test_vectors_that_do_not_vary_are_left_as_they_are():
    assert torch.equal(whitened_by(torch.ones(7, D), D, 0.1), torch.eye(D))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"whitening": -1}, "whitening is -1: expected a number of components, or 0 for none"),
        ({"shrinkage": -0.1}, "shrinkage is -0.1: expected a share of at least 0"),
        ({"whitening": 3, "target_layer": 1}, "whitening is for autoencoders; a transcoder"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        SaeConfig(**settings)
