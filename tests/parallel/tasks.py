"""Work that other processes can import."""

import os
import signal
from pathlib import Path

import numpy as np


def squares(task):
    """The squares of some numbers; thirteen is poison."""
    start, stop = task
    if start <= 13 < stop:
        raise ValueError("thirteen")
    return {"squares": np.arange(start, stop) ** 2}


def killed_once(task):
    """The same, after the process that is the first to come was killed in the middle of it."""
    start, stop, folder = task
    mark = Path(folder) / "killed"
    if start == 10 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"squares": np.arange(start, stop) ** 2}
