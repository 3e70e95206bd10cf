"""The same work in several processes that train together."""

import signal
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from faults.forks import forked


def _member(to_parent: Connection, rank: int, world: int, meet: Path, work: Callable[..., Any], arguments: tuple):
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it may have been started with Ctrl-C ignored
    dist.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=world)
    try:
        to_parent.send(work(*arguments))
    except (Exception, KeyboardInterrupt) as error:
        to_parent.send(f"{type(error).__name__}: {error}")
    finally:
        dist.destroy_process_group()


def together(work: Callable[..., Any], *arguments: Any, world: int = 2) -> list[Any]:
    """What each process of a group returns from ``work(*arguments)``: words where it fails, None where it dies."""
    with tempfile.TemporaryDirectory() as folder:
        members = [forked(_member, rank, world, Path(folder) / "meet", work, arguments) for rank in range(world)]
        try:
            return [_received(messages) for _, messages in members]
        finally:
            for process, messages in members:
                process.kill()
                process.join()
                messages.close()


def _received(messages: Connection) -> Any:
    try:
        return messages.recv()
    except EOFError:
        return None
