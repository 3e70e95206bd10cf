"""The steps of a run and the order in which they build on each other.

A step's identity is a hash of the settings it uses, of the package's version and of the identities it needs. A step
that is finished under the same identity, its files unaltered, is skipped and says so.
"""

import platform
import resource
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cellprism.errors import RunError
from cellprism.store.atomic import write_text
from cellprism.store.run import SETTINGS, Run, digest
from cellprism.studies.common import CommonConfig
from cellprism.studies.study import BASE
from cellprism.studies.workbench import Say, Workbench
from cellprism.workflow.config import read_config, write_config

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
    began = time.perf_counter()
    files = list(step.work(bench))
    seconds = time.perf_counter() - began
    bench.run.finish(
        step.name, identity, files, seconds=round(seconds, 1), peak_memory_mb=peak_memory(), device=str(bench.device)
    )
    say(f"{step.name}: done in {seconds:.0f} s")
    _forget_stale(step, bench, steps, say)


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
        verb = f"run {folder / SETTINGS} --out" if need in BASE else f"do {need}"
        bench.run.require(need, verb)
        if bench.run.state["steps"][need]["identity"] != identity_of(steps[need], bench.config, steps):
            raise RunError(
                f"step {need!r} of {folder} was made with other settings, other input files or another version of "
                f"cellprism; make it again, with the same --set if any: cellprism {verb} {folder}"
            )


def identity_of(step: Step, config: CommonConfig, steps: dict[str, Step]) -> str:
    """Hash of everything that decides what a step writes."""
    needed = {need: identity_of(steps[need], config, steps) for need in step.needs}
    return digest(
        {"step": step.name, "settings": step.settings(config), "needs": needed, "version": version("cellprism")}
    )


def open_run(folder: Path, config: CommonConfig) -> Run:
    """Start a run with these settings, or go on with the one that is there; call while holding its lock."""
    run = Run(folder)
    write_text(folder / SETTINGS, write_config(config, folder))
    run.update(versions={name: version(name) for name in RECORDED}, python=platform.python_version(),
               machine=platform.machine(), seed=config.seed, layer=config.layer)  # fmt: skip
    return run


def config_of(run: Run) -> CommonConfig:
    """The configuration that a run was made with.

    Raises:
        RunError: the folder has no run.toml.
    """
    path = run.folder / SETTINGS
    if not path.is_file():
        raise RunError(f"{run.folder} has no {SETTINGS}; start it again with: cellprism train --out {run.folder}")
    return read_config(path)


def peak_memory() -> int:
    """Largest resident memory of this process so far, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20)
