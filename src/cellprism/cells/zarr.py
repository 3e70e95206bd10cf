"""AnnData in a zarr folder of format 3, sharded or not: its elements, and what is refused of folders of unknown origin.

- Nothing but plain files and folders inside it is read; codecs are known ones, none of which runs what it reads.
- What its arrays declare must bear some relation to the bytes that are stored.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from cellprism.errors import CellsError, RunError
from cellprism.store.inside import check_plain

ROOT = "zarr.json"
CODECS = {
    "bytes", "blosc", "zstd", "gzip", "crc32c", "transpose", "sharding_indexed", "vlen-utf8", "vlen-bytes",
}  # fmt: skip
PACKED = 1_000
"""How many bytes a stored byte may stand for."""
SMALL = 1 << 28
"""Bytes that may be declared whatever is stored."""
TEXT_BYTES = 80
"""What a text takes in memory, about."""


def is_zarr(path: Path) -> bool:
    """Whether a path is a folder that is called a zarr store."""
    return path.suffix == ".zarr" and path.is_dir()


def zarr_elements(path: Path) -> dict[str, Any]:
    """The groups and arrays at the top of a store, by name."""
    try:
        import zarr
    except ModuleNotFoundError as error:
        raise CellsError(str(path), ["zarr folders need zarr, which is not installed: pip install zarr"]) from error
    group = zarr.open_group(str(path), mode="r", zarr_format=3)
    return {name: group[name] for name in group}


def refuse_foreign_zarr(path: Path, source: str) -> None:
    """Stop where a store is of another format, holds links, unknown codecs, or declares more than is stored.

    Raises:
        CellsError: what was found, and what to do.
    """
    try:
        check_plain(path)
    except RunError as error:
        raise CellsError(source, [str(error)]) from error
    if not (path / ROOT).is_file():
        wanted = "expected zarr of format 3; write it anew: anndata.settings.zarr_write_format = 3"
        raise CellsError(source, [f"it has no {ROOT}: {wanted}"])
    declared = stored = 0
    for file in path.rglob("*"):
        stored += file.stat().st_size if file.is_file() else 0
        if file.name == ROOT:
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
        if said["node_type"] != "array":
            return 0
        if unknown := _codecs(said["codecs"]) - CODECS:
            raise CellsError(
                source, [f"{file.parent} is packed by {', '.join(sorted(unknown))}, which is not read here"]
            )
        kind = said["data_type"]
        width = np.dtype(kind).itemsize if isinstance(kind, str) and kind != "string" else TEXT_BYTES
        return math.prod(int(n) for n in said["shape"]) * (width or TEXT_BYTES)
    except (KeyError, TypeError, ValueError) as error:
        raise CellsError(source, [f"{file} is no description of an array ({error}); copy the store again"]) from error


def _codecs(listed: list[dict[str, Any]]) -> set[str]:
    """Names of codecs, those within shards among them."""
    found = set()
    for codec in listed:
        found.add(str(codec["name"]))
        inner = codec.get("configuration", {})
        for part in ("codecs", "index_codecs"):
            found |= _codecs(inner.get(part, []))
    return found
