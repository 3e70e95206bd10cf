"""All steps by name, and a whole run from one configuration."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from cellprism.parallel.cluster import engine_of
from cellprism.sae.distributed import anywhere, is_first, processes
from cellprism.store.atomic import write_text
from cellprism.store.run import SETTINGS, Run
from cellprism.studies.common import CommonConfig
from cellprism.studies.harvest import forget, harvested, on_worker
from cellprism.studies.steer.tables import write_experiment
from cellprism.studies.study import Study, studies
from cellprism.studies.workbench import Bar, Workbench
from cellprism.workflow.config import config_of, read_config, write_config
from cellprism.workflow.sources import check_collections, settings_identity
from cellprism.workflow.steps import (
    Say,
    Step,
    check_needs,
    identity_of,
    keep_settings,
    perform,
    provenance,
    refuse_others,
)
from cellprism.workflow.training import cells_settings, prepare_cells, train, train_settings, trained


@cache
def steps() -> dict[str, Step]:
    """Every step by name, each after those it needs: the cells, the autoencoder, the installed studies."""
    base = (Step("cells", (), cells_settings, prepare_cells), Step("train", ("cells",), train_settings, train))
    return {step.name: step for step in (*base, *map(_step_of, studies().values()))}


def _step_of(study: Study) -> Step:
    def settings(config: CommonConfig) -> dict[str, object]:
        return {study.name: settings_identity(getattr(config, study.name)), "seed": config.seed}

    def work(bench: Workbench) -> list[Path]:
        return study.write(bench.folder_of(study.name), study.found_by(bench, bench.settings(study.name)))

    return Step(study.name, study.needs, settings, work, study.every_run)


def _opening(bench: Workbench, folder: Path) -> tuple[Callable[..., Workbench], tuple[Any, ...]]:
    """How a worker opens a run: its settings as they are asked for now lie in a folder that it sees."""
    write_text(folder / SETTINGS, write_config(bench.config, folder))
    return _on_worker, (str(bench.folder.resolve()), str(folder.resolve()), str(bench.device), bench.offline)


def _on_worker(run: str, settings: str, device: str, offline: bool) -> Workbench:
    """A run on a worker, which shows and says nothing."""
    config = read_config(Path(settings) / SETTINGS)
    where: dict[str, Any] = {"device": device, "offline": offline}
    return Workbench(Run.existing(Path(run)), config, _no_bar, harvest=on_worker, keeps=False, **where)


@contextmanager
def _no_bar(title: str, total: int | None):
    yield lambda done, words="": None


def start_run(
    config: CommonConfig,
    folder: Path,
    bar: Bar,
    say: Say,
    only: Iterable[str] | None = None,
    *,
    track: str = "",
    device: str = "",
    offline: bool = False,
    again: bool = False,
    cluster: str = "",
    dashboard: bool = False,
) -> None:
    """Do these steps of a configuration in a folder, skipping what is done.

    Of processes that train together (``sae.distributed``) the first one does all of it; the others help to train.

    Args:
        config: the settings.
        folder: the run folder.
        bar: makes progress bars.
        say: told what a person should know.
        only: names of steps, in order; those of every run where None.
        track: a tracker for the training, or none.
        device: where everything computes; empty: a GPU if there is one.
        offline: take models of the hub from the cache alone.
        again: make a run that is there again from other cells, another model or with other labels.
        cluster: where shards of studies are worked on, as ``parallel.cluster.engine_of``; empty: in this process.
        dashboard: show Dask's dashboard.

    Raises:
        InputError: the cells, the model or a setting will not do; nothing that was finished is lost.
        RunError: another process works on the folder, or it holds a run on other cells.
    """
    run = Run(folder)
    if not is_first():
        _help_training(Workbench(run, config, bar, say, track=track, device=device, offline=offline))
        return
    if only is None:
        check_collections(config)
    with _working(run, config, bar, say, cluster, dashboard, track=track, device=device, offline=offline) as bench:
        if not again:
            refuse_others(run, config, steps())
        for name in [step.name for step in steps().values() if step.every_run] if only is None else only:
            if name == "train" and processes() > 1:
                _call_for_help(bench)
            perform(steps()[name], bench, steps(), say)
            if name == "cells":  # not before: what cannot be read leaves no trace in the record
                keep_settings(run, config)


@contextmanager
def _working(
    run: Run, config: CommonConfig | None, bar: Bar, say: Say, cluster: str, dashboard: bool, **where: Any
) -> Iterator[Workbench]:
    """A run with these settings, or its own, while no other process works on its folder."""
    with engine_of(cluster, dashboard) as engine, run.locked():
        settings = config or config_of(run)
        bench = Workbench(run, settings, bar, say, engine=engine, opening=_opening, harvest=harvested, **where)
        yield bench
        forget(bench)  # where a step failed, its command goes on with them


def _call_for_help(bench: Workbench) -> None:
    """Tell the other processes, which wait for it, whether there is a training to share; what they read is there."""
    wanted = not bench.run.is_done("train", identity_of(steps()["train"], bench.config, steps()))
    if wanted:
        bench.cells_a_pass()
    anywhere(wanted)


def _help_training(bench: Workbench) -> None:
    """What a process does that is not the first: its share of the training, if there is one to do."""
    if anywhere(False):
        trained(bench)


def continue_run(
    folder: Path,
    step: str,
    config: CommonConfig | None,
    bar: Bar,
    say: Say,
    *,
    device: str = "",
    offline: bool = False,
    cluster: str = "",
    dashboard: bool = False,
) -> Path:
    """Do one more step of an existing run, with changed settings where ``config`` is given; else as ``start_run``.

    Raises:
        RunError: no run there, a step it needs is missing, or another process works on it.
    """
    run = Run.existing(folder)
    with _working(run, config, bar, say, cluster, dashboard, device=device, offline=offline) as bench:
        perform(steps()[step], bench, steps(), say)
        keep_settings(run, bench.config)  # only now: a step that failed leaves the run as it was
    return folder


def steer_one(
    folder: Path,
    feature: int,
    config: CommonConfig | None,
    bar: Bar,
    say: Say,
    *,
    device: str = "",
    offline: bool = False,
    cluster: str = "",
    dashboard: bool = False,
) -> Path:
    """Sweep one feature of an existing run, beside its programs; returns the folder of its doses.

    Raises:
        RunError: no run there, or its features were not turned into programs.
        ConfigError: there is no such feature.
    """
    from cellprism.studies.steer.work import steer_feature

    run = Run.existing(folder)
    with _working(run, config, bar, say, cluster, dashboard, device=device, offline=offline) as bench:
        check_needs(steps()["steer"], bench, steps())
        found = steer_feature(bench, bench.settings("steer"), feature)
        files = write_experiment(bench.folder_of("steer"), found)
        origin = provenance(steps()["steer"], bench)
        run.finish(f"steer {found.name}", identity_of(steps()["steer"], bench.config, steps()), files, **origin)
        return files[0].parent
