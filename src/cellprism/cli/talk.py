"""Talk to the person at the terminal, on stderr; stdout is kept for data."""

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


def say(text: str) -> None:
    """One message, without markup."""
    console.print(text, markup=False, soft_wrap=True)


@contextmanager
def bar(title: str, total: int | None) -> Iterator[Callable[..., None]]:
    """A progress bar, or a spinner where the total is not known; yields a function of (steps done, words to show)."""
    measured = (BarColumn(), MofNCompleteColumn()) if total else (SpinnerColumn(),)
    columns = (TextColumn("{task.description}"), *measured, TimeElapsedColumn(), TextColumn("{task.fields[words]}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=total, words="")

        def advance(done: int, words: str = "") -> None:
            progress.update(task, completed=done, words=words)

        yield advance


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
