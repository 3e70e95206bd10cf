"""Recovery in worlds where the answer is known: planted dictionaries, and worlds with nothing to find."""

import numpy as np
import pytest
import torch

from cellprism.equations.recovery import one_to_one
from cellprism.errors import ConfigError
from cellprism.simulate.autoencoders import AutoencoderSettings, fit_autoencoder
from cellprism.simulate.dictionaries import (
    DENSE,
    UNTRAINED,
    attribution,
    dense_dictionary,
    sae_encoder,
    selected_axes,
    supervised_dictionary,
    untrained_dictionary,
)
from cellprism.simulate.recovery import by_variable, chance_match, dead_share, halves, probe_table, recovery_table
from cellprism.simulate.world import HiddenVariable, one_hot

SAMPLES, WIDTH = 2003, 7


@pytest.fixture
def world():
    """Seven numbers, five switches and one category with three values."""
    rng = np.random.default_rng(2)
    return [
        HiddenVariable("level", "number", 1, rng.gamma(2.0, size=(SAMPLES, WIDTH))),
        HiddenVariable("switch", "binary", 2, (rng.random((SAMPLES, 5)) < 0.3).astype(float)),
        HiddenVariable("kind", "category", 3, one_hot(rng.integers(3, size=SAMPLES), 3)),
    ]


def planted_codes(world) -> np.ndarray:
    """The variables themselves in another order, some turned around, three twice, and two features that never fire."""
    everything = np.concatenate([v.values for v in world], axis=1)
    turned = everything * np.where(np.arange(everything.shape[1]) % 2, -1, 1)
    codes = np.concatenate([turned, turned[:, :3], np.zeros((SAMPLES, 2))], axis=1)
    return codes[:, np.random.default_rng(0).permutation(codes.shape[1])]


def test_a_planted_dictionary_is_recovered_exactly_whatever_its_order_and_signs(world):
    codes = planted_codes(world)
    table = recovery_table(codes, world, *halves(SAMPLES, 0))
    assert table["matched"].to_numpy() == pytest.approx(1)
    assert table["best"].to_numpy() == pytest.approx(1)
    for row in table.itertuples():
        values = next(v for v in world if v.name == row.variable).values[:, row.column]
        assert np.array_equal(row.sign * codes[:, row.feature], values)
    for name in ("switch", "kind"):
        assert (table.loc[table["variable"] == name, ["auroc", "f1"]] == 1).all(axis=None)
    assert table.loc[table["variable"] == "level", ["auroc", "f1"]].isna().all(axis=None)
    redundancy = table.set_index(["variable", "column"])["redundancy"]
    assert redundancy["level"].tolist() == [2, 2, 2, 1, 1, 1, 1]
    # three indicators of a fair category correlate by -.5 with each other, on either side of the limit
    assert redundancy["switch"].tolist() == [1] * 5
    assert dead_share(codes) == pytest.approx(2 / codes.shape[1])


def test_where_there_is_nothing_to_find_recovery_is_at_its_chance_level(world):
    codes = np.random.default_rng(5).normal(size=(SAMPLES, 61))
    choose, judge = halves(SAMPLES, 0)
    table = by_variable(recovery_table(codes, world, choose, judge)).set_index("variable")
    chance = chance_match(codes, world, choose, judge, 19, seed=1)
    expected = (2 / np.pi / len(judge)) ** 0.5  # mean size of a correlation of independent numbers
    assert chance["matched"].mean() == pytest.approx(expected, rel=0.2)
    for name, rows in chance.groupby("variable"):
        assert table.loc[name, "matched"] < rows["matched"].max() * 1.5
    assert (table["recovered"] == 0).all()
    assert table.loc["switch", "auroc"] == pytest.approx(0.5, abs=0.05)


def test_choosing_and_scoring_on_the_same_samples_would_look_better_than_chance(world):
    codes = np.random.default_rng(5).normal(size=(SAMPLES, 61))
    choose, judge = halves(SAMPLES, 0)
    apart = recovery_table(codes, world, choose, judge)["best"].mean()
    together = recovery_table(codes, world, choose, choose)["best"].mean()
    assert together > 2 * apart


def test_a_variable_without_a_feature_left_is_not_recovered(world):
    levels = world[:1]
    table = recovery_table(levels[0].values[:, :3], levels, *halves(SAMPLES, 0))
    assert (table["matched"] > 0.99).sum() == 3
    left = table[table["feature"] < 0]
    assert len(left) == WIDTH - 3
    assert (left["matched"] == 0).all()
    assert (left["sign"] == 0).all()


