import numpy as np
import pytest
import torch

from cellprism.errors import ConfigError, InputError
from cellprism.simulate.autoencoders import AutoencoderSettings, fit_autoencoder
from cellprism.simulate.recovery import halves, probe_table
from cellprism.simulate.schuster_large import LargeSettings, LargeSimulation
from cellprism.simulate.schuster_small import small_world


def test_the_small_network_keeps_the_three_regulators_in_four_dimensions():
    world = small_world(3001, seed=1)
    batches = world.data.split(500)
    network = fit_autoencoder(lambda: batches, AutoencoderSettings(latent=4, epochs=20, learning_rate=1e-2), seed=0)
    assert float(network.error(world.data)) < 1e-3
    z = network.latents(batches)
    assert z.shape == (3001, 4)
    probe = probe_table(z.numpy(), world.hidden, *halves(3001, 0)).groupby("variable")["probe"].mean()
    assert probe["tf"] > 0.99
    assert 0.1 < probe["activity"] < 0.9, "activity behind a closed gate cannot be read"


@pytest.mark.parametrize(("depth", "wide", "layers"), [
    (2, False, [(29, 7), (7, 29)]),
    (2, True, [(29, 7), (7, 29)]),
    (4, False, [(29, 7), (7, 7), (7, 7), (7, 29)]),
    (4, True, [(29, 29), (29, 7), (7, 29), (29, 29)]),
    (6, False, [(29, 7), (7, 7), (7, 7), (7, 7), (7, 7), (7, 29)]),
])  # fmt: skip
def test_depth_counts_layers_and_wide_ones_are_as_wide_as_the_data_up_to_a_thousand(depth, wide, layers):
    y = torch.randn(61, 29, generator=torch.Generator().manual_seed(0))
    network = fit_autoencoder(lambda: [y], AutoencoderSettings(latent=7, depth=depth, wide=wide, epochs=1))
    found = [(m.in_features, m.out_features) for m in network.modules() if isinstance(m, torch.nn.Linear)]
    assert found == layers
    before = network.before_latents([y])
    assert before.shape == (61, layers[len(layers) // 2 - 1][0])
    torch.testing.assert_close(network.encoder[-1](before), network.latents([y]))


def test_training_lowers_the_error_and_the_same_seed_gives_the_same_network():
    simulation = LargeSimulation(LargeSettings(cells=601, genes=101, programs=11, types=5))
    settings = AutoencoderSettings(latent=13, depth=4, wide=True, epochs=30)
    world = simulation.world()
    first, again, other = (fit_autoencoder(simulation.data, settings, seed) for seed in (0, 0, 1))
    assert torch.equal(first.latents([world.data]), again.latents([world.data]))
    assert not torch.equal(first.latents([world.data]), other.latents([world.data]))
    assert float(first.error(world.data)) < 0.5


def test_units_of_the_data_do_not_matter():
    y = torch.from_numpy(np.random.default_rng(0).gamma(1.0, size=(203, 17))).float()
    settings = AutoencoderSettings(latent=5, epochs=3)
    small, large = (fit_autoencoder(lambda s=scale: [y * s], settings).latents([y * scale]) for scale in (1, 128))
    torch.testing.assert_close(small, large, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 3}, "depth is 3: expected an even number of layers"),
        ({"latent": 0}, "latent is 0: expected at least 1"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0: expected a positive number"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        AutoencoderSettings(**change)


def test_a_network_needs_data():
    with pytest.raises(InputError, match="there are no data to train an autoencoder on"):
        fit_autoencoder(list, AutoencoderSettings())
