"""Plain threads that share a list of work.

Notable choices

- Each thread does its pieces from start to end, products included, with torch on one thread inside. Torch's own
  threads and numba's would be two teams on the same cores: the one that has finished spins while the other works.
- Pieces are handed out as threads become free, so a core that someone else uses costs only its own share.
- As many threads as torch has, asked for anew each time. The caller's setting is not touched.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from threading import Barrier
from typing import Any

import torch

WORTH = 1 << 19  # multiplications that take much longer than handing them out
MOST = 64  # pieces of one job
_pools: dict[int, ThreadPoolExecutor] = {}  # by number of threads
os.register_at_fork(after_in_child=_pools.clear)  # a forked process has the pools but not their threads


def shares(count: int, work: int) -> list[slice]:
    """Neighbouring slices up to ``count``, as many as are worth handing out; the same whatever the number of threads.

    Args:
        count: of rows or tokens.
        work: multiplications in all.
    """
    pieces = min(count, MOST, max(1, work // WORTH))
    cuts = [count * i // pieces for i in range(pieces + 1)] if count else []
    return [slice(a, b) for a, b in pairwise(cuts)]


def run(piece: Callable[[Any], None], pieces: Iterable[Any], with_torch: bool = False) -> None:
    """Call ``piece`` with each of ``pieces``, on as many threads as torch has; returns when all are done.

    The first error of a piece is raised, once no piece is running.

    Args:
        piece: what is to be done.
        pieces: to what.
        with_torch: whether that uses torch, whose results could depend on the number of threads it has itself. A single
            piece without is not worth another thread.
    """
    queue = deque(pieces)
    threads = torch.get_num_threads()
    if threads == 1 or (len(queue) == 1 and not with_torch):
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
        torch.get_num_threads()  # at its first question a thread gets the number set last, by whichever thread
        torch.set_num_threads(1)
        everyone.wait()

    pool = ThreadPoolExecutor(threads, thread_name_prefix="cellprism")
    wait([pool.submit(begin) for _ in range(threads)])
    torch.set_num_threads(threads)  # set last again: that of threads that begin later
    return pool
