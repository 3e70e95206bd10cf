"""The notebooks are those of their scripts, and the scripts run."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from workflow.tiny import bar

import cellprism as cp
from cellprism.workflow.config import make_config
from cellprism.workflow.pipeline import start_run
from cellprism.workflow.publish import write_report

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
spec = spec_from_file_location("make", FOLDER / "make.py")
make = module_from_spec(spec)
spec.loader.exec_module(make)
NAMES, cells_of = make.NAMES, make.cells_of


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_that_of_its_script_with_outputs_kept(name):
    cells = cells_of((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    notebook = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))
    assert [(c["cell_type"], "".join(c["source"])) for c in notebook["cells"]] == cells, "run docs/notebooks/make.py"
    shown = [c for c in notebook["cells"] if c["cell_type"] == "code" and c["outputs"]]
    assert len(shown) >= 4
    assert not any(output["output_type"] == "error" for c in shown for output in c["outputs"])
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 1_000_000


def executed(name: str, folder: Path, monkeypatch) -> dict:
    """What a script leaves behind, run in a folder cell by cell."""
    monkeypatch.chdir(folder)
    known: dict = {}
    for number, (kind, text) in enumerate(cells_of((FOLDER / f"{name}.py").read_text(encoding="utf-8"))):
        if kind == "code":
            exec(compile(text, f"{name}, cell {number}", "exec"), known)
    return known


def test_the_notebook_of_any_model_runs(tmp_path, monkeypatch):
    known = executed("your_model", tmp_path, monkeypatch)
    assert known["error"](known["spliced"]) < known["error"](known["ablated"])
    assert known["losses"][-1] < known["losses"][0]


@pytest.mark.slow
def test_the_first_look_runs(tmp_path, monkeypatch):
    known = executed("first_look", tmp_path, monkeypatch)
    assert known["best"]["padj"].iloc[0] < 0.05
    assert known["change"].abs().max() > 0


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    """A folder with a short run of some bundled cells in ``demo``, as the notebooks have it."""
    folder = tmp_path_factory.mktemp("notebooks")
    cp.read_cells("bundled:pbmc68k")[::4].copy().write_h5ad(folder / "cells.h5ad")
    config = make_config(
        {"cells": str(folder / "cells.h5ad"), "labels": "cell_type", "totals": "total_counts", "model": "pbmc2",
         "train": {"k": 4, "epochs": 1}}, ["programs.replicates=1", "programs.seeds=1"],
    )  # fmt: skip
    start_run(config, folder / "demo", bar, lambda text: None, ["cells", "train", "programs"])
    write_report(folder / "demo")
    return folder


@pytest.mark.slow
def test_your_own_cells_run(demo, monkeypatch):
    pytest.importorskip("matplotlib").use("Agg")
    known = executed("your_cells", demo, monkeypatch)
    assert known["some"].var["cellprism_steered"].abs().max() > 0
    assert {"X_mine", "X_cellprism"} <= set(known["adata"].obsm)
    assert len(known["figure"].axes) >= 3


@pytest.mark.slow
def test_reading_a_page_runs(demo, monkeypatch):
    known = executed("reading_a_page", demo, monkeypatch)
    assert len(known["claims"]) > 5
    assert {"rate", "name"} <= set(known["rates"])
    assert known["untold"]["why"].str.len().min() > 0
