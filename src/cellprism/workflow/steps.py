"""The steps of a run and the order in which they build on each other.

A step's identity is a hash of the settings it uses, of the package's version and of the identities it needs. A step
that is finished under the same identity, its files unaltered, is skipped and says so.
"""

import platform
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cellprism.display import command
from cellprism.errors import RunError
from cellprism.store.atomic import write_text
from cellprism.store.run import SETTINGS, Run, digest
from cellprism.studies.common import CommonConfig
from cellprism.studies.study import BASE
from cellprism.studies.workbench import Say, Workbench
from cellprism.workflow.config import given, write_config

RECORDED = ("cellprism", "torch", "numpy", "scipy", "anndata", "scikit-learn")


@dataclass(frozen=True)
class Step:
    """One step: what it depends on and what it does."""

    name: str
    """Its name in run.json."""
    needs: tuple[str, ...]
    """Steps whose files it reads."""
    settings: Callable[[CommonConfig], Any]
    """The part of the configuration that decides its result."""
    work: Callable[[Workbench], Iterable[Path]]
    """Does it, and returns the files written."""
    every_run: bool = True
    """Part of a whole run; else done where it is asked for."""


def perform(step: Step, bench: Workbench, steps: dict[str, Step], say: Say) -> None:
    """Do a step whose needs are met, unless it is already done.

    Raises:
        RunError: a step it needs is missing, or was made with other settings.
        DamagedError: files of a step it needs were altered.
    """
    check_needs(step, bench, steps)
    identity = identity_of(step, bench.config, steps)
    if bench.run.is_done(step.name, identity):
        say(f"{step.name}: already done, nothing has changed")
        return
    origin = provenance(step, bench)  # before the work, which may take hours, and be of files that change meanwhile
    began = time.perf_counter()
    files = list(step.work(bench))
    seconds = time.perf_counter() - began
    bench.run.finish(step.name, identity, files, seconds=round(seconds, 1), peak_memory_mb=peak_memory(), **origin)
    say(f"{step.name}: done in {seconds:.0f} s")
    _forget_stale(step, bench, steps, say)


def provenance(step: Step, bench: Workbench) -> dict[str, Any]:
    """What a step is done with, kept in its record: inputs by name and by content, settings, versions, machine."""
    config = bench.config
    named = given(config, bench.folder)
    return {
        "device": str(bench.device), "machine": platform.machine(), "python": platform.python_version(),
        "versions": {name: version(name) for name in RECORDED},
        **{name: named[name] for name in ("cells", "model", "labels", "layer", "seed")},
        "settings": step.settings(config),
    }  # fmt: skip


def refuse_others(run: Run, config: CommonConfig, steps: dict[str, Step]) -> None:
    """Refuse to make a run again from other cells, another model or with other labels, before anything is written.

    Raises:
        RunError: names what the folder holds, and what of it is another now.
    """
    record = run.state["steps"].get("cells", {})
    before, now = record.get("settings"), steps["cells"].settings(config)
    if not isinstance(before, dict):
        return
    others = [name for name, value in now.items() if digest(value) != digest(before.get(name)) and not _absent(value)]
    if others:
        held = f"cells {record.get('cells')!r} with model {record.get('model')!r} and labels {record.get('labels')!r}"
        raise RunError(
            f"{run.folder} holds a run on {held}, but {' and '.join(others)} would be other than they were; use "
            "another --out, or --again to make it again, which removes what was made before"
        )


def _absent(value: Any) -> bool:
    return isinstance(value, dict) and "absent" in value  # whoever reads it says so


def _forget_stale(step: Step, bench: Workbench, steps: dict[str, Step], say: Say) -> None:
    """Remove results that were made from an earlier version of this step, so that no page mixes the two.

    A name such as ``steer feature-7`` belongs to the step ``steer``.
    """
    for name, record in bench.run.state["steps"].items():
        kind = steps.get(name.partition(" ")[0])
        if (
            kind is not None
            and step.name in kind.needs
            and record["identity"] != identity_of(kind, bench.config, steps)
        ):
            bench.run.forget(name)
            say(f"{name}: removed, it was made from an earlier {step.name}")


def check_needs(step: Step, bench: Workbench, steps: dict[str, Step]) -> None:
    """Refuse to build on steps that are missing, altered, or made with other settings than the run now has.

    Raises:
        RunError: a step is missing, or its settings, inputs or the package have changed since.
        DamagedError: its files were altered.
    """
    folder = bench.folder
    for need in step.needs:
        verb = ("run", folder / SETTINGS, "--out") if need in BASE else ("do", need)
        bench.run.require(need, *verb)
        again = ("run", folder / SETTINGS, "--again", "--out") if need in BASE else verb
        record = bench.run.state["steps"][need]
        if record["identity"] != identity_of(steps[need], bench.config, steps):
            if missing := _missing(steps[need].settings(bench.config), record.get("settings")):
                names = ", ".join(f"{key} = {name!r}" for key, name in missing.items())
                where = " ".join(f"--set {key}=PATH" for key in missing)
                raise RunError(
                    f"step {need!r} of {folder} was made from files that are not there ({names} in {SETTINGS}); put "
                    f"them back, or say where they are now with {where}"
                )
            raise RunError(
                f"step {need!r} of {folder} was made with other settings, other input files or another version of "
                f"cellprism; make it again, with the same --set if any: {command(*again, folder)}"
            )


def _missing(now: Mapping[str, Any], before: Any, prefix: str = "") -> dict[str, str]:
    """Names of files that settings stand for, by key, of those that a step was made with and that are gone."""
    found: dict[str, str] = {}
    for key, value in now.items():
        made_with = before.get(key) if isinstance(before, dict) else None
        if _absent(value) and made_with != value:
            found[prefix + key] = value["absent"]
        elif isinstance(value, str) and isinstance(made_with, dict):  # a model that was files, and now is but a name
            found[prefix + key] = value
        elif isinstance(value, dict):
            found |= _missing(value, made_with, f"{prefix}{key}.")
    return found


def identity_of(step: Step, config: CommonConfig, steps: dict[str, Step]) -> str:
    """Hash of everything that decides what a step writes."""
    needed = {need: identity_of(steps[need], config, steps) for need in step.needs}
    return digest(
        {"step": step.name, "settings": step.settings(config), "needs": needed, "version": version("cellprism")}
    )


def keep_settings(run: Run, config: CommonConfig) -> None:
    """Write what the run was last asked for; call while holding its lock."""
    write_text(run.folder / SETTINGS, write_config(config, run.folder))


def peak_memory() -> int:
    """Largest resident memory of this process so far, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20)
