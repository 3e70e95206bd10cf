"""The notebooks are those of their scripts, and the scripts run."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

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
