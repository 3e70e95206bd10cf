"""Cells that are made rather than read: a name such as ``planted:small`` goes to what makes cells of that kind.

A kind is one function, from the words behind the colon to an AnnData of counts, under the entry point group
``cellprism.cells``. The same words give the same cells.
"""

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from anndata import AnnData

GROUP = "cellprism.cells"


@cache
def kinds() -> dict[str, EntryPoint]:
    """What makes cells, by the word before the colon."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def is_made(name: str) -> bool:
    """Whether a name stands for cells that are made."""
    kind, colon, _ = name.partition(":")
    return bool(colon) and kind in kinds()


def made_cells(name: str) -> AnnData:
    """The cells that such a name stands for. Errors are those of what makes them."""
    kind, _, words = name.partition(":")
    return kinds()[kind].load()(words)
