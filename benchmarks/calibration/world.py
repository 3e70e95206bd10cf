"""What a world is, and how its verdicts are drawn and kept."""

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
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
        return _hash([list(self.counts(most)), self.nominal, self.claims, inspect.getsource(self.verdicts)])

    def origin(self) -> str:
        """Hash of all that decides a replicate, but for the code of the studies: the module that plants the world."""
        where = inspect.getmodule(self.verdicts)
        return _hash([self.name, inspect.getsource(where or self.verdicts), inspect.getsource(self.verdicts)])


def _hash(said: list) -> str:
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


class Kept:
    """Verdicts that were drawn, one a line of a file, so that more replicates go on from there."""

    def __init__(self, path: Path):
        self.path, self.said = path, {}
        for line in path.read_text().splitlines() if path.exists() else ():
            row = json.loads(line)
            self.said[(row["origin"], row["seed"], row["size"])] = row["verdicts"]

    def verdicts(self, world: World, seed: int, size: float) -> dict[str, str]:
        """Those of one replicate, drawn where they are not there yet."""
        key = (world.origin(), seed, size)
        if key not in self.said:
            self.said[key] = world.verdicts(seed, size)
            row = {"origin": key[0], "seed": seed, "size": size, "verdicts": self.said[key]}
            with self.path.open("a") as file:
                file.write(json.dumps(row) + "\n")
        return self.said[key]


def run(world: World, most: int, kept: Kept, tick: Callable[[], Any]) -> dict[float, dict[str, list[str]]]:
    """size -> key -> the verdicts of all replicates, no two of which share a seed."""
    found: dict[float, dict[str, list[str]]] = {}
    for place, (size, replicates) in enumerate(world.counts(most)):
        found[size] = {key: [] for key in world.claims}
        for number in range(replicates):
            said = kept.verdicts(world, APART * place + number, size)
            for key in world.claims:
                found[size][key].append(said[key])
            tick()
    return found
