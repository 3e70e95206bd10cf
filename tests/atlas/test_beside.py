"""Features of two runs matched: planted ones are found, chance is called at its rate, types alone are chance."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from atlas.reading import shard, unpacked
from cellprism.atlas.beside import matched
from cellprism.cli.app import call
from cellprism.equations.locality import permuted_within


def test_the_same_features_in_another_order_are_found():
    rng = np.random.default_rng(0)
    ours = rng.normal(size=(41, 97))
    order = rng.permutation(41)
    others = ours[order] + 0.3 * rng.normal(size=(41, 97))
    found = matched(ours, others, np.arange(97) // 20)
    assert (order[found.best[:, 0]] == np.arange(41)).all()
    assert found.beyond == 1.0
    assert (found.back[found.best[:, 0]] == np.arange(41)).all()


def test_what_has_nothing_to_do_with_each_other_matches_as_chance_does():
    beyond = []
    for seed in range(40):
        rng = np.random.default_rng([seed, 5])
        level = rng.gamma(1.0, 5.0, 97)  # genes differ in level and spread, in both runs alike
        ours, others = (rng.gamma(1.0, level, (41, 97)) for _ in range(2))
        groups = np.argsort(np.argsort(level)) // 20
        found = matched(ours, others, groups, seed)
        beyond.append(found.beyond)
        assert abs(found.chance.mean() - 0.05) < 0.03
    assert np.mean(beyond) == pytest.approx(0.05, abs=0.015)


def test_features_that_follow_cell_type_alone_are_not_beyond_chance_by_cells():
    rng = np.random.default_rng(3)
    kinds = np.repeat(np.arange(5), 60)

    def run() -> np.ndarray:
        return rng.normal(size=(41, 5))[:, kinds] + rng.normal(size=(41, 300))

    ours, others = run(), run()
    within, anywhere = matched(ours, others, kinds), matched(ours, others, np.zeros(300, int))
    assert within.beyond < 0.15
    assert anywhere.beyond > 0.9  # the control that leaves types out would call nearly all


def test_things_trade_places_within_their_groups_alone():
    groups = np.random.default_rng(4).integers(0, 3, 53)
    order = permuted_within(groups, np.random.default_rng(5))
    assert sorted(order) == list(range(53))
    assert (groups[order] == groups).all()
    assert (order != np.arange(53)).mean() > 0.8


def test_a_run_beside_itself_is_the_same_in_every_feature(finished, tmp_path):
    other, out = Path(shutil.copytree(finished, tmp_path / "again")), tmp_path / "site"
    assert call(["atlas", str(finished), "--out", str(out), "--no-live", "--beside", str(other)]) == 0
    index, beside = shard(out, "index"), shard(out, "beside")
    assert (index["beside"]["run"], index["beside"]["features"]) == ("again", 41)
    fires = unpacked(next(c for c in index["columns"] if c["key"] == "fires")["values"]) > 0
    for what, shared in (("genes", 60), ("cells", 37)):
        assert beside[what]["shared"] == shared
        best, r = (unpacked(beside[what][key]).reshape(41, 3)[:, 0] for key in ("best", "r"))
        assert (best[fires] == np.flatnonzero(fires)).mean() > 0.9
        assert r[fires].max() == pytest.approx(1, abs=1e-5)
    theirs, ours = (shard(out, f"{under}features/7") for under in ("beside/", ""))
    assert theirs["card"].pop("run") == "again"
    del ours["card"]["run"]
    assert theirs == ours


def test_another_run_must_be_one(finished, tmp_path, capsys):
    assert call(["atlas", str(finished), "--out", str(tmp_path / "site"), "--beside", str(tmp_path / "none")]) == 2
    assert "none" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()
