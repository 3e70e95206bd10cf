"""Every command line and every block of the documents is one that the program takes, as it stands there."""

import ast
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
from cyclopts import MissingArgumentError
from studies.conftest import whole_run
from workflow.conftest import asked, finished

import cellprism as cp
from cellprism.cli.app import app, call
from cellprism.workflow.config import make_config, write_config
from cellprism.workflow.publish import write_report

__all__ = ["asked", "finished", "whole_run"]
REPOSITORY = Path(__file__).parents[1]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")), REPOSITORY / "CONTRIBUTING.md"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
STAND_IN = {"STUDY": "programs", "FORM": "gmt", "VERB": "run", "..": "train.k=5"}
READERS_OWN = "cellprism do depth"  # the study that the reader of the guide has just installed
NOT_ALONE = {
    "models fetch": "downloads", "models info": "asks the hub", "data fetch": "downloads", "hf://": "downloads",
    "my-model": "the reader's own model", "view": "serves until Ctrl-C", "go.toml": "downloaded ontology",
    "go-bp": "downloaded ontology", READERS_OWN: "the reader's own study", "--help": "help", "demo": "minutes",
    "pretrain": "minutes", "models check": "a minute; tests/models", "simulate": "tests/cli/test_simulate.py",
    "--all": "needs edges of its own", "--tf": "tests/studies/regulation", "--condition": "names columns",
    "--from": "names types", "train CELLS": "minutes",
}  # fmt: skip
"""What is not run with the others, and why."""
NO_RUN = ("do map", "do screen")  # named in a sentence


def blocks(page: Path, *languages: str) -> list[str]:
    return [code for language, code in BLOCK.findall(page.read_text(encoding="utf-8")) if language in languages]


def commands(page: Path) -> list[tuple[bool, list[str]]]:
    """Command lines of a page: whether it stands in a block of its own, and its words after ``cellprism``."""
    text = page.read_text(encoding="utf-8")
    lines = [(True, line) for code in blocks(page, "", "bash", "console") for line in code.splitlines()]
    lines += [(False, line) for line in re.findall(r"`(cellprism [^`]+)`", BLOCK.sub("", text))]
    found = {line: alone for alone, line in lines if line.startswith("cellprism ") and READERS_OWN not in line}
    words = {line: shlex.split(line, comments=True)[1:] for line in found}
    return [(alone, [STAND_IN.get(w.strip("."), STAND_IN[".."] if w == "..." else w) for w in words[line]])
            for line, alone in found.items()]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_is_taken_by_the_program(page, capsys):
    refused = []
    for alone, words in commands(page):
        try:
            app.parse_args(words, exit_on_error=False, print_error=False)
        except MissingArgumentError:  # in a sentence a verb may be named without what it is asked of
            refused += [words] if alone else []
        except Exception as error:  # whatever is wrong with it, it is told with the others
            refused.append([*words, str(error)])
    assert refused == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_what_it_is_called(page):
    for code in blocks(page, "toml"):
        tomllib.loads(code)
    for code in blocks(page, "pycon"):
        ast.parse("\n".join(line[4:] for line in code.splitlines() if line.startswith((">>> ", "... "))))


def test_what_a_notebook_asks_of_a_run_is_there(whole_run, tmp_path, monkeypatch):
    write_report(Path(shutil.copytree(whole_run, tmp_path / "runs" / "a")))
    monkeypatch.chdir(tmp_path)
    code = blocks(REPOSITORY / "docs" / "notebook.md", "pycon")[0]
    lines = [line[4:] for line in code.splitlines()]
    assert lines[0] == "import cellprism as cp"
    run = cp.open_run("runs/a")
    for line in lines[2:]:
        for part in line.partition("#")[0].split(";"):
            if part.strip() not in ("run.cells", "run.sae", "run.model"):  # which the made-up run came without
                eval(part.strip(), {"run": run, "cp": cp})


@pytest.fixture
def place(finished, asked, tmp_path, monkeypatch) -> Path:
    """A folder with every file that the documents name."""
    for name in ("runs/a", "RUN", "OTHER"):
        shutil.copytree(finished, tmp_path / name)
    for name in ("cells.h5ad", "CELLS"):
        shutil.copyfile(asked["cells"], tmp_path / f"{name.removesuffix('.h5ad')}.h5ad")
    for name in ("config.toml", "CONFIG.toml"):
        (tmp_path / name).write_text(write_config(make_config(asked)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


FILES = {"CELLS": "CELLS.h5ad", "DICTIONARY": "blood-dictionary", "MODEL": "pbmc2", "SOURCE": "pbmc2"}


@pytest.mark.slow
def test_command_lines_that_need_no_network_and_no_hour_end_well(place, asked, capsys):
    found = [[FILES.get(w, w) for w in words] for page in PAGES for _, words in commands(page)]
    lines = dict.fromkeys(shlex.join(words) for words in found if len(words) > 1 or words == ["doctor"])
    first = ("config init", "share", "encode")
    failed = []
    capsys.readouterr()
    for line in sorted(lines, key=lambda one: [not one.startswith(name) for name in first]):
        if line in NO_RUN or any(part in line for part in NOT_ALONE):
            continue
        (place / "FILE.h5ad").unlink(missing_ok=True)  # of an encoding before
        model = ["--model", asked["model"]] if line.startswith("encode") else []  # which does not come with cellprism
        if code := call([*shlex.split(line.replace("config.toml", "first.toml", "init" in line)), *model]):
            failed.append(f"{line} ended with {code}: {capsys.readouterr().err[-300:]}")
    assert not failed, "\n".join(failed)
