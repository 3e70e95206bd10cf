import math

import pytest
import torch

from cellprism.errors import ConfigError
from cellprism.sae.config import SaeConfig
from cellprism.sae.fit import fit_sae


def test_the_width_is_the_expansion_times_d_model_unless_given():
    assert SaeConfig(expansion=8).width(64) == 512
    assert SaeConfig(n_features=41, k=5).width(64) == 41


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 0}, "k is 0: expected a whole number of at least 1"),
        ({"expansion": -1}, "expansion is -1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"memory": 0}, "memory is 0"),
        ({"dead_after": 0}, "dead_after is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0: expected a positive number, such as 1e-3"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"learning_rate": float("inf")}, "learning_rate is inf"),
        ({"warmup": 1.0}, "warmup is 1.0: expected a share of the steps"),
        ({"n_features": 3, "k": 5}, "n_features is 3 but k is 5"),
        ({"centring": "gene"}, "centring is 'gene': expected one of 'none', 'global', 'group'"),
        ({"architecture": "relu"}, "architecture is 'relu': expected one of 'topk', 'batchtopk'"),
        ({"start_scale": -1.0}, "start_scale is -1.0: expected a positive number"),
        ({"prefixes": (0.5, 0.25, 1.0)}, r"prefixes are \[0.5, 0.25, 1.0\]: expected rising shares that end with 1.0"),
        ({"prefixes": (0.5,)}, "expected rising shares that end with 1.0"),
        ({"sparsity": -0.1}, "is -0.1: expected the weight of a loss, a number of at least 0"),
        ({"relu": False, "architecture": "l1"}, "relu = false goes with architecture 'topk' only, not with 'l1'"),
        ({"auxiliary": 0.1, "architecture": "gated"}, "auxiliary goes with architectures that count features"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_a_bad_setting_is_named_with_what_was_expected(settings, message):
    with pytest.raises(ConfigError, match=message):
        SaeConfig(**settings)


def test_fewer_features_than_are_kept_is_a_contradiction():
    with pytest.raises(ConfigError, match=r"4 features \(expansion 2 x d_model 2\) are fewer than k 5"):
        SaeConfig(expansion=2, k=5).width(2)


def test_a_preset_is_what_was_published_and_takes_changes():
    published = SaeConfig.preset("yc2026")
    assert (published.k, published.expansion, published.relu, published.biases) == (32, 8, False, "two")
    assert (published.epochs, published.batch_cells, published.learning_rate, published.warmup) == (10, 8, 1e-3, 0.0)
    assert not published.unit_norm
    assert published.auxiliary == 0
    assert SaeConfig.preset("yc2026", k=7).k == 7
    with pytest.raises(ConfigError, match="there is no preset 'yc2025': expected one of yc2026"):
        SaeConfig.preset("yc2025")


@pytest.mark.parametrize("name", ["auxiliary", "sparsity"])
@pytest.mark.parametrize("weight", [math.nan, math.inf, -1.0])
def test_weights_of_losses_are_finite(name, weight):
    with pytest.raises(ConfigError, match=f"{name} is {weight}: expected the weight of a loss"):
        SaeConfig(**{name: weight})


def test_more_features_than_memory_and_seeds_that_are_none_are_refused_before_anything_is_made():
    stream = [torch.randn(7, 13)]
    with pytest.raises(ConfigError, match=r"1,000,000,000,000 features of 13 dimensions take .* GB to train, and this"):
        fit_sae(stream, SaeConfig(n_features=10**12, k=3), 13, steps=2)
    with pytest.raises(ConfigError, match="seed is -1: expected a whole number"):
        fit_sae(stream, SaeConfig(n_features=41, k=3), 13, steps=2, seed=-1)
