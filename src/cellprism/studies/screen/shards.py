"""What a screen has done so far, so that one that was stopped goes on: arrays in a hidden folder of the study's, a file
each, under a name that stands for all that decides them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from cellprism.store.atomic import discard, replacing

Arrays = dict[str, np.ndarray]


class Shards:
    """Arrays that are kept until the study is done.

    Args:
        folder: of the study.
        identity: of everything that decides what is computed; what others left is removed.
    """

    def __init__(self, folder: Path, identity: str):
        self.home = folder / ".shards"
        self.folder = self.home / identity[:16]
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

    def done(self, name: str) -> bool:
        """Whether it is there already."""
        return (self.folder / f"{name}.safetensors").is_file()

    def clear(self) -> None:
        """Remove everything."""
        if self.home.is_dir():
            discard(self.home)
