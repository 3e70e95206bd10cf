"""What a world is, and how its verdicts are counted."""

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

ABOVE, BELOW, AT, UNTOLD = "above chance", "below chance", "at chance", "cannot be told here"
APART = 1_000_000  # between the seeds of two sizes


@dataclass(frozen=True)
class World:
    """Planted data, and the claims that are judged in each replicate."""

    name: str
    claims: dict[str, str]
    """Key of a verdict -> the kind of claim."""
    null: str
    """One sentence: what the world is, and why the null hypothesis holds in it."""
    verdicts: Callable[[int, float], dict[str, str]]
    """(seed, planted size) -> key -> verdict, by the functions of the studies. At size 0 the null hypothesis holds."""
    sizes: tuple[float, float, float]
    """Planted sizes at which power is measured, the largest last."""
    planted: str
    """What the sizes mean."""
    replicates: int
    """At size 0."""
    power_replicates: int
    """At each other size."""
    nominal: float = 0.025
    """The share that may be called above, and below, where the null hypothesis holds."""

    def counts(self, most: int) -> Iterator[tuple[float, int]]:
        """Each size with its replicates, the null world first; at most so many there, and half as many elsewhere."""
        yield 0.0, min(self.replicates, most)
        for size in self.sizes:
            yield size, min(self.power_replicates, -(-most // 2))

    def settings(self, most: int) -> str:
        """Hash of all that decides the world's rows."""
        said = [list(self.counts(most)), self.nominal, self.claims, inspect.getsource(self.verdicts)]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def run(world: World, most: int, tick: Callable[[], Any]) -> dict[float, dict[str, list[str]]]:
    """size -> key -> the verdicts of all replicates, no two of which share a seed."""
    found: dict[float, dict[str, list[str]]] = {}
    for place, (size, replicates) in enumerate(world.counts(most)):
        found[size] = {key: [] for key in world.claims}
        for number in range(replicates):
            said = world.verdicts(APART * place + number, size)
            for key in world.claims:
                found[size][key].append(said[key])
            tick()
    return found
