"""How far work over shards has come, and how fast it goes."""

import time
from collections.abc import Callable


class Pace:
    """Counts what is made.

    Args:
        unit: what is counted, such as ``cells``.
        advance: told of how much is made, and of the pace in words.
        clock: seconds, from any moment.
    """

    def __init__(
        self,
        unit: str,
        advance: Callable[[int, str], None] = lambda made, words: None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.unit, self.advance, self.clock = unit, advance, clock
        self.made, self.began = 0, clock()

    def step(self, size: int) -> None:
        """Count in what was just made."""
        self.made += size
        self.advance(self.made, str(self))

    def __str__(self) -> str:
        seconds = self.clock() - self.began
        return f"{self.made / seconds:,.3g} {self.unit}/s" if self.made and seconds > 0 else ""
