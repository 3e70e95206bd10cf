"""The benchmark of recovered truth: worlds are not run again, claims follow from rows, the plan is affordable."""

import json
from dataclasses import replace

import pandas as pd
import pytest
from bench_truth import is_done, run, write
from truth import cost, figure, full_size
from truth.claims import claims
from truth.worlds import Piece, pieces

from cellprism.simulate.autoencoders import AutoencoderSettings
from cellprism.simulate.leaderboard import Race, leaderboard

TINY = Piece(
    "large, latent 5, depth 4, narrow", "large", {"cells": 203, "genes": 41, "programs": 7, "types": 3},
    AutoencoderSettings(5, 4, epochs=1),
    Race(11, 3.0, 2, batch_size=101, seeds=1, chance=1, architectures=("topk",), dense=("axes",)),
    transcoders=True,
)  # fmt: skip


@pytest.mark.slow
def test_a_world_is_run_with_every_method_and_kept(tmp_path):
    out = tmp_path / "truth.json"
    run([TINY], {"worlds": {}}, out)
    kept = json.loads(out.read_text())
    assert is_done(TINY, kept)
    world = kept["worlds"][TINY.name]
    methods = {row["method"] for row in world["leaderboard"]}
    assert {"topk", "axes", "attribution, told the programs", "best axis, told the answers"} <= methods
    assert {row["method"] for row in world["transcoders"]} == {"transcoder", "topk on the layer read", "untrained"}
    assert {"commit", "date", "machine", "core_seconds", "peak_gb"} <= set(world)
    assert {row["distance"] for row in kept["by_distance"]} == {1, 2, 3, 4}


def test_a_world_that_is_there_is_done_until_a_setting_changes(grid, tmp_path):
    out, name = tmp_path / "truth.json", TINY.name
    write({"worlds": {name: {**next(iter(grid.values())), "asked": TINY.identity()}}}, out)
    kept = json.loads(out.read_text())
    assert is_done(TINY, kept)
    for other in (replace(TINY, race=replace(TINY.race, l0=4.0)), replace(TINY, size={**TINY.size, "cells": 204})):
        assert not is_done(other, kept)
    assert not is_done(replace(TINY, name="another"), kept)
    row = next(line for line in out.read_text().splitlines() if '"distance": 4' in line)
    assert row.strip().startswith("{"), "a row is a line"


def world(latent: int, wide: bool, topk: float, seeds: tuple[float, float] = (-0.01, 0.01)) -> dict:
    """Rows as they are written: TopK as told at distance 1 and .1 less at each further one, controls at .3 or less."""
    rows = []
    for distance, variable in enumerate(("x2", "x1", "x0", "covariate")):
        values = [("topk", "architecture", seed, topk - 0.1 * distance + off) for seed, off in enumerate(seeds)]
        values += [("untrained", "untrained", 0, 0.3), ("covariance-matched", "untrained", 0, 0.2)]
        values += [("sampled vectors", "untrained", 0, 0.1), ("axes", "dense", 0, 0.1)]
        values += [(f"{name}, told the answers", "supervised", 0, 0.9) for name in ("ridge", "best axis")]
        shared = {"variable": variable, "distance": distance + 1, "chance": 0.02, "l0": 3.0, "dead": 0.0}
        rows += [
            {"method": m, "group": g, "seed": seed, "matched": v, "within": True, **shared} for m, g, seed, v in values
        ]
    network = {"latent": latent, "depth": 4, "wide": wide}
    board = leaderboard(pd.DataFrame(rows)).to_dict("records")
    return {
        "network": network, "hidden_columns": 543, "rows": rows, "probe": {"x2": 0.8 if wide else 0.7},
        "leaderboard": board, "race": {"architectures": ["topk"]},
    }  # fmt: skip


@pytest.fixture
def grid():
    shapes = {(20, False): 0.5, (20, True): 0.48, (30, False): 0.52, (30, True): 0.5}
    return {f"large, {latent}, {wide}": world(latent, wide, topk) for (latent, wide), topk in shapes.items()}


def test_claims_are_means_over_networks_of_what_the_rows_say(grid):
    found = {row["measure"]: row for row in claims(grid)}
    excess = next(row for measure, row in found.items() if measure.startswith("x2"))
    assert excess["value"] == pytest.approx(0.2)
    assert (excess["n"], excess["unit"]) == (4, "networks")
    assert excess["verdict"] == "confirmed"
    assert excess["each"] == pytest.approx([0.18, 0.2, 0.2, 0.22])
    near = [row["value"] for row in found.values() if row["claim"] == "better near the data"]
    assert near == pytest.approx([0.1, 0.2, 0.3, 0.1, 0.2])
    selected = next(row for measure, row in found.items() if "chosen with the answers" in measure)
    assert (selected["value"], selected["verdict"]) == (pytest.approx(-0.55), "refuted")
    wide = [row for row in found.values() if row["claim"] == "better when wide"]
    assert [row["value"] for row in wide] == pytest.approx([-0.02, -0.02, 0.1])
    assert [row["verdict"] for row in wide] == ["refuted", "refuted", "confirmed"]


def test_other_sparsities_and_other_worlds_are_no_part_of_the_claims(grid):
    before = claims(grid)
    other = world(20, True, 0.99)
    assert claims({**grid, "large, 20, L0 40": other, "planted cells": other}) == before
    assert claims({"large, 20": other}) == []


def test_architectures_are_compared_with_no_training_seed_by_seed():
    board = world(4, False, 0.6, (-0.1, 0.1))
    other = [{**row, "method": "l1"} for row in board["rows"] if row["method"] == "topk"]
    drawn = [{**row, "seed": 1} for row in board["rows"] if row["group"] == "untrained"]
    rows = claims({"small": {**board, "rows": [*board["rows"], *other, *drawn]}})
    assert [row["measure"].split()[3] for row in rows] == ["l1", "topk"]
    for row in rows:
        assert row["each"] == pytest.approx([0.05, 0.25])
        assert (row["unit"], row["verdict"]) == ("seeds", "not told apart")


def test_the_figure_shows_every_network_and_every_method(grid):
    boards = {"small": {**world(4, False, 0.6), "race": {"architectures": ["topk", "l1"]}}}
    plot = figure.page({"worlds": {**boards, **grid}})
    shapes = [trace for trace in plot.data if trace.x is not None and "20 · 4" in list(trace.x)]
    assert [len(trace.x) for trace in shapes] == [4, 4]
    methods = {name for trace in plot.data if trace.y is not None for name in trace.y if isinstance(name, str)}
    assert {"topk", "axes", "untrained", "ridge, answers"} <= methods


def test_the_plan_has_every_world_once_and_costs_less_than_half_an_hour():
    plan = pieces(quick=False)
    names = [piece.name for piece in plan]
    assert len(set(names)) == len(names)
    assert sum("large" in name and "L0" not in name for name in names) == 18
    assert sum(map(cost.core_seconds, plan)) < 1800


def test_parts_of_the_full_size_are_measured_on_cells_that_were_not_learned_from():
    asked = full_size.parts(35_000)
    assert [part.settings.cells for part in asked] == [35_000, 35_000, 35_000]
    assert {part.settings.genes for part in asked} == {20_000}
    tiny = replace(asked[0].settings, cells=1_000, genes=29, programs=5, types=3)
    found = full_size.measured(replace(asked[1], settings=tiny))
    assert found["weights"] == 2 * (29 * 100 + 100 * 100) + 3 * 100 + 29
    assert set(found["probe"]) == {"x2", "x1", "mask", "x0", "shift", "type", "covariate"}
    assert found["peak_gb"] >= found["peak_gb_before"] > 0
