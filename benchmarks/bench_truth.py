"""Which architecture recovers hidden variables that are known: published simulations and planted cells.

    python benchmarks/bench_truth.py --quick        minutes on one core, small sizes, two seeds
    python benchmarks/bench_truth.py                the published grid at 10,000 x 2,000, five seeds; hours

Every architecture gets the same vectors as often and comes out at the same L0, within 10 % on held-out vectors.
Transcoders read one thing and write another and are no part of this. Results, with machine, commit and date, go to
benchmarks/results/truth.json: rows (one per world, method, seed and variable) are the figure's data, leaderboards the
tables. Another method joins by one more ``Entry`` from ``cellprism.simulate.leaderboard.entries``.
"""

import argparse
import itertools
import json
import os
import platform
import resource
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cellprism.cells.expression import log1p_cp10k
from cellprism.equations.recovery import correlations
from cellprism.simulate.answers import answers_of
from cellprism.simulate.autoencoders import AutoencoderSettings, fit_autoencoder
from cellprism.simulate.cell_settings import PlantedSettings
from cellprism.simulate.cells import planted_cells
from cellprism.simulate.leaderboard import Race, entries, leaderboard, recovered
from cellprism.simulate.null_cells import independent_cells
from cellprism.simulate.recovery import halves, probe_table
from cellprism.simulate.schuster_large import LargeSettings, LargeSimulation
from cellprism.simulate.schuster_small import small_world
from cellprism.simulate.truth import program_truth
from cellprism.simulate.world import HiddenVariable, World, one_hot

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "truth.json"
SCORE = "mean over variables of the held-out size of the correlation in the one-to-one match"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, two seeds")
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    began, found = time.perf_counter(), {}
    for name, world, network, race in worlds(asked.quick):
        found[name] = one_world(world, network, race)
        record = {"setting": "quick" if asked.quick else "full", "date": time.strftime("%Y-%m-%d"), **machine()}
        record |= {"seconds": round(time.perf_counter() - began), "peak_gb": peak_gb(), "score": SCORE}
        record |= {"worlds": found, "by_distance": by_distance(found)}
        asked.out.write_text(json.dumps(plain(record), indent=1, allow_nan=False) + "\n")
        print(f"\n{name}, after {record['seconds']} s\n{shown(found[name])}", flush=True)
    print(f"\n{by_distance_shown(found)}\n{asked.out}")


def peak_gb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)


def worlds(quick: bool):
    """Name, world, shape of the dense network, and what every method gets."""
    seeds = 2 if quick else 5
    small = small_world(4_000 if quick else 12_000)
    linear = AutoencoderSettings(latent=4, epochs=20, learning_rate=1e-2)
    yield "small", small, linear, Race(20, 3.0, 200 if quick else 2_000, seeds=seeds)
    noisy = small_world(4_000 if quick else 12_000, noise=True)
    if not quick:
        yield "small, counts", noisy, linear, Race(20, 3.0, 2_000, seeds=seeds)
    size = {"cells": 3_000, "genes": 400, "programs": 30, "types": 10} if quick else {"cells": 10_000, "genes": 2_000}
    large = LargeSimulation(LargeSettings(**size)).world()
    grid = (
        [(20, 4, False), (20, 4, True)] if quick else list(itertools.product((20, 100, 150, 1000), (2, 4, 6), (0, 1)))
    )
    for latent, depth, wide in grid:
        if depth == 2 and wide:
            continue  # a network of depth 2 has no layers that could be wide
        name = f"large, latent {latent}, depth {depth}, {'wide' if wide else 'narrow'}"
        network = AutoencoderSettings(latent, depth, wide, epochs=15 if quick else 50)
        for share in (1,) if quick else (0.5, 1, 2):  # weights of the penalty
            race = Race(160 if quick else 1_000, 10.0 * share, 200 if quick else 3_000, seeds=seeds)
            yield (name if share == 1 else f"{name}, L0 {10 * share:g}"), large, network, race
    preset = PlantedSettings.preset("small", cells=1_500) if quick else PlantedSettings.preset("standard", cells=10_000)
    network = AutoencoderSettings(20 if quick else 100, 4, True, epochs=15 if quick else 50)
    race = Race(160 if quick else 800, 8.0, 200 if quick else 3_000, seeds=seeds)
    cells = planted_cells(preset)
    yield "planted cells", of_cells(cells, answers_of(cells)), network, race
    yield "planted cells, null", of_cells(independent_cells(cells), answers_of(cells)), network, race


