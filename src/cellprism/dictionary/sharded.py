"""Encoding in shards: a task that any process can do, and the file that all of them are gathered in.

What a worker needs lies in one folder, which all workers see: a plan in plain JSON, and what is known of the genes of
each file of cells. A worker loads model and dictionary once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from safetensors.numpy import load_file

from cellprism.cells.stored import Rows
from cellprism.cells.streamed import AlignedRows
from cellprism.dictionary.encode_block import Arrays, Encoder, explained
from cellprism.models.registry import load_model
from cellprism.parallel.shards import Results, Shard, keep
from cellprism.sae.files import load_sae
from cellprism.store.atomic import read_json, write_json
from cellprism.store.h5ad import write_h5ad_rows

PLAN = "plan.json"
CELLS_A_SHARD = 512


@dataclass(frozen=True)
class Task:
    """Some cells of one file, in the folder of a plan."""

    folder: str
    file: int
    start: int
    stop: int


def cut(folder: Path, sizes: list[int], names: list[pd.Index], cells_a_pass: int) -> list[Shard]:
    """Shards of about equal size, of one file each, of whole forward passes but for a file's last one.

    Args:
        folder: of the plan.
        sizes: cells in each file.
        names: of the cells of each file, for messages.
        cells_a_pass: cells that go through the model at once.
    """
    step = max(1, CELLS_A_SHARD // cells_a_pass) * cells_a_pass
    shards = []
    for file, (size, known) in enumerate(zip(sizes, names, strict=True)):
        for start in range(0, size, step):
            stop = min(start + step, size)
            said = f"cells {start + 1:,} to {stop:,} ({known[start]} to {known[stop - 1]})"
            said += f" of file {file + 1}" if len(sizes) > 1 else ""
            name = f"cells-{file}-{start:09d}"
            shards.append(Shard(name, said, Task(str(folder), file, start, stop), stop - start))
    return shards


def write_plan(folder: Path, settings: dict[str, Any], cells: list[AlignedRows]) -> None:
    """Write what workers need.

    Args:
        folder: that of the shards.
        settings: ``model``, ``options``, ``offline``, ``sae`` (a folder), ``layer``, ``cells_a_pass``, ``device``.
        cells: each file of cells.
    """
    files = []
    for number, one in enumerate(cells):
        keep(_arrays(folder, number), {"columns": one.columns, "place": one.place, "totals": one.totals})
        rows = {"path": one.rows.path, "where": one.rows.where, "width": one.rows.width,
                "embedding": one.rows.embedding, "written": list(one.rows.written)}  # fmt: skip
        files.append(
            {"rows": rows, "names": list(one.names), "ensembl": list(one.ensembl), "totals_from": one.totals_from}
        )
    write_json(folder / PLAN, {**settings, "cells": files})


def encode_task(task: Task) -> Arrays:
    """Encode the cells of a task with what its folder says; runs on a worker."""
    encoder, cells = _loaded(task.folder)
    return encoder.block(cells[task.file].part(task.start, task.stop))


@lru_cache(maxsize=1)
def _loaded(folder: str) -> tuple[Encoder, list[AlignedRows]]:
    """Model, autoencoder and cells of a plan, once a process."""
    plan = read_json(Path(folder) / PLAN)
    device = torch.device(plan["device"])
    model = load_model(plan["model"], offline=plan["offline"], **plan["options"])
    encoder = Encoder(model, load_sae(plan["sae"]).to(device), plan["layer"], plan["cells_a_pass"], device)
    return encoder, [_aligned(Path(folder), number, one) for number, one in enumerate(plan["cells"])]


def _aligned(folder: Path, number: int, said: dict[str, Any]) -> AlignedRows:
    rows = said["rows"]
    kept = load_file(_arrays(folder, number))
    return AlignedRows(
        Rows(rows["path"], rows["where"], rows["width"], rows["embedding"], tuple(rows["written"])),
        kept["columns"], kept["place"], tuple(said["names"]), tuple(said["ensembl"]), kept["totals"],
        said["totals_from"],
    )  # fmt: skip


def _arrays(folder: Path, number: int) -> Path:
    return folder / f"plan-{number}.safetensors"


@dataclass(frozen=True)
class Summary:
    """What a whole encoding says."""

    cells: int
    tokens: int
    explained: float
    """Of all cells together."""
    l0: float
    """Features with any activation in a cell, mean."""


def written(out: Path, results: Results, obs: pd.DataFrame, var: pd.DataFrame, uns: dict[str, Any]) -> Summary:
    """Gather all shards in one .h5ad file, a shard in memory at a time; returns what they say together.

    Args:
        out: the file.
        results: the shards' arrays.
        obs: one row a cell; ``explained`` and ``n_tokens`` are added.
        var: one row a feature.
        uns: what is kept with them.
    """
    per_cell: dict[str, list[np.ndarray]] = {"explained": [], "n_tokens": []}
    whole = dict.fromkeys(("error", "about", "values"), 0.0)
    for found in results.gather():
        per_cell["explained"].append(explained(found))
        per_cell["n_tokens"].append(found["tokens"])
        for name in ("error", "about"):
            whole[name] += float(found[name].sum())
        whole["values"] += len(found["data"])
    columns = {name: np.concatenate(parts) for name, parts in per_cell.items()}
    rows = obs.assign(explained=columns["explained"].astype(np.float32), n_tokens=columns["n_tokens"])
    summary = Summary(
        len(rows), int(columns["n_tokens"].sum()), 1 - whole["error"] / whole["about"] if whole["about"] else np.nan,
        whole["values"] / len(rows),
    )  # fmt: skip
    kept = {**uns, "explained": summary.explained}
    write_h5ad_rows(out, AnnData(obs=rows, var=var, uns={"cellprism": kept}), _parts(results), int(whole["values"]))
    return summary


def _parts(results: Results) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    for found in results.gather():
        yield found["data"], found["indices"], found["indptr"]
