"""Plain threads that share a list of work.

Notable choices

- Each thread does its pieces from start to end, products included, with torch on one thread inside. Torch's own threads
  and numba's would be two teams on the same cores, where the one that has finished keeps spinning while the other works.
- Pieces are handed out as threads become free, so a core that someone else uses costs only its own share.
- As many threads as torch has, asked for anew each time. The caller's setting is not touched.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Barrier
from typing import Any

import torch

_pools: dict[int, ThreadPoolExecutor] = {}  # by number of threads
os.register_at_fork(after_in_child=_pools.clear)  # a forked process has the pools but not their threads


def slices(count: int, size: int = 256) -> list[slice]:
    """Neighbouring slices of at most ``size``, up to ``count``; the same whatever the number of threads."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def run(piece: Callable[[Any], None], pieces: Iterable[Any]) -> None:
    """Call ``piece`` with each of ``pieces``, on as many threads as torch has; returns when all are done.

    The first error of a piece is raised, once no piece is running.
    """
    queue = deque(pieces)
    threads = torch.get_num_threads()
    if threads == 1:
        _work(piece, queue)
        return
    pool = _pools.get(threads) or _pools.setdefault(threads, _started(threads))
    working = [pool.submit(_work, piece, queue) for _ in range(min(threads, len(queue)))]
    try:
        for future in working:
            future.result()
    finally:  # after Ctrl-C too, what the pieces write to belongs to the caller again
        queue.clear()
        wait(working)


def _work(piece: Callable[[Any], None], queue: deque[Any]) -> None:
    while True:
        try:
            next_one = queue.popleft()
        except IndexError:
            return
        piece(next_one)


def _started(threads: int) -> ThreadPoolExecutor:
    """A pool whose threads have all begun, each with torch on one thread inside."""
    everyone = Barrier(threads)

    def begin() -> None:
        torch.set_num_threads(1)  # of the thread that calls it, and of those that begin later
        everyone.wait()

    pool = ThreadPoolExecutor(threads, thread_name_prefix="cellprism")
    wait([pool.submit(begin) for _ in range(threads)])
    torch.set_num_threads(threads)  # those that begin later get the caller's setting again
    return pool
