"""Killed at a random moment of every step and begun again: are all files the same in the end? Answers as JSON.

    python benchmarks/bench_kills.py [KILLS]

A whole run on simulated cells and a pretraining (``small_run``) are done once without a kill; what the folder holds
before and after each step is kept. Then a step is begun from what was before it, in a process that is killed (SIGKILL)
after a random time or at a random change of a file, and begun again until it ends; steps take turns. Compared are the
names of all files, hidden ones included, and their bytes; of ``run.json`` all but times and memory.
"""

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from made_with import made_with
from small_run import RUN_STEPS, Ended, do_step, forked, write_inputs

HERE = Path(__file__).parent
CELLS, TRAIN = 120, {"n_features": 41, "k": 5, "epochs": 1, "batch_size": 1024}
STEPS = (*RUN_STEPS, "pretrain")
CHANGES = ("open", "os.rename", "os.remove", "os.rmdir", "os.chmod")


def main(kills: int) -> None:
    begun = made_with()
    moments, rows = random.Random(time.time_ns()), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        forked(write_once, folder)
        asked = json.loads((folder / "asked.json").read_text())
        unbroken = {step: keep(folder, asked, step) for step in STEPS}
        for number in count():
            step = STEPS[number % len(STEPS)]
            kind = ("time", "file")[(number + number // len(STEPS)) % 2]
            rows.append({"step": step, "at_a": kind, **survived(folder, asked, step, kind, *unbroken[step], moments)})
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
            write(begun, rows)
            if sum(row["killed"] for row in rows) >= kills:
                break


def write(begun: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Write what is known so far."""
    killed = [row for row in rows if row["killed"]]
    result = {
        **begun,
        "cells": CELLS,
        "kills": len(killed),
        "kills_of_step": {step: sum(row["step"] == step for row in killed) for step in STEPS},
        "alike": sum(not row["differs"] for row in killed),
        "rows": rows,
    }
    (HERE / "results" / "kills.json").write_text(json.dumps(result, indent=1) + "\n")


def write_once(folder: Path) -> None:
    """The inputs, and the configuration that uses them."""
    (folder / "asked.json").write_text(json.dumps(write_inputs(folder, CELLS, TRAIN)))


def place(folder: Path, step: str) -> Path:
    """The folder that a step works on."""
    return folder / ("model-out" if step == "pretrain" else "run")


def keep(folder: Path, asked: dict[str, Any], step: str) -> tuple[float, int]:
    """Do a step without a kill and keep what was before and after; seconds and changes of files that it took."""
    at, tally = place(folder, step), folder / "tally"
    at.mkdir(exist_ok=True)
    shutil.copytree(at, folder / f"before-{step}")
    ended = forked(counted, asked, at, step, tally)
    assert ended.code == 0, f"{step} fails without any kill"
    shutil.copytree(at, folder / f"after-{step}")
    return ended.seconds, int(tally.read_text())


def survived(
    folder: Path, asked: dict[str, Any], step: str, kind: str, seconds: float, changes: int, moments: random.Random
) -> dict[str, Any]:
    """Begin a step, kill it, do it again, and say what is not as it should be."""
    at = place(folder, step)
    shutil.rmtree(at)
    shutil.copytree(folder / f"before-{step}", at)
    if kind == "time":
        moment = round(moments.uniform(0, seconds), 3)
        first = forked(do_step, asked, at, step, kill_after=moment)
    else:
        moment = moments.randint(1, changes)
        first = forked(dying, asked, at, step, moment)
    again: Ended = forked(do_step, asked, at, step)
    expected, found = contents(folder / f"after-{step}"), contents(at)
    differs = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    return {"moment": moment, "killed": first.code == -signal.SIGKILL, "exit_code": again.code, "differs": differs}


def counted(asked: dict[str, Any], at: Path, step: str, tally: Path) -> None:
    """Do a step and write how many files it changed."""
    seen = count()
    on_change(at, lambda: next(seen))
    do_step(asked, at, step)
    tally.write_text(str(next(seen)))


def dying(asked: dict[str, Any], at: Path, step: str, number: int) -> None:
    """Do a step, and die at a change of a file."""
    left = iter(range(number - 1))
    on_change(at, lambda: next(left, None) is None and os.kill(os.getpid(), signal.SIGKILL))
    do_step(asked, at, step)


def on_change(folder: Path, call: Callable[[], object]) -> None:
    """Call a function before any file of a folder is opened, moved or removed."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in CHANGES and isinstance(arguments[0], str | Path) and str(arguments[0]).startswith(str(folder)):
            call()

    sys.addaudithook(hook)


def contents(folder: Path) -> dict[str, object]:
    """What each file of a folder holds, by name; of the record of a run what does not depend on the clock."""
    found: dict[str, object] = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_dir():
            found[name] = "folder"
        elif name == "run.json":
            record = json.loads(path.read_text())
            for facts in record["steps"].values():
                facts.update(finished="", seconds=0, peak_memory_mb=0)
            for facts in record.get("passes", {}).values():
                facts["plan"] = ""  # it names the memory that was free
            found[name] = record
        else:
            found[name] = path.read_bytes()
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 45)
