"""Moving one cell type towards another, with each objective in turn."""

from dataclasses import asdict
from pathlib import Path

from cellprism.errors import ModelError
from cellprism.steering.contrast import ContrastResult, contrast
from cellprism.steering.readout import lacks_expression
from cellprism.store.atomic import write_json
from cellprism.store.tables import write_table
from cellprism.workflow.config import RunConfig
from cellprism.workflow.workbench import Workbench

ABSENT = "absent.json"


def contrast_settings(config: RunConfig) -> dict[str, object]:
    """What decides the contrast."""
    return {"contrast": asdict(config.contrast), "seed": config.seed}


def contrast_types(bench: Workbench) -> list[Path]:
    """Search a recipe for each objective; write ``contrast/<objective>``. No types given: nothing to do.

    An objective that has no meaning for the model is left out; ``contrast/absent.json`` says which, and why.

    Raises:
        ModelError: none of the objectives has a meaning, or the autoencoder is a transcoder.
    """
    wanted = bench.config.contrast
    if not (wanted.source and wanted.target):
        return []
    why = lacks_expression(bench.model)
    absent = {objective: why for objective in wanted.objectives if objective == "expression" and why}
    if len(absent) == len(wanted.objectives):
        raise ModelError(why)
    files = [bench.folder / "contrast" / ABSENT]
    write_json(files[0], absent)
    for objective in absent:
        bench.say(f"no {objective} recipe: {why}")
    for objective in [o for o in wanted.objectives if o not in absent]:
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
