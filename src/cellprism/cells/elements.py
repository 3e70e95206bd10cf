"""The elements of AnnData on disk, of an .h5ad file and of a zarr folder alike, opened once their guards let them by.

HDF5 and zarr name their parts alike; what is read of one is read of the other. ``cells.hdf5`` and ``cells.zarr`` hold
the guards of what comes from elsewhere.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from cellprism.cells.hdf5 import datasets_of, refuse_bombs, refuse_foreign
from cellprism.cells.zarr import is_zarr, refuse_foreign_zarr, zarr_elements


@contextmanager
def elements_of(path: Path) -> Iterator[dict[str, Any]]:
    """The groups and arrays at the top of a file or folder that was judged before.

    Raises:
        CellsError: it is a zarr folder, and zarr is not installed.
        OSError: it cannot be opened.
    """
    if is_zarr(path):
        yield zarr_elements(path)
        return
    with h5py.File(path, "r") as file:
        yield dict(file.items())


@contextmanager
def judged_elements_of(path: Path, source: str) -> Iterator[dict[str, Any]]:
    """The same of a file or folder of unknown origin: what refers to other places is refused before it is opened.

    Raises:
        CellsError: it refers to other places, or is packed in a way that is not read here.
        OSError: it cannot be opened.
    """
    if is_zarr(path):
        refuse_foreign_zarr(path, source)
        yield zarr_elements(path)
        return
    with h5py.File(path, "r") as file:
        refuse_foreign(file, source)
        yield dict(file.items())


def refuse_large(elements: list[Any], source: str, *packed: int) -> None:
    """Stop where what is to be read is out of proportion to what is stored; of zarr that is asked when it is opened.

    Raises:
        CellsError: the sizes, and the largest part.
    """
    in_hdf5 = [element for element in elements if isinstance(element, h5py.Dataset | h5py.Group)]
    refuse_bombs([part for element in in_hdf5 for part in datasets_of(element)], source, *packed)


def is_array(element: Any) -> bool:
    """Whether an element is an array and no group."""
    return hasattr(element, "shape")


def held_by(group: Any) -> Mapping[str, Any]:
    """The elements of a group, by name; none of an array."""
    return {} if is_array(group) else {str(name): group[name] for name in group}
