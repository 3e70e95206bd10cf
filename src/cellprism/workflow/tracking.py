"""Figures of a training sent to wandb or trackio, where somebody asks for it; they always go to ``metrics.jsonl``."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

from cellprism.errors import ConfigError

TRACKERS = ("wandb", "trackio")
Track = Callable[[int, Mapping[str, int | float]], None]


@contextmanager
def tracking(tracker: str, folder: Path, settings: Mapping[str, Any]) -> Iterator[Track]:
    """A function that logs a step's figures; it does nothing where no tracker is asked for.

    Args:
        tracker: ``wandb``, ``trackio``, or empty.
        folder: run folder; its name becomes the tracker's.
        settings: kept with it.

    Raises:
        ConfigError: there is no such tracker, it is not installed, or it does not start.
    """
    if not tracker:
        yield lambda step, figures: None
        return
    if tracker not in TRACKERS:
        raise ConfigError(f"there is no tracker {tracker!r}: expected {' or '.join(TRACKERS)}")
    try:
        module = import_module(tracker)
    except ImportError:
        raise ConfigError(f'{tracker} is not installed; install it with: pip install "cellprism[track]"') from None
    with redirect_stdout(sys.stderr):  # trackers print; what goes to stdout here is data
        try:
            module.init(project="cellprism", name=folder.name, config=dict(settings))
        except Exception as error:  # whatever the tracker raises, such as for a login that is missing
            raise ConfigError(f"{tracker} did not start: {error}; or train without --track") from error
        try:
            yield lambda step, figures: module.log(dict(figures), step=step)
        finally:
            module.finish()
