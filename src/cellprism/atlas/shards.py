"""How an atlas lies on disk: data as scripts, which load from a disk as well as from a server, and plain JSON beside.

- A shard ``data/NAME.js`` is one call, ``cellprism.shard("NAME", VALUE)``. Its JSON is ASCII, and not HTML: names that
  come from the data can end neither the call nor a tag.
- Long arrays are deflated and written in base 64: ``{"$": "u8", "n": length, "z": text}``.
- A site is made beside its place and moved there as a whole. A folder that holds anything else is never replaced.
"""

import base64
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cellprism.atlas.serve import Steers
from cellprism.errors import RunError
from cellprism.store.atomic import discard, scratch_beside
from cellprism.store.disk import writing

MARK = "atlas.json"
KINDS = {"u1": "u8", "u2": "u16", "u4": "u32", "i1": "i8", "i2": "i16", "i4": "i32", "f2": "f16", "f4": "f32"}


def packed(values: np.ndarray) -> dict[str, Any]:
    """An array of one of ``KINDS``, of any shape, as a JSON value; multi-byte numbers are little-endian."""
    kind = KINDS[values.dtype.str[1:]]
    data = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()
    return {"$": kind, "n": int(values.size), "z": base64.b64encode(zlib.compress(data, 6)).decode("ascii")}


def packed_text(lines: list[str]) -> dict[str, Any]:
    """Many short texts, deflated as one JSON list."""
    data = json.dumps(lines, ensure_ascii=True).encode("ascii")
    return {"$": "json", "n": len(lines), "z": base64.b64encode(zlib.compress(data, 6)).decode("ascii")}


def plain(value: Any) -> Any:
    """A value of numpy or pandas as JSON has it; numbers that are none become null, others keep six digits."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value.tolist()]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value


class SiteWriter:
    """Writes the shards of one site, and remembers how large they are."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.sizes: dict[str, int] = {}
        """Bytes of each file."""
        self.without_live = ""
        """Why the site has no live steering; empty where it has."""
        self.steering: Steers | None = None
        """What steers for its page where that cannot itself; None where nothing does."""

    def shard(self, name: str, value: Any) -> None:
        """Write ``data/NAME.js``."""
        text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        self._write(f"data/{name}.js", f"cellprism.shard({json.dumps(name)},{text});\n")

    def json(self, name: str, value: Any) -> None:
        """Write ``NAME.json``, for programs."""
        self._write(f"{name}.json", json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")

    def text(self, name: str, text: str) -> None:
        """Write a text file as it is."""
        self._write(name, text)

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self.sizes[name] = path.write_bytes(text.encode("utf-8"))


@contextmanager
def making_site(out: Path) -> Iterator[SiteWriter]:
    """A writer into a scratch folder that becomes ``out`` when all went well; an older atlas there is replaced.

    Raises:
        RunError: ``out`` holds something that is no atlas.
        DiskError: the disk is full or read-only.
    """
    refuse_others(out)
    with writing(out), scratch_beside(out) as scratch:
        site = scratch / "site"
        site.mkdir()
        yield SiteWriter(site)
        refuse_others(out)
        if out.is_dir():
            discard(out)
        site.rename(out)


def refuse_others(out: Path) -> None:
    """Raise ``RunError`` where there is anything but an atlas, an empty folder or nothing."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise RunError(f"{out} is no folder; choose another --out")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise RunError(f"{out} holds other things than an atlas, which would be removed; choose another --out")
