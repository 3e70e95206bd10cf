"""HDF5 files of unknown origin: what their headers say is judged before any value is read.

- An HDF5 file can pull bytes of other files into its data sets: by links, external storage or virtual data sets. None
  of these is followed; a file that has one is refused by name.
- A few bytes of header can declare terabytes. What is declared must bear some relation to what is stored.
"""

import math
import os
from collections.abc import Iterable
from typing import Any

import h5py
import numpy as np
from h5py import h5l, h5o  # pyright: ignore[reportAttributeAccessIssue]

from cellprism.errors import CellsError

MOST_OBJECTS = 200_000
SMALL = 1 << 28
"""Bytes that may be declared whatever is stored."""
PACKED = 200
"""How many bytes a stored byte may stand for; counts packed by gzip reach 10, whole columns of one value more."""
PACKED_DENSE = 1000
"""The same for dense counts, most of which are zeros; they are read piece by piece."""
TEXT_BYTES = 80
"""What a text of variable length takes in memory, about."""
COPIES = "copy the values into the file: open it with a program that you trust and write it anew"


def refuse_foreign(file: h5py.File, source: str) -> None:
    """Stop where a file refers to other files.

    Raises:
        CellsError: it has soft or external links, external storage or virtual data sets; some are named.
    """
    found: list[str] = []
    seen: set[int] = set()
    stack: list[h5py.Group] = [file]
    while stack:
        group = stack.pop()
        if len(group) + len(seen) > MOST_OBJECTS:
            raise CellsError(source, [f"it holds more than {MOST_OBJECTS:,} objects; expected a few dozen"])
        for name in map(str, group):
            at = f"{str(group.name).rstrip('/')}/{name}"
            if link := _link(group, name):
                found.append(f"{at} is {link}")
                continue
            item = group[name]
            address = h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(item, h5py.Group):
                stack.append(item)
            elif isinstance(item, h5py.Dataset) and (foreign := _storage(item)):
                found.append(f"{at} {foreign}")
    if found:
        more = f" (and {len(found) - 5:,} more)" if len(found) > 5 else ""
        raise CellsError(source, [f"it refers to other places: {'; '.join(found[:5])}{more}; {COPIES}"])


def _link(group: h5py.Group, name: str) -> str:
    kind = group.id.links.get_info(name.encode()).type
    if kind == h5l.TYPE_HARD:
        return ""
    if kind == h5l.TYPE_SOFT:
        return f"a soft link to {group.id.links.get_val(name.encode()).decode(errors='replace')!r}"
    if kind == h5l.TYPE_EXTERNAL:
        return f"a link to another file ({group.id.links.get_val(name.encode())[0].decode(errors='replace')!r})"
    return "a link of an unknown kind"


def _storage(item: h5py.Dataset) -> str:
    created = item.id.get_create_plist()
    if created.get_layout() == h5py.h5d.VIRTUAL:
        return "is a virtual data set, made of other files"
    if created.get_external_count():
        return f"is stored in another file ({created.get_external(0)[0].decode(errors='replace')!r})"
    return ""


def datasets_of(element: h5py.Group | h5py.Dataset) -> list[h5py.Dataset]:
    """Every data set in an element of a file."""
    if isinstance(element, h5py.Dataset):
        return [element]
    return [
        part for item in element.values() if isinstance(item, h5py.Group | h5py.Dataset) for part in datasets_of(item)
    ]


def refuse_bombs(parts: Iterable[h5py.Dataset], source: str, packed: int = PACKED) -> None:
    """Stop where what is to be read is out of proportion to what is stored, or beyond this machine's memory.

    Raises:
        CellsError: the sizes, and the largest part.
    """
    parts = [part for part in parts if part.shape is not None]
    sizes = [_declared(part) for part in parts]
    total, stored = sum(sizes), sum(part.id.get_storage_size() for part in parts)
    if not parts or total <= SMALL:
        return
    largest = parts[int(np.argmax(np.array(sizes, dtype=np.float64)))]
    what = f"{largest.name} declares {' x '.join(f'{n:,}' for n in largest.shape)} values"
    if total > packed * max(stored, 1):
        raise CellsError(
            source,
            [f"{what}, {_bytes(total)} in all, but {_bytes(stored)} are stored; a file of cells is not packed like "
             "this, so it is damaged or made to exhaust memory"],
        )  # fmt: skip
    if packed == PACKED and total > memory():
        raise CellsError(
            source, [f"{what}; reading takes {_bytes(total)}, and this machine has {_bytes(memory())}: take some cells"]
        )


def refuse_contradictions(sparse: Any, shape: tuple[int, int], by_column: bool, source: str) -> None:
    """Stop where the three parts of a sparse matrix cannot belong to a matrix of this shape.

    Raises:
        CellsError: which lengths contradict each other.
    """
    lengths = {}
    for name in ("data", "indices", "indptr"):
        part = sparse[name]
        if not hasattr(part, "shape") or part.shape is None or part.ndim != 1:
            raise CellsError(source, [f"{sparse.name}/{name} is no row of values; expected a sparse matrix"])
        lengths[name] = part.shape[0]
    expected = shape[1 if by_column else 0] + 1
    if lengths["indptr"] != expected:
        raise CellsError(
            source,
            [f"{sparse.name} is {shape[0]:,} x {shape[1]:,}, but its indptr has {lengths['indptr']:,} entries "
             f"(expected {expected:,}): it contradicts itself, copy it again"],
        )  # fmt: skip
    indptr: Any = sparse["indptr"]
    end = int(indptr[-1])
    if not lengths["data"] == lengths["indices"] == end:
        raise CellsError(
            source,
            [f"{sparse.name} has {lengths['data']:,} values, {lengths['indices']:,} indices and an indptr that ends at "
             f"{end:,}; expected one number: it contradicts itself, copy it again"],
        )  # fmt: skip


def memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _declared(part: h5py.Dataset) -> int:
    text = h5py.check_vlen_dtype(part.dtype) or h5py.check_string_dtype(part.dtype)
    width = max(part.dtype.itemsize, TEXT_BYTES if text else 0)
    return math.prod(int(n) for n in part.shape) * width


def _bytes(count: int) -> str:
    n = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:,.0f} {unit}"
        n /= 1000
    return f"{n:,.0f} TB"
