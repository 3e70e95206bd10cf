"""The large simulation as an ``.h5ad`` file, written and read block by block.

The data are one chunked matrix; the hidden variables lie beside it in the slots of an AnnData: ``obs`` (type,
covariate), ``obsm`` (x0, x1, x2, mask), ``varm`` (programs), ``uns`` (settings, type x program).
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from jaxtyping import Float
from torch import Tensor

from cellprism.errors import DamagedError, InputError
from cellprism.simulate.schuster_large import BLOCK, LargeSimulation
from cellprism.store.atomic import replacing

TABLES = ("x0", "x1", "x2", "mask")
GROUPS = ("type", "covariate")


def write_large(simulation: LargeSimulation, path: Path) -> None:
    """Write all cells; at no time is more than one block of data in memory."""
    s = simulation.settings
    with replacing(path) as scratch:
        _shell(simulation).write_h5ad(scratch)
        with h5py.File(scratch, "r+") as file:
            chunks = (min(BLOCK, s.cells), min(s.genes, 1000))
            x = file.create_dataset("X", (s.cells, s.genes), "float32", chunks=chunks, compression="lzf")
            x.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
            places = {"X": "y"} | {f"obsm/{name}": name for name in TABLES} | {f"obs/{name}": name for name in GROUPS}
            for block in simulation.blocks():
                rows = slice(block.start, block.start + len(block.y))
                for place, name in places.items():
                    _dataset(file, place)[rows] = np.asarray(getattr(block, name))


def _shell(simulation: LargeSimulation) -> AnnData:
    """Everything but the data, with room for what the blocks will tell."""
    s = simulation.settings
    groups = {name: np.zeros(s.cells, dtype=np.int64) for name in GROUPS}
    obs = pd.DataFrame(groups, index=pd.Index([f"cell{i}" for i in range(s.cells)], dtype=str))
    var = pd.DataFrame(index=pd.Index([f"gene{i}" for i in range(s.genes)], dtype=str))
    uns = {"simulation": {"settings": json.dumps(asdict(s)), "type_program": simulation.type_program}}
    shell = AnnData(obs=obs, var=var, uns=uns)
    for name in TABLES:
        shell.obsm[name] = np.zeros((s.cells, s.programs), dtype=np.float32)
    shell.varm["programs"] = simulation.programs.T
    return shell


def _dataset(file: h5py.File, place: str) -> h5py.Dataset:
    found = file[place]
    if not isinstance(found, h5py.Dataset):
        raise KeyError(f"{place} is no array")
    return found


def read_blocks(path: Path, size: int = BLOCK) -> Iterator[Float[Tensor, "cell gene"]]:
    """The data of a file that ``write_large`` wrote, ``size`` cells at a time.

    Raises:
        InputError: there is no such file.
        DamagedError: it is no such file, or a truncated one.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}; write it with write_large")
    try:
        with h5py.File(path, "r") as file:
            x = _dataset(file, "X")
            for start in range(0, x.shape[0], size):
                yield torch.from_numpy(x[start : start + size])
    except (OSError, KeyError) as error:
        raise DamagedError(f"{path} holds no simulated data ({error}); write it again with write_large") from error
