"""Processes that begin at once, forked from one that has imported everything already."""

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["faults.warm"])


def forked(target: Callable[..., None], *arguments: Any) -> tuple[BaseProcess, Connection]:
    """A process that calls ``target(to_parent, *arguments)``, and what it sends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
        forkserver.ensure_running()  # with the tests on its path
    messages, to_parent = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=target, args=(to_parent, *arguments), daemon=True)
    process.start()
    to_parent.close()
    return process, messages
