"""All steps by name, and a whole run from one configuration."""

from collections.abc import Iterable
from pathlib import Path

from cellprism.store.run import Run
from cellprism.workflow.config import RunConfig
from cellprism.workflow.contrasting import contrast_settings, contrast_types
from cellprism.workflow.interpretation import interpret, interpret_settings
from cellprism.workflow.measuring import measure, measure_settings
from cellprism.workflow.steering import steer_feature, steer_programs, steer_settings
from cellprism.workflow.steps import Say, Step, check_needs, config_of, identity_of, open_run, perform
from cellprism.workflow.training import cells_settings, prepare_cells, train, train_settings
from cellprism.workflow.workbench import Bar, Workbench

STEPS = {
    step.name: step
    for step in (
        Step("cells", (), cells_settings, prepare_cells),
        Step("train", ("cells",), train_settings, train),
        Step("measure", ("cells", "train"), measure_settings, measure),
        Step("interpret", ("cells", "train"), interpret_settings, interpret),
        Step("steer", ("cells", "train", "interpret"), steer_settings, steer_programs),
        Step("contrast", ("cells", "train"), contrast_settings, contrast_types),
    )
}


def start_run(
    config: RunConfig, folder: Path, bar: Bar, say: Say, steps: Iterable[str] = STEPS, track: str = ""
) -> None:
    """Do these steps of a configuration in a folder, skipping what is done; ``track`` names a tracker for the training.

    Raises:
        InputError: the cells, the model or a setting will not do; nothing that was finished is lost.
        RunError: another process works on the folder.
    """
    run = Run(folder)
    with run.locked():
        bench = Workbench(run, config, bar, track)
        for name in steps:
            perform(STEPS[name], bench, STEPS, say)
            if name == "cells":  # not before: what cannot be read leaves no trace in the record
                open_run(folder, config)


def continue_run(folder: Path, step: str, config: RunConfig | None, bar: Bar, say: Say) -> Path:
    """Do one more step of an existing run, with changed settings where ``config`` is given.

    Raises:
        RunError: no run there, a step it needs is missing, or another process works on it.
    """
    run = Run.existing(folder)
    with run.locked():
        config = config or config_of(run)
        bench = Workbench(run, config, bar)
        perform(STEPS[step], bench, STEPS, say)
        open_run(folder, config)  # only now: a step that failed leaves the run as it was
    return folder


def steer_one(folder: Path, feature: int, config: RunConfig | None, bar: Bar) -> Path:
    """Sweep one feature of an existing run, beside its programs; returns the folder of its doses.

    Raises:
        RunError: no run there, or its features were not interpreted.
        ConfigError: there is no such feature.
    """
    run = Run.existing(folder)
    with run.locked():
        bench = Workbench(run, config or config_of(run), bar)
        check_needs(STEPS["steer"], bench, STEPS)
        files = steer_feature(bench, feature)
        run.finish(f"steer feature-{feature}", identity_of(STEPS["steer"], bench.config, STEPS), files)
        return files[0].parent
