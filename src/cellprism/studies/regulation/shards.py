"""Parts of a long measurement, kept on disk as they are done, so that one that was interrupted goes on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np

from cellprism.store.atomic import discard, replacing
from cellprism.store.run import digest

Arrays = dict[str, np.ndarray]


class Shards:
    """Parts in a folder, of one measurement: of another, they are done again.

    Args:
        folder: where they lie while the measurement goes on.
        identity: everything that decides it.
    """

    def __init__(self, folder: Path, identity: Any):
        self.folder, self.identity = folder, digest(identity)

    def done(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """A part, made where it is not there, or not readable."""
        path = self.folder / f"{self.identity[:16]}-{name}.npz"
        if path.is_file():
            try:
                with np.load(path, allow_pickle=False) as kept:
                    return {key: kept[key] for key in kept.files}
            except (OSError, ValueError, EOFError):
                path.unlink()
        made = make()
        with replacing(path) as scratch:
            np.savez(scratch, **cast(Any, made))
        return made

    def clear(self) -> None:
        """Remove them: the measurement is done."""
        if self.folder.is_dir():
            discard(self.folder)
