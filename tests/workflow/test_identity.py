"""Whatever decides a result makes exactly the steps that depend on it be done again; anything else makes none.

One project of a person called Alice: a configuration, cells, other cells, a model, a library of gene sets, and the run.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import anndata
import pytest
import tomli_w

from cellprism.models.registry import load_model, save_model
from cellprism.store.run import Run
from cellprism.workflow.config import config_of, read_config
from cellprism.workflow.pipeline import start_run, steps
from cellprism.workflow.publish import write_report
from cellprism.workflow.steps import identity_of
from workflow.tiny import bar, write_inputs

ALL = [name for name, step in steps().items() if step.every_run]
AFTER_TRAIN = [name for name in ALL if name not in ("cells", "assess", "blocks")]


def write_project(home: Path) -> Path:
    """Every input under a home folder, all named as a person would: beside the configuration, or with ``~``."""
    project = home / "alice.q" / "project"
    (project / "data").mkdir(parents=True)
    asked = write_inputs(project)
    cells = anndata.read_h5ad(project / "cells.h5ad")
    cells.obs["donor"] = [f"d{i % 2}" for i in range(cells.n_obs)]
    cells.write_h5ad(project / "cells.h5ad")
    cells[::2].copy().write_h5ad(home / "alice.q" / "other.h5ad")
    genes = list(cells.var_names)
    sets = {"Interferon": genes[:9], "Cytotoxic": genes[9:23], "B cell": genes[20:31]}
    lines = ["\t".join([name, "", *members]) for name, members in sets.items()]
    (project / "data" / "Library.gmt").write_text("\n".join(lines) + "\n")
    asked |= {"cells": "cells.h5ad", "model": "aido:model", "labels": "cell_type"}
    asked["assess"] = {"cells": 10, "fit_cells": 10, "masks": 1}
    asked["blocks"] = {"cells": 20, "draws": 1, "epochs": 1}
    asked["adds"] = {"cells": 20, "seeds": 1}
    asked["state"] = {"permutations": 3}
    asked["stability"] = {"cells": 10, "seeds": 2, "draws": 2}
    asked["fit"] = {"cells": 5, "draws": 1, "other": "~/other.h5ad"}
    asked["programs"] |= {"collection": "Library", "draws": 1, "replicates": 1}
    (project / "asked.toml").write_text(tomli_w.dumps(asked))
    return project


def do_all(project: Path, again: bool = False) -> list[str]:
    """Do every step as the configuration asks; returns those that were done."""
    said: list[str] = []
    start_run(read_config(project / "asked.toml"), project / "run", bar, said.append, again=again)
    return [text.split(":")[0] for text in said if ": done in" in text]


def stale(project: Path, *changes: str, settings: Path | None = None) -> list[str]:
    """Steps that would be done again."""
    run, config = Run(project / "run"), read_config(settings or project / "asked.toml", changes)
    return [name for name in ALL if not run.is_done(name, identity_of(steps()[name], config, steps()))]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The home folder with the project, every step done."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home / "alice.q"))
        project = write_project(home)
        patch.setenv("CELLPRISM_DATA_DIR", str(project / "data"))
        patch.chdir(project)
        assert do_all(project) == ALL
        write_report(project / "run")
    return home


@pytest.fixture
def project(made, tmp_path, monkeypatch) -> Path:
    """A copy of it in the home folder of another machine, to be changed."""
    home = Path(shutil.copytree(made, tmp_path / "users"))
    monkeypatch.setenv("HOME", str(home / "alice.q"))
    monkeypatch.setenv("CELLPRISM_DATA_DIR", str(home / "alice.q" / "project" / "data"))
    return home / "alice.q" / "project"


def rewrite(path: Path, change: Callable[[anndata.AnnData], anndata.AnnData]) -> None:
    change(anndata.read_h5ad(path)).copy().write_h5ad(path)


def edit(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def retrain(folder: Path) -> None:
    model = load_model(folder)
    model.requires_grad_(False)
    next(model.parameters()).mul_(1.5)
    save_model(model, folder)


def add_card(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["card"]["limits"] = ["none to speak of"]
    (folder / "config.json").write_text(json.dumps(config))


def rename_gene(folder: Path) -> None:
    text = (folder / "genes.tsv").read_text().splitlines()
    text[1] = "NEW1" + text[1][text[1].index("\t") :] if "\t" in text[1] else "NEW1"
    (folder / "genes.tsv").write_text("\n".join(text) + "\n")


DECIDES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "cells": (lambda p: rewrite(p / "cells.h5ad", lambda cells: cells[1:]), ALL),
    "labels": (lambda p: edit(p / "asked.toml", 'labels = "cell_type"', 'labels = "donor"'), ALL),
    "weights": (lambda p: retrain(p / "model"), ALL),
    "genes": (lambda p: rename_gene(p / "model"), ALL),
    "card": (lambda p: add_card(p / "model"), ALL),
    "family": (lambda p: edit(p / "asked.toml", '"aido:model"', '"model"'), ALL),
    "other cells": (lambda p: rewrite(p.parent / "other.h5ad", lambda cells: cells[1:]), ["fit"]),
    "gene sets": (
        lambda p: edit(p / "data" / "Library.gmt", "B cell", "B cells"),
        ["programs", "naming", "state", "stability", "adds", "steer"],
    ),
    "a setting of training": (lambda p: edit(p / "asked.toml", "k = 5", "k = 4"), AFTER_TRAIN),
    "a setting of a study": (lambda p: edit(p / "asked.toml", "\ncells = 5", "\ncells = 6"), ["fit"]),
    "the layer": (lambda p: edit(p / "asked.toml", "layer = 0", "layer = 1"), AFTER_TRAIN),
    "the seed": (lambda p: edit(p / "asked.toml", "layer = 0", "layer = 0\nseed = 1"), ALL[1:]),
}

ELSEWHERE: dict[str, Callable[[Path], object]] = {
    "times": lambda p: [os.utime(path, (0, 0)) for path in (p / "cells.h5ad", p / "model" / "genes.tsv", p.parent)],
    "neighbours": lambda p: [
        (folder / name).write_text("x")
        for folder in (p, p / "data", p / "run", p.parent)
        for name in ("a.log", "b.tsv")
    ],
    "words for people": lambda p: (p / "model" / "README.md").write_text("x"),
    "hidden files": lambda p: (p / "model" / ".DS_Store").write_text("x"),
    "names of ours that lie about": lambda p: [(p / name).write_text("x") for name in ("mini", "blood", "pbmc3k")],
    "another name of the cells": lambda p: (
        (p / "cells.h5ad").rename(p / "data" / "renamed.h5ad"),
        edit(p / "asked.toml", '"cells.h5ad"', '"data/renamed.h5ad"'),
    ),
    "a link": lambda p: (
        (p / "cells.h5ad").rename(p / "data" / "blob"),
        (p / "cells.h5ad").symlink_to(p / "data" / "blob"),
    ),
    "nothing": lambda p: None,
}


@pytest.mark.parametrize("what", DECIDES)
def test_what_decides_a_result_makes_exactly_the_steps_that_depend_on_it_stale(project, what):
    change, expected = DECIDES[what]
    change(project)
    assert stale(project) == expected


@pytest.mark.slow
@pytest.mark.parametrize("what", [what for what in DECIDES if what not in ("genes", "labels")])
def test_what_is_stale_is_done_again_and_nothing_else(project, what):
    change, expected = DECIDES[what]
    change(project)
    assert do_all(project, again=True) == expected
    assert do_all(project) == []


@pytest.mark.parametrize("what", ["gene sets", "a setting of a study"])
def test_a_study_that_is_stale_is_done_again_and_nothing_else(project, what):
    change, expected = DECIDES[what]
    change(project)
    assert do_all(project) == expected


@pytest.mark.parametrize("what", ELSEWHERE)
def test_what_decides_nothing_makes_nothing_stale(project, what, monkeypatch):
    ELSEWHERE[what](project)
    assert stale(project) == [], "nor does it that the project lies elsewhere"
    monkeypatch.chdir(project / "data")
    assert stale(project) == []


def test_a_run_that_is_moved_with_what_it_names_goes_on_from_its_own_settings(project, tmp_path, monkeypatch):
    assert stale(project, settings=project / "run" / "run.toml") == []
    moved = project.rename(tmp_path / "moved")
    monkeypatch.setenv("CELLPRISM_DATA_DIR", str(moved / "data"))
    assert config_of(Run(moved / "run")).cells.endswith("run/../cells.h5ad")
    assert stale(moved, settings=moved / "run" / "run.toml") == []
    monkeypatch.chdir("/")
    assert stale(moved, settings=moved / "run" / "run.toml") == []


def test_neither_folder_nor_page_names_the_person_or_the_machine(made):
    run = made / "alice.q" / "project" / "run"
    texts = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for path in run.rglob("*.h5ad"):  # whose texts may be compressed
        texts[path] += repr(anndata.read_h5ad(path).uns).encode()
    for path, text in texts.items():
        assert b"alice.q" not in text, path
        assert str(made).encode() not in text, path
    page = (run / "report.html").read_text()
    assert "Run “run” · ../cells.h5ad" in page
    assert "~/other.h5ad" in (run / "fit" / "measures.json").read_text()
