"""What a long study has done so far, so that one that was stopped goes on: arrays in a hidden folder of the study's, a
file each, under a name that stands for all that decides them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from cellprism.store.atomic import discard, replacing
from cellprism.store.run import digest

Arrays = dict[str, np.ndarray]


class Shards:
    """Arrays that are kept until the study is done.

    Args:
        folder: of the study.
        identity: everything that decides what is computed; what was kept under another is removed.
    """

    def __init__(self, folder: Path, identity: Any):
        self.home, self.identity = folder / ".shards", digest(identity)
        self.folder = self.home / self.identity[:16]
        if self.home.is_dir():
            for other in self.home.iterdir():
                if other.is_dir() and other.name != self.folder.name:
                    shutil.rmtree(other)

    def kept(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """What was computed under this name, or is now."""
        path = self.folder / f"{name}.safetensors"
        if path.is_file():
            try:
                return load_file(path)
            except SafetensorError:  # damaged: computed again
                pass
        found = {key: np.ascontiguousarray(value) for key, value in make().items()}
        with replacing(path) as scratch:
            save_file(found, scratch)
        return found

    def rows(self, name: str, make: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """The same for rows of plain values."""

        def arrays() -> Arrays:
            return {"rows": np.frombuffer(json.dumps(make()).encode(), dtype=np.uint8)}

        return json.loads(self.kept(name, arrays)["rows"].tobytes())

    def clear(self) -> None:
        """Remove everything."""
        if self.home.is_dir():
            discard(self.home)
