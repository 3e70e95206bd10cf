"""Talk to the person at the terminal, on stderr; stdout is kept for data."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """One message, without markup."""
    console.print(text, markup=False)


@contextmanager
def bar(title: str, total: int | None) -> Iterator[Callable[[int, str], None]]:
    """A progress bar; yields a function of (steps done, words to show)."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[words]}"),
    )
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        task = progress.add_task(title, total=total, words="")
        yield lambda done, words="": progress.update(task, completed=done, words=words)