def test_probes_read_what_is_there_and_nothing_else(world):
    level = world[0].values
    mixed = level @ np.random.default_rng(0).normal(size=(WIDTH, 13))
    table = probe_table(mixed.astype(np.float32), world, *halves(SAMPLES, 0)).groupby("variable")["probe"].mean()
    assert table["level"] == pytest.approx(1, abs=1e-2)
    assert abs(table["switch"]) < 0.05
    squeezed = probe_table((level[:, :4] + level[:, [4, 5, 6, 4]]).astype(np.float32), world, *halves(SAMPLES, 0))
    half = squeezed.query("variable == 'level' and column == 1")["probe"].item()
    assert half == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("kind", UNTRAINED)
def test_untrained_dictionaries_keep_k_features_and_differ_by_seed(kind):
    x = torch.randn(203, 13, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 14) + 5
    first, again, other = (untrained_dictionary(kind, x, 41, 5, seed) for seed in (0, 0, 1))
    assert torch.equal(first.W_dec, again.W_dec)
    assert not torch.equal(first.W_dec, other.W_dec)
    torch.testing.assert_close(first.W_dec.norm(dim=1), torch.ones(41))
    assert ((sae_encoder(first)(x) > 0).sum(axis=1) <= 5).all()
    share = first.W_dec.square().sum(dim=0)[-3:].sum() / 41
    assert (share > 0.4) == (kind != "untrained"), "directions that know the vectors lie where these vary"


def test_sampled_vectors_are_directions_of_vectors():
    x = torch.randn(61, 13, generator=torch.Generator().manual_seed(0))
    rows = untrained_dictionary("sampled vectors", x, 97, 5, 0).W_dec
    cosine = rows @ torch.nn.functional.normalize(x - x.mean(dim=0), dim=1).T
    torch.testing.assert_close(cosine.amax(dim=1), torch.ones(97))


@pytest.mark.parametrize("kind", DENSE)
def test_dense_dictionaries_find_independent_sources_where_they_can(kind):
    rng = np.random.default_rng(0)
    sources = rng.exponential(size=(1009, 3)) * (rng.random((1009, 3)) < 0.4) * [3, 2, 1]
    mixing = np.abs(rng.normal(size=(3, 11)))
    x = torch.from_numpy(sources @ mixing).float()
    hidden = [HiddenVariable("source", "number", 1, sources)]
    codes = dense_dictionary(kind, x, 3, 0)(x)
    assert codes.shape == (1009, 11 if kind == "axes" else 3)
    matched = recovery_table(codes, hidden, *halves(1009, 0))["matched"].mean()
    assert matched > {"axes": 0.4, "PCA": 0.6, "ICA": 0.98, "NMF": 0.7}[kind]


def test_a_supervised_dictionary_is_told_the_answer(world):
    mixed = torch.from_numpy(world[0].values @ np.random.default_rng(0).normal(size=(WIDTH, 13))).float()
    codes = supervised_dictionary(mixed[:1000], world[0].values[:1000])(mixed)
    assert recovery_table(codes, world[:1], *halves(SAMPLES, 0))["matched"].min() > 0.99


def test_selection_takes_the_axis_that_follows_each_variable_best_one_axis_serving_several(world):
    level, switch = world[0].values, world[1].values
    x = torch.from_numpy(np.concatenate([-level[:, [2]], level[:, [0]] + 0.1 * switch[:, [3]]], axis=1)).float()
    codes = selected_axes(x[:1000], level[:1000, [0, 2, 0]])(x)
    assert np.array_equal(codes, x.numpy()[:, [1, 0, 1]])


def test_attribution_is_gradient_times_input_summed_over_a_programs_genes():
    y = torch.randn(31, 11, generator=torch.Generator().manual_seed(0))
    network = fit_autoencoder(lambda: [y], AutoencoderSettings(latent=5, depth=4, epochs=1))
    z = network.latents([y])
    members = (np.random.default_rng(0).random((3, 11)) < 0.4).astype(float)
    found = attribution(network, members, z.mean(dim=0))(z)
    assert found.shape == (31, 3)
    for cell in (0, 17):
        slopes = torch.autograd.functional.jacobian(network.decoder, z[cell])  # gene x latent
        for program in range(3):
            expected = 0.0
            for gene in range(11):
                weight = members[program, gene] - members[:, gene].mean()
                expected += weight * float(slopes[gene] @ (z[cell] - z.mean(dim=0)))
            assert found[cell, program] == pytest.approx(expected, abs=1e-5)


def test_unknown_kinds_are_refused():
    x = torch.randn(17, 5)
    with pytest.raises(ConfigError, match="kind is 'rotated': expected one of 'untrained'"):
        untrained_dictionary("rotated", x, 7, 3, 0)
    with pytest.raises(ConfigError, match="kind is 'tSNE': expected one of 'axes'"):
        dense_dictionary("tSNE", x, 3, 0)


def test_the_match_is_made_within_the_strengths_it_is_given():
    assert one_to_one(np.eye(5)[[3, 1, 4, 0, 2]]).tolist() == [3, 1, 4, 0, 2]
