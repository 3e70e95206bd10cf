"""A run folder made up from a seed, written as its steps write it: shapes as in a real run, sizes prime and unequal."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cellprism.report.claims import Claim
from cellprism.report.context import CELLS, MODEL, CellFacts, Context, read_context
from cellprism.report.figure import Figure
from cellprism.report.findings import Finding
from cellprism.report.section import Section
from cellprism.store.atomic import write_json
from cellprism.store.run import Run
from cellprism.store.tables import write_table
from cellprism.studies.study import BASE, studies
from cellprism.workflow.publish import gathered
from studies.made_up_assess import assessment
from studies.made_up_features import (
    LAYER,
    N_CELLS,
    N_FEATURES,
    N_GENES,
    adds,
    blocks,
    fit,
    labels_of,
    programs,
    stability,
)
from studies.made_up_ladder import ladder
from studies.made_up_map import feature_map, naming, state
from studies.made_up_pareto import pareto
from studies.made_up_reading import compare, lens
from studies.made_up_regulation import regulation
from studies.made_up_screen import screen
from studies.made_up_steering import contrasts, steering

__all__ = ["LAYER", "N_CELLS", "N_FEATURES", "N_GENES"]
WORDS = {"revision", "licence", "data", "program", "source", "target", "collection", "family", "factor", "experiment"}
COLUMNS = {"gene", "top_genes", "best_term", "top_cell_type", "high_in", "low_in", "term", "cell", "factor"}


def make_run(folder: Path, seed: int = 3) -> Path:
    """Write the whole run folder and return it."""
    rng = np.random.default_rng(seed)
    labels = labels_of(rng)
    types = {str(kind): int(n) for kind, n in pd.Series(labels).value_counts().items()}
    write_json(folder / CELLS, asdict(CellFacts("bundled:made-up", N_CELLS, N_GENES, types)))
    write_json(folder / MODEL, model())
    write_json(folder / "sae" / f"L{LAYER}" / "cfg.json", {"architecture": "topk", "d_in": 64, "d_sae": N_FEATURES})
    run = Run(folder)
    run.finish("cells", "made up", [folder / CELLS, folder / MODEL])
    run.finish("train", "made up", [folder / "sae" / f"L{LAYER}" / "cfg.json"], layer=LAYER, seed=seed)
    found = {
        "assess": assessment(model()["card"]), "blocks": blocks(), "fit": fit(rng), "programs": programs(labels, rng),
        "naming": naming(), "state": state(), "map": feature_map(), "stability": stability(), "adds": adds(),
        "ladder": ladder(),
        "lens": lens(np.random.default_rng(7)), "compare": compare(np.random.default_rng(8)),
        "steer": steering(rng), "contrast": contrasts(rng), "screen": screen(), "regulation": regulation(rng),
        "pareto": pareto(),
    }  # fmt: skip
    for name, study in studies().items():
        run.finish(name, "made up", study.write(folder / name, found[name]))
    return folder


class Shown(NamedTuple):
    """What a page is made of."""

    context: Context
    found: dict[str, Any]
    """By study, of those that were run."""
    claims: dict[str, Claim]
    """By id."""
    sections: dict[str, Section]
    """By id."""
    findings: list[Finding]

    @property
    def figures(self) -> dict[str, Figure]:
        """By id."""
        return {f.id: f for section in self.sections.values() for row in section.rows for f in row}


def shown(folder: Path) -> Shown:
    """What the page of a run folder is made of."""
    run, context = Run(folder), read_context(folder)
    claims, sections, findings = gathered(run, context)
    done = {name.split()[0] for name in run.state["steps"]} - set(BASE)
    found = {name: studies()[name].read(folder / name) for name in sorted(done)}
    return Shown(context, found, {claim.id: claim for claim in claims}, {s.id: s for s in sections}, findings)


def seal(folder: Path) -> Path:
    """Record the hashes of a run's files anew, after a test has changed some on purpose; those that are gone go."""
    run = Run(folder)
    for step, record in run.state["steps"].items():
        files = [folder / name for name in record["files"] if (folder / name).is_file()]
        facts = {name: value for name, value in record.items() if name not in ("identity", "files", "finished")}
        run.finish(step, record["identity"], files, **facts)
    return folder


def edit_json(path: Path, change: Callable[[Any], object]) -> None:
    """Change a JSON file of a run in place; ``seal`` makes it the step's own."""
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def poison(folder: Path, text: str) -> Path:
    """Add ``text`` to every name in a run folder that a page prints, and return the folder."""
    for path in folder.rglob("*.json"):
        path.write_text(json.dumps(_poisoned(json.loads(path.read_text()), text)))
    for path in folder.rglob("*.parquet"):
        table = pd.read_parquet(path)
        table = table.assign(**{c: table[c].astype(str) + text for c in table.columns if c in COLUMNS})
        kinds = [c for c in table.columns if path == folder / "programs" / "types.parquet" and c != "feature"]
        write_table(path, table.rename(columns={c: c + text for c in kinds}))
    return seal(folder)


def _poisoned(value: Any, text: str, names: bool = False) -> Any:
    if isinstance(value, dict):
        return {
            k + text if names else k: v + text
            if k in WORDS and isinstance(v, str)
            else _poisoned(v, text, k == "types")
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [v + text if isinstance(v, str) else _poisoned(v, text) for v in value]
    return value


def model() -> dict[str, Any]:
    """What ``model.json`` holds."""

    def error(value: float, behind: float) -> dict[str, Any]:
        edges = [0.27 * (behind - 0.004), 0.27 * (behind + 0.004)]
        interval = [value - 0.006, value + 0.006]
        return {"mse": 0.27 * value, "of_gene_mean": value, "interval": interval, "minus_model": edges}

    def read(value: float, half: float) -> dict[str, Any]:
        return {"accuracy": value, "interval": [value - half, value + half]}

    methods = {"model": error(0.858, 0.0), "ridge": error(0.871, 0.013), "type mean": error(0.861, 0.003)}
    readout = {
        "residuals": read(0.92, 0.02), "raw expression": read(0.94, 0.02), "untrained network": read(0.44, 0.04),
    }  # fmt: skip
    neighbours = {
        "CD8A": ["CD8B", "GZMK", "KLRG1"], "GNLY": ["PRF1", "GZMB", "NKG7"], "CD79A": ["MS4A1", "CD79B", "TCL1A"],
        "LYZ": ["S100A9", "CST3", "S100A8"],
    }  # fmt: skip
    card = {
        "data": "PBMC3K, 2,160 cells of one donor",
        "limits": ["It has seen one donor's blood and nothing else."],
        "assessment": {
            "masked": {"methods": methods, "test_cells": 521},
            "cell_types": {"layer": 1, "readout": readout, "largest_type": 0.43, "test_cells": 521},
            "neighbours": neighbours,
        },
    }
    return {
        "name": "mini", "revision": "2026-11", "licence": "BSD-3-Clause", "n_layers": 3, "d_model": 64,
        "n_genes": 1600, "tokens": "genes", "predicts": "expression", "card": card,
    }  # fmt: skip
