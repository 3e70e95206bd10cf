"""What is found in one world, and tables over the worlds."""

import json
import time
from typing import Any

import numpy as np
import pandas as pd

from cellprism.equations.recovery import correlations
from cellprism.simulate.autoencoders import fit_autoencoder
from cellprism.simulate.leaderboard import (
    Entry,
    attribution_entry,
    entries,
    leaderboard,
    recovered,
    transcoder_entries,
)
from cellprism.simulate.recovery import halves, probe_table
from cellprism.simulate.truth import program_truth
from cellprism.simulate.world import World
from truth.worlds import MEMBERS, Piece


def run(piece: Piece) -> dict[str, Any]:
    """The dense network, what a probe reads of its latent, and every method's rows; transcoders apart."""
    began = time.process_time()
    world, race = piece.world(), piece.race
    batches = world.data.split(1000)
    dense = fit_autoencoder(lambda: batches, piece.network)
    error, trained = float(dense.error(world.data)), time.process_time()
    x = dense.latents(batches)
    choose, judge = halves(len(x), 0)
    probe = probe_table(x.numpy(), world.hidden, choose, judge)
    rows, genes = [], []
    for entry in entries(x, world.hidden, race, 0):
        rows.append(recovered(entry, world.hidden, race, 0))
        if "members" in world.fixed and entry.group != "supervised":
            genes.append(gene_truth(entry, world))
    members = next(world.fixed[name] for name in MEMBERS if name in world.fixed)
    rows.append(recovered(attribution_entry(dense, x, members, 0), world.hidden, race, 0))
    apart = []
    if piece.transcoders:
        before = dense.before_latents(batches)
        found = transcoder_entries(before, x, race, 0)
        apart = [recovered(entry, world.hidden, race, 0) for entry in found]
    every = pd.concat(rows, ignore_index=True)
    return {
        "samples": len(x), "genes": world.data.shape[1], "network": vars(piece.network), "race": vars(race),
        "dense_error": error, "core_seconds": round(time.process_time() - began, 1),
        "core_seconds_dense": round(trained - began, 1),
        "hidden_columns": int(sum(v.values.shape[1] for v in world.hidden)),
        "probe": probe.groupby("variable")["probe"].mean().to_dict(),
        "leaderboard": leaderboard(every).to_dict("records"), "rows": every.to_dict("records"),
        "transcoders": leaderboard(pd.concat(apart)).to_dict("records") if apart else [], "programs": genes,
    }  # fmt: skip


def gene_truth(entry: Entry, world: World) -> dict[str, Any]:
    """How well the features' gene profiles, correlations over cells, match the planted programs."""
    members = world.fixed["members"] > 0
    alive = (entry.codes != 0).any(axis=0)
    profiles = correlations(entry.codes[:, alive], world.data.numpy())
    mean = world.data.numpy().mean(axis=0)
    bins = np.digitize(mean, np.quantile(mean, np.linspace(0, 1, 11)[1:-1]))  # names change places within tenths
    truth = program_truth(profiles, members, [f"program{i}" for i in range(len(members))], 39, alike=bins)
    return {"method": entry.method, "group": entry.group, "seed": entry.seed, **truth.summary()}


def by_distance(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Mean recovery of each group of methods by distance from the data, for every world."""
    rows = []
    for name, world in found.items():
        every = pd.DataFrame(world["rows"])
        means = every.groupby(["group", "distance"])["matched"].mean()
        for (group, distance), value in means.items():
            rows.append({"world": name, "group": group, "distance": int(distance), "matched": float(value)})
    return rows


def shown(world: dict[str, Any]) -> str:
    """The leaderboard of one world, to be printed."""
    table = pd.DataFrame(world["leaderboard"]).round(3)
    text = f"held-out probe R^2: {json.dumps({k: round(v, 2) for k, v in world['probe'].items()})}\n"
    text += f"{world['samples']} samples, {world['core_seconds']} core-seconds\n{table.to_string(index=False)}"
    if world["transcoders"]:
        text += f"\n\ntranscoders\n{pd.DataFrame(world['transcoders']).round(3).to_string(index=False)}"
    if world["programs"]:
        means = pd.DataFrame(world["programs"]).drop(columns=["group", "seed"]).groupby("method").mean()
        text += f"\n\ngene profiles against planted programs\n{means.round(3).to_string()}"
    return text


def by_distance_shown(found: dict[str, Any]) -> str:
    """Mean recovery by distance from the data, to be printed."""
    table = pd.DataFrame(by_distance(found)).pivot_table(index=["world", "group"], columns="distance", values="matched")
    return f"mean correlation by distance from the data\n{table.round(2).to_string(na_rep='')}"
