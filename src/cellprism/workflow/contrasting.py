"""Moving one cell type towards another, with each objective in turn."""

from dataclasses import asdict
from pathlib import Path

from cellprism.steering.contrast import ContrastResult, contrast
from cellprism.store.atomic import write_json
from cellprism.store.tables import write_table
from cellprism.workflow.config import RunConfig
from cellprism.workflow.workbench import Workbench


def contrast_settings(config: RunConfig) -> dict[str, object]:
    """What decides the contrast."""
    return {"contrast": asdict(config.contrast), "seed": config.seed}


def contrast_types(bench: Workbench) -> list[Path]:
    """Search a recipe for each objective; write ``contrast/<objective>``. No types given: nothing to do."""
    wanted = bench.config.contrast
    files: list[Path] = []
    for objective in wanted.objectives if wanted.source and wanted.target else ():
        with bench.bar(f"{wanted.source} to {wanted.target}, {objective} objective", None):
            result = contrast(
                bench.model, bench.sae, bench.cells, bench.config.layer, wanted.source, wanted.target, objective,
                named=wanted.named, settings=wanted.search, seed=bench.config.seed,
            )  # fmt: skip
        files += _write(bench.folder / "contrast" / objective, result)
    return files


def _write(folder: Path, result: ContrastResult) -> list[Path]:
    names = ("path", "genes", "cells", "recipe", "trials")
    for name in names:
        write_table(folder / f"{name}.parquet", getattr(result, name))
    write_json(folder / "summary.json", result.summary)
    return [folder / f"{name}.parquet" for name in names] + [folder / "summary.json"]