def of_cells(cells, answers) -> World:
    """Log expression, and what is planted behind it; ``fixed`` holds the programs for the genes' own score."""
    types = one_hot(cells.obs["cell_type"].cat.codes.to_numpy(), len(answers.types))
    donors = one_hot(cells.obs["donor"].cat.codes.to_numpy(), cells.obs["donor"].cat.categories.size)
    hidden = (
        HiddenVariable("activity", "number", 2, answers.activity.to_numpy(float)),
        HiddenVariable("type", "category", 3, types),
        HiddenVariable("donor", "category", 2, donors),
    )
    members = answers.weights.to_numpy().T > 0
    return World(torch.from_numpy(log1p_cp10k(cells).toarray()).float(), hidden, {"members": members.astype(float)})


def one_world(world: World, network: AutoencoderSettings, race: Race) -> dict:
    """The dense network, what a probe reads of its latent, and every method's rows."""
    began = time.perf_counter()
    pieces = world.data.split(1000)
    dense = fit_autoencoder(lambda: pieces, network)
    x = dense.latents(pieces)
    choose, judge = halves(len(x), 0)
    probe = probe_table(x.numpy(), world.hidden, choose, judge)
    rows, genes = [], []
    for entry in entries(x, world.hidden, race, 0):
        rows.append(recovered(entry, world.hidden, race, 0))
        if "members" in world.fixed and entry.group != "supervised":
            genes.append(gene_truth(entry, world))
    every = pd.concat(rows, ignore_index=True)
    return {
        "samples": len(x), "genes": world.data.shape[1], "network": vars(network), "race": vars(race),
        "dense_error": float(dense.error(world.data)), "seconds": round(time.perf_counter() - began, 1),
        "hidden_columns": int(sum(v.values.shape[1] for v in world.hidden)),
        "probe": probe.groupby("variable")["probe"].mean().to_dict(),
        "leaderboard": leaderboard(every).to_dict("records"), "rows": every.to_dict("records"), "programs": genes,
    }  # fmt: skip


def gene_truth(entry, world: World) -> dict:
    """How well the features' gene profiles, correlations over cells, match the planted programs."""
    members = world.fixed["members"] > 0
    alive = (entry.codes != 0).any(axis=0)
    profiles = correlations(entry.codes[:, alive], world.data.numpy())
    mean = world.data.numpy().mean(axis=0)
    bins = np.digitize(mean, np.quantile(mean, np.linspace(0, 1, 11)[1:-1]))  # names change places within tenths
    truth = program_truth(profiles, members, [f"program{i}" for i in range(len(members))], 39, alike=bins)
    return {"method": entry.method, "group": entry.group, "seed": entry.seed, **truth.summary()}


def by_distance(found: dict) -> list[dict]:
    """Mean recovery of the architectures by distance from the data, for every world."""
    rows = []
    for name, world in found.items():
        every = pd.DataFrame(world["rows"])
        for group, part in every.groupby("group"):
            means = part.groupby("distance")["matched"].mean()
            rows += [{"world": name, "group": group, "distance": int(d), "matched": float(v)} for d, v in means.items()]
    return rows


def by_distance_shown(found: dict) -> str:
    table = pd.DataFrame(by_distance(found)).pivot_table(index=["world", "group"], columns="distance", values="matched")
    return f"mean correlation by distance from the data\n{table.round(2).to_string(na_rep='')}"


def shown(world: dict) -> str:
    table = pd.DataFrame(world["leaderboard"]).round(3)
    text = f"held-out probe R^2: {json.dumps({k: round(v, 2) for k, v in world['probe'].items()})}\n"
    text += f"{world['samples']} samples, {world['seconds']} s\n{table.to_string(index=False)}"
    if world["programs"]:
        means = pd.DataFrame(world["programs"]).drop(columns=["group", "seed"]).groupby("method").mean()
        text += f"\n\ngene profiles against planted programs\n{means.round(3).to_string()}"
    return text


def machine() -> dict:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=ROOT, check=True)
    processor = names[0] if names else platform.processor()
    threads = {"torch": torch.get_num_threads(), "processors": os.cpu_count()}
    return {"commit": commit.stdout.strip(), "machine": {"processor": processor, **threads}}


def plain(value):
    """The same in JSON's own types, numbers to five digits; what is not a number is null."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return round(float(value), 5) if np.isfinite(value) else None
    return value


if __name__ == "__main__":
    main()
