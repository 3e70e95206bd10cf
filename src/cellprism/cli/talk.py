"""Talk to the person at the terminal, on stderr; stdout is kept for data."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

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
