import numpy as np
import pandas as pd
import pytest
import torch

from cellprism.errors import ConfigError
from cellprism.sae.architectures import ARCHITECTURES
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.config import SaeConfig
from cellprism.simulate.dictionaries import DENSE, UNTRAINED
from cellprism.simulate.equal_sparsity import fit_at_l0, with_threshold
from cellprism.simulate.leaderboard import Race, entries, leaderboard, recovered, transcoder_entries
from cellprism.simulate.world import HiddenVariable

pytestmark = pytest.mark.slow

SAMPLES, D, ATOMS = 2003, 13, 29


@pytest.fixture(scope="module")
def world() -> tuple[torch.Tensor, list[HiddenVariable]]:
    """More atoms than dimensions, three at a time: a sparse code is the answer and no dense one is."""
    rng = np.random.default_rng(0)
    atoms = rng.normal(size=(ATOMS, D))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    active = rng.random((SAMPLES, ATOMS)).argsort(axis=1) < 3
    strength = active * rng.uniform(0.5, 1.5, (SAMPLES, ATOMS))
    hidden = [HiddenVariable("atom", "number", 1, strength), HiddenVariable("there", "binary", 2, active.astype(float))]
    return torch.from_numpy(strength @ atoms).float(), hidden


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_comes_out_at_the_same_sparsity(world, architecture):
    x = world[0]
    config = SaeConfig(architecture=architecture, n_features=37, learning_rate=3e-3, batch_size=101)
    fitted = fit_at_l0(x[:1500], x[1500:], config, 3.0, 150, 0)
    codes = fitted.sae.encode(x[1500:])
    assert fitted.l0 == pytest.approx(float((codes.values != 0).sum() / (SAMPLES - 1500)))
    assert fitted.within == (abs(fitted.l0 / 3 - 1) <= 0.1)
    assert fitted.within, (architecture, fitted.l0, fitted.tries)


def test_a_single_try_says_whether_it_is_near_enough(world):
    x = world[0]
    config = SaeConfig(architecture="l1", n_features=37, batch_size=101)
    fitted = fit_at_l0(x[:1500], x[1500:], config, 3.0, 2, 0, tolerance=0.0, tries=1)
    assert not fitted.within
    assert fitted.tries == 1


def test_a_threshold_lets_as_many_features_fire_as_asked(world):
    x, rng = world[0], torch.Generator().manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(37, D, generator=rng), dim=1)
    plain = SparseAutoencoder(rows.T.contiguous(), torch.zeros(37), rows, x.mean(dim=0), threshold=torch.zeros(37))
    for target in (1.0, 5.0):
        code = with_threshold(plain, x, target).encode(x)
        assert float((code.values != 0).sum()) / len(x) == pytest.approx(target, abs=1e-3)
    most = (plain.encode(x).values != 0).sum()
    assert (with_threshold(plain, x, 37.0).encode(x).values != 0).sum() == most


def test_a_target_below_one_feature_is_refused(world):
    with pytest.raises(ConfigError, match=r"target is 0.5 and tries 6: expected at least 1"):
        fit_at_l0(world[0], world[0], SaeConfig(), 0.5, 3, 0)


def test_every_method_takes_part_and_is_scored_beside_its_chance_level(world):
    x, hidden = world
    race = Race(n_features=37, l0=3.0, steps=2, batch_size=101, seeds=1, chance=2)
    rows = pd.concat([recovered(entry, hidden, race, 0) for entry in entries(x, hidden, race, 0)])
    table = leaderboard(rows).set_index("method")
    assert set(table.index) == {
        *ARCHITECTURES, *UNTRAINED, *DENSE, "ridge, told the answers", "best axis, told the answers",
    }  # fmt: skip
    assert set(table["group"]) == {"architecture", "untrained", "dense", "supervised"}
    for kind in UNTRAINED:
        assert table.loc["ridge, told the answers", "score"] > table.loc[kind, "score"], kind
    assert table.loc["best axis, told the answers", "score"] >= table.loc["axes", "score"]
    assert (table["chance"] < 0.1).all()
    assert (table["score"] > table["chance"]).all()
    assert table["score"].is_monotonic_decreasing


def test_transcoders_read_one_layer_and_stand_beside_what_else_reads_it(world):
    x, _ = world
    after = x @ torch.randn(D, 7, generator=torch.Generator().manual_seed(1))
    race = Race(n_features=37, l0=3.0, steps=2, batch_size=101, seeds=2)
    found = list(transcoder_entries(x, after, race, 0))
    methods = ["transcoder", "topk on the layer read", "untrained"]
    assert [(entry.method, entry.seed) for entry in found] == [(m, seed) for seed in (0, 1) for m in methods]
    for entry in found:
        assert entry.group == "transcoder"
        assert entry.codes.shape == (SAMPLES, 37)
        assert entry.l0 == pytest.approx(3.0, rel=0.1)
    assert not np.array_equal(found[0].codes, found[1].codes)


def test_the_leaderboard_is_the_mean_over_seeds_with_its_spread():
    rows = pd.DataFrame(
        {
            "method": ["a"] * 4 + ["b"] * 2, "group": "architecture", "seed": [0, 0, 1, 1, 0, 0],
            "matched": [0.2, 0.4, 0.6, 0.8, 0.9, 0.7], "chance": 0.1, "l0": 3.0, "dead": 0.0,
            "within": [True, True, True, False, True, True],
        }
    )  # fmt: skip
    table = leaderboard(rows).set_index("method")
    assert table.index.tolist() == ["b", "a"]
    assert table.loc["a", "score"] == pytest.approx(0.5)
    assert table.loc["a", "spread"] == pytest.approx(np.std([0.3, 0.7], ddof=1))
    assert table["within"].tolist() == [True, False]
    assert table["seeds"].tolist() == [1, 2]
    assert np.isnan(table.loc["b", "spread"])
