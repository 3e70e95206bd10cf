"""The calibration table: its fields, that rows are not run again, and that it sees a null that is none."""

import json
from dataclasses import replace

import numpy as np
import pytest
from bench_calibration import calibrate, worlds
from calibration.programs import FEATURES, TYPES
from calibration.table import corrected, rows_of
from calibration.world import Kept, run

from cellprism.report.claims import Null, judgement
from cellprism.studies.programs.specificity import between_types, shuffled_shares_apart

NAMED = {world.name: world for world in worlds()}


def test_rows_are_written_with_all_their_fields_and_not_run_again(tmp_path):
    out, some = tmp_path / "calibration.json", [NAMED["random lists"], NAMED["shuffled types"]]
    rows = calibrate(some, 4, out)
    assert [row["claim"] for row in rows] == [claim for world in some for claim in world.claims.values()]
    for row in json.loads(out.read_text())["rows"]:
        assert row["replicates"] == 4
        assert row["null"].endswith(".")
        assert 0 <= row["rate_above"] <= 1
        assert 0 <= row["rate_below"] <= 1
        assert {"nominal", "p_above", "p_below", "holm_above", "holm_below", "calibrated", "commit"} <= set(row)
        assert [one["replicates"] for one in row["power"]] == [2, 2, 2]
        assert row["detects"] == (row["power"][-1]["above"] >= 0.8)

    def fails(seed, size):
        raise AssertionError("a row that is there is not run again")

    lines = out.with_suffix(".replicates.jsonl").read_text().splitlines()
    assert len(lines) == 2 * (4 + 3 * 2)
    calibrate(some, 6, out)
    more = out.with_suffix(".replicates.jsonl").read_text().splitlines()
    assert more[: len(lines)] == lines
    assert len(more) == 2 * (6 + 3 * 3), "those that are there are not drawn again"
    calibrate(some, 4, out)

    stays = [replace(world, verdicts=world.verdicts) for world in some]
    before = out.read_bytes()
    calibrate(stays, 4, out)
    assert out.read_bytes() == before
    with pytest.raises(AssertionError, match="not run again"):
        calibrate([replace(some[0], verdicts=fails)], 4, out)


def loose_types(seed: int, size: float) -> dict[str, str]:
    """Families of features that are permuted each by itself: a binomial's null, which the share does not follow."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(list(TYPES), list(TYPES.values())))
    activation = rng.normal(size=(len(labels), 8))[:, np.arange(FEATURES) % 8]
    found = between_types(activation, labels)
    apart = shuffled_shares_apart(rng.permuted(activation, axis=0), labels, found.chance, 99, seed)
    share = float((found.share > found.chance).mean())
    p = min(1.0, 2 * (1 + min((apart >= share).sum(), (apart <= share).sum())) / 100)
    low, high = np.percentile(apart, [2.5, 97.5])
    return {"types": judgement(share, None, Null("", 0.05, (float(low), float(high)), p, 99)).verdict}


def test_a_null_that_is_none_is_called_too_often_and_the_table_says_so(tmp_path):
    world = replace(NAMED["shuffled types"], verdicts=loose_types, replicates=60, power_replicates=1)
    rows = corrected(rows_of(world, run(world, 60, Kept(tmp_path / "kept.jsonl"), lambda: None), ""))
    assert rows[0]["rate_above"] > 0.1
    assert not rows[0]["calibrated"]
