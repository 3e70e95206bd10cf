"""Are obvious truths found on real cells, and does the page say so?

    python benchmarks/bench_obvious.py DATA                 DATA holds pbmc3k_raw_labelled.h5ad; needs the extra scvi
    python benchmarks/bench_obvious.py DATA --only NAME ... some truths; --scvi FOLDER: an scVI that is trained already

Each truth is asked of a run by the steps of the pipeline, and what is kept are the claims as the page prints them. It
is found where one of the claims that decide is above chance. Rows go to benchmarks/results/obvious.json as they are
done; those that are there with the same settings are not run again, and a run that was interrupted goes on.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anndata
import numpy as np
from bench_truth import plain
from made_with import made_with

from cellprism.cli.talk import bar
from cellprism.report.claims import Claim, read_claims
from cellprism.workflow.config import make_config
from cellprism.workflow.pipeline import continue_run, start_run
from cellprism.workflow.publish import write_report

HERE = Path(__file__).parent
RESULT, CELLS = HERE / "results" / "obvious.json", "pbmc3k_raw_labelled.h5ad"
FEW = 60  # cells of a type, where the model reads every gene
PAIR = ("B cells", "CD14+ Monocytes")
SCORES = ("latent-progress", "nearer-target", "expression-progress", "balanced-correct")
SMALL = {"max_cells": FEW, "train_cells": 12, "penalties": 4}
LEAST = {"max_cells": 40, "train_cells": 8, "penalties": 2, "random_edits": 0, "n_genes": 40}


@dataclass(frozen=True)
class Truth:
    """Something that nobody doubts, and the settings of the study that is to find it."""

    name: str
    model: str
    """``scvi`` or ``mini``."""
    study: str
    settings: dict[str, Any]
    before: tuple[str, ...] = ()
    """Studies that it needs."""

    def decides(self, claim: Claim) -> bool:
        """Whether the truth is found where this claim is above chance."""
        if self.study == "contrast":
            ends = (*SCORES, *(gene.lower() for gene in self.settings["named"]))
            return claim.id.startswith("contrast-") and claim.id.endswith(ends)
        return claim.id.startswith("steer-programs-") and claim.id.endswith(("-genes", "-held-out"))


def _contrast(source: str, target: str, named: list[str], **search: int) -> dict[str, Any]:
    return {"source": source, "target": target, "named": named, **({"search": search} if search else {})}


def _steered(program: str) -> dict[str, Any]:
    return {"programs": [program]}


TRUTHS = (
    Truth("B cells to monocytes, scVI", "scvi", "contrast", _contrast(*PAIR, ["MS4A1", "LYZ"], **SMALL)),
    Truth("CD4 to CD8, scVI", "scvi", "contrast", _contrast("CD4 T cells", "CD8 T cells", ["CD8A", "CD8B"])),
    Truth(
        "B cells to monocytes, mini",
        "mini",
        "contrast",
        {**_contrast(*PAIR, ["MS4A1", "LYZ"], **LEAST), "objectives": ["latent"]},
    ),
    Truth("interferon genes move together, scVI", "scvi", "steer", _steered("Interferon"), ("programs",)),
    Truth("cytotoxic genes move together, scVI", "scvi", "steer", _steered("Cytotoxic"), ("programs",)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/obvious"))
    parser.add_argument("--scvi", type=Path)
    parser.add_argument("--only", nargs="*", help="names of truths")
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    rows = json.loads(asked.out.read_text())["rows"] if asked.out.exists() else []
    for truth in TRUTHS:
        there = any(row["truth"] == truth.name and row["asked"] == plain(asdict(truth)) for row in rows)
        if there or (asked.only and truth.name not in asked.only):
            continue
        began = time.process_time()
        found = ask(truth, asked.data, asked.work, asked.scvi)
        stamp = {"processor_seconds": time.process_time() - began, **made_with()}
        rows = [row for row in rows if row["truth"] != truth.name] + [{**found, **stamp}]
        asked.out.write_text(json.dumps(plain({"rows": rows}), indent=1, allow_nan=False) + "\n")
        print(f"{truth.name}: {'found' if found['found'] else 'not found'}")


def ask(truth: Truth, data: Path, work: Path, scvi: Path | None) -> dict[str, Any]:
    """One truth: the steps that it takes, and the claims of the page."""
    own: dict[str, Any] = {"labels": "louvain"}
    if truth.model == "scvi":
        own |= {"cells": str(data / CELLS), "model": str(scvi or trained_scvi(data, work)), "layer": 0}
    else:
        own |= {"cells": str(few_cells(data, work)), "model": "mini", "layer": 1, "train": {"k": 4, "epochs": 1}}
    config = make_config({**own, truth.study: truth.settings})
    run = work / truth.model
    start_run(config, run, bar, print, only=("cells", "train", *truth.before))
    continue_run(run, truth.study, config, bar, print)
    write_report(run)
    claims = [claim for claim in read_claims(run / "claims.json") if claim.id.startswith(truth.study)]
    return {
        "truth": truth.name, "asked": asdict(truth),
        "found": any(truth.decides(claim) and claim.verdict == "above chance" for claim in claims),
        "claims": [_said(claim) for claim in claims],
    }  # fmt: skip


def _said(claim: Claim) -> dict[str, Any]:
    null = claim.null
    return {
        "id": claim.id, "statement": claim.statement, "value": claim.value,
        "chance": null.interval if null else None, "p": null.p if null else None,
        "verdict": claim.verdict, "corrected": claim.corrected, "why": claim.why,
    }  # fmt: skip


def trained_scvi(data: Path, work: Path) -> Path:
    """An scVI of the cells, trained where it is not there yet."""
    folder = work / "scvi-model"
    if not (folder / "model.safetensors").exists():
        command = ["pretrain", str(data / CELLS), "--family", "scvi", "--labels", "louvain", "--out", str(folder)]
        subprocess.run([sys.executable, "-m", "cellprism", *command], check=True)
    return folder


def few_cells(data: Path, work: Path) -> Path:
    """The first few cells of two types, in an order drawn by chance."""
    path = work / "few.h5ad"
    if not path.exists():
        cells = anndata.read_h5ad(data / CELLS)
        order, labels = np.random.default_rng(0).permutation(cells.n_obs), cells.obs["louvain"].astype(str).to_numpy()
        rows = [order[labels[order] == kind][:FEW] for kind in PAIR]
        cells[np.sort(np.concatenate(rows))].copy().write_h5ad(path)
    return path


if __name__ == "__main__":
    main()
