"""Talk to the person at the terminal, on stderr; stdout is kept for data.

In a terminal and in a notebook a bar says how far a piece of work is and, where its end is known, about how long it
will take. In a log (a file, a batch job) a line a minute says the same.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

console = Console(stderr=True, highlight=False)
EVERY = 60.0
"""Seconds between two lines of a log."""


def say(text: str) -> None:
    """One message, without markup."""
    console.print(text, markup=False, soft_wrap=True)


@contextmanager
def bar(title: str, total: int | None) -> Iterator[Callable[..., None]]:
    """Progress of one piece of work; yields a function of (steps done, words to show).

    A bar with an estimate of what is left, or a spinner where the total is not known; lines where there is no terminal.
    """
    if not console.is_terminal:
        with _lines(title, total) as advance:
            yield advance
        return
    measured = (BarColumn(), MofNCompleteColumn()) if total else (SpinnerColumn(),)
    left = (TextColumn("about"), TimeRemainingColumn(), TextColumn("left")) if total else ()
    words = TextColumn("{task.fields[words]}")
    columns = (TextColumn("{task.description}"), *measured, TimeElapsedColumn(), *left, words)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=total, words="")

        def advance(done: int, words: str = "") -> None:
            progress.update(task, completed=done, words=words)

        yield advance


@contextmanager
def _lines(title: str, total: int | None) -> Iterator[Callable[..., None]]:
    """A line a minute, also while the work itself has nothing to tell; none for what takes less."""
    start, stopped = time.monotonic(), threading.Event()
    state: list[tuple[int, str]] = [(0, "")]

    def beat() -> None:
        while not stopped.wait(EVERY):
            say(progress_line(title, total, *state[0], time.monotonic() - start))

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield lambda done, words="": state.__setitem__(0, (done, words))
    finally:
        stopped.set()
        thread.join()


def progress_line(title: str, total: int | None, done: int, words: str, seconds: float) -> str:
    """How far a piece of work is, in words."""
    parts = [f"{title}: {in_words(seconds)}"]
    if total:
        parts.append(f"{done:,} of {total:,}")
        parts += [f"about {in_words(seconds / done * (total - done))} left"] if 0 < done < total else []
    elif done:
        parts.append(f"step {done:,}")
    return ", ".join([*parts, *filter(None, [words])])


def in_words(seconds: float) -> str:
    """A length of time: 45 s, 3 min, 2 h 5 min."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def download_bars() -> Iterator[Callable[[str, int, int], None]]:
    """A bar a file; yields a function of (name, bytes that have come, bytes there are or 0)."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        tasks = {}

        def told(name: str, done: int, size: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=size or None)
            progress.update(tasks[name], completed=done)

        yield told
