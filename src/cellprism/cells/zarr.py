"""AnnData in a zarr folder of format 2 or 3: its elements, and what is refused of folders that came from elsewhere.

- Nothing but plain files and folders inside it is read; codecs are known ones, none of which runs what it reads.
- What its arrays declare must bear some relation to the bytes that are stored.
- Each array is opened by its own description, which was judged, and not by the copy of all of them that a store may
  hold (consolidated metadata).
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from cellprism.errors import CellsError, RunError
from cellprism.store.inside import check_plain

ROOT, ROOT_2, ARRAY_2 = "zarr.json", ".zgroup", ".zarray"
CODECS = {
    "bytes", "blosc", "zstd", "gzip", "crc32c", "transpose", "sharding_indexed", "vlen-utf8", "vlen-bytes",
    "zlib", "lz4", "bz2", "lzma", "shuffle", "delta",
}  # fmt: skip
PACKED = 1_000
"""How many bytes a stored byte may stand for."""
SMALL = 1 << 28
"""Bytes that may be declared whatever is stored."""
TEXT_BYTES = 80
"""What a text takes in memory, about."""


def is_zarr(path: Path) -> bool:
    """Whether a path is a folder that is called a zarr store."""
    return path.suffix.lower() == ".zarr" and path.is_dir()


def root_of(path: Path) -> Path:
    """The file that describes a whole store."""
    return path / (ROOT if (path / ROOT).is_file() else ROOT_2)


def zarr_elements(path: Path) -> dict[str, Any]:
    """The groups and arrays at the top of a store, by name.

    Raises:
        CellsError: zarr is not installed.
    """
    try:
        import zarr
    except ModuleNotFoundError as error:
        raise CellsError(str(path), ['reading it needs zarr: pip install "cellprism[zarr]"']) from error
    form = 3 if root_of(path).name == ROOT else 2
    group = zarr.open_group(str(path), mode="r", zarr_format=form, use_consolidated=False)
    return {name: group[name] for name in group}


def refuse_foreign_zarr(path: Path, source: str) -> None:
    """Stop where a store holds links or unknown codecs, or declares more than is stored.

    Raises:
        CellsError: what was found, and what to do.
    """
    try:
        check_plain(path)
    except RunError as error:
        raise CellsError(source, [str(error)]) from error
    if not root_of(path).is_file():
        lacks = f"it has no {ROOT} (zarr 3) and no {ROOT_2} (zarr 2)"
        raise CellsError(source, [f"{lacks}: it is truncated, damaged or not what its name says; copy it again"])
    declared = stored = 0
    for file in path.rglob("*"):
        stored += file.stat().st_size if file.is_file() else 0
        if file.name in (ROOT, ARRAY_2):
            declared += _declared(file, source)
    if declared > SMALL and declared > PACKED * stored:
        said = f"its arrays declare {declared / 1e9:,.1f} GB, but {stored / 1e6:,.1f} MB are stored"
        raise CellsError(
            source, [f"{said}; a store of cells is not packed like this: it is damaged or made to exhaust memory"]
        )


def _declared(file: Path, source: str) -> int:
    """Bytes that one array declares; 0 for a group."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        if file.name == ROOT and said["node_type"] != "array":
            return 0
        if unknown := _codecs(said) - CODECS:
            raise CellsError(
                source, [f"{file.parent} is packed by {', '.join(sorted(unknown))}, which is not read here"]
            )
        kind = said["dtype" if file.name == ARRAY_2 else "data_type"]
        width = np.dtype(kind).itemsize if isinstance(kind, str) and kind not in ("string", "|O") else TEXT_BYTES
        return math.prod(int(n) for n in said["shape"]) * (width or TEXT_BYTES)
    except (KeyError, TypeError, ValueError) as error:
        raise CellsError(source, [f"{file} is no description of an array ({error}); copy the store again"]) from error


def _codecs(said: dict[str, Any]) -> set[str]:
    """Names of the codecs of an array, those within shards among them."""
    if "codecs" not in said:  # of format 2
        listed = [*(said["filters"] or []), *([said["compressor"]] if said["compressor"] else [])]
        return {str(codec["id"]) for codec in listed}
    found = set()
    for codec in said["codecs"]:
        found.add(str(codec["name"]))
        inner = codec.get("configuration", {})
        for part in ("codecs", "index_codecs"):
            found |= _codecs({"codecs": inner.get(part, [])})
    return found
