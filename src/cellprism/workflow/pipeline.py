"""All steps by name, and a whole run from one configuration."""

from collections.abc import Iterable
from pathlib import Path

from cellprism.sae.distributed import anywhere, is_first, processes
from cellprism.store.run import Run
from cellprism.workflow.config import RunConfig
from cellprism.workflow.contrasting import contrast_settings, contrast_types
from cellprism.workflow.interpretation import interpret, interpret_settings
from cellprism.workflow.measuring import measure, measure_settings
from cellprism.workflow.steering import steer_feature, steer_programs, steer_settings
from cellprism.workflow.steps import Say, Step, check_needs, config_of, identity_of, open_run, perform
from cellprism.workflow.training import cells_a_pass, cells_settings, prepare_cells, train, train_settings, trained
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
    config: RunConfig,
    folder: Path,
    bar: Bar,
    say: Say,
    steps: Iterable[str] = STEPS,
    *,
    track: str = "",
    device: str = "",
    offline: bool = False,
) -> None:
    """Do these steps of a configuration in a folder, skipping what is done.

    Of processes that train together (``sae.distributed``) the first one does all of it; the others help to train.

    Args:
        config: the settings.
        folder: the run folder.
        bar: makes progress bars.
        say: told what a person should know.
        steps: names of steps, in order.
        track: a tracker for the training, or none.
        device: where the training computes; empty: a GPU if there is one.
        offline: take models of the hub from the cache alone.

    Raises:
        InputError: the cells, the model or a setting will not do; nothing that was finished is lost.
        RunError: another process works on the folder.
    """
    run = Run(folder)
    bench = Workbench(run, config, bar, say, track=track, device=device, offline=offline)
    if not is_first():
        _help_training(bench)
        return
    with run.locked():
        for name in steps:
            if name == "train" and processes() > 1:
                _call_for_help(bench)
            perform(STEPS[name], bench, STEPS, say)
            if name == "cells":  # not before: what cannot be read leaves no trace in the record
                open_run(folder, config)


def _call_for_help(bench: Workbench) -> None:
    """Tell the other processes, which wait for it, whether there is a training to share; what they read is there."""
    wanted = not bench.run.is_done("train", identity_of(STEPS["train"], bench.config, STEPS))
    if wanted:
        cells_a_pass(bench)
    anywhere(wanted)


def _help_training(bench: Workbench) -> None:
    """What a process does that is not the first: its share of the training, if there is one to do."""
    if anywhere(False):
        trained(bench)


def continue_run(folder: Path, step: str, config: RunConfig | None, bar: Bar, say: Say) -> Path:
    """Do one more step of an existing run, with changed settings where ``config`` is given.

    Raises:
        RunError: no run there, a step it needs is missing, or another process works on it.
    """
    run = Run.existing(folder)
    with run.locked():
        config = config or config_of(run)
        bench = Workbench(run, config, bar, say)
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
