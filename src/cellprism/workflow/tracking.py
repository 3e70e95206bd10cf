"""Figures of a training sent to wandb or trackio, where somebody asks for it; they always go to ``metrics.jsonl``."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
        ConfigError: there is no such tracker, or it is not installed.
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
    module.init(project="cellprism", name=folder.name, config=dict(settings))
    try:
        yield lambda step, figures: module.log(dict(figures), step=step)
    finally:
        module.finish()
