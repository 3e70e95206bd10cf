"""Shards as programs read them."""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

DTYPES = {"u8": "u1", "u16": "<u2", "u32": "<u4", "i8": "i1", "i16": "<i2", "i32": "<i4", "f16": "<f2", "f32": "<f4"}


def shard(site: Path, name: str) -> Any:
    """What a shard holds; it must be one call with JSON in it."""
    text = (site / "data" / f"{name}.js").read_text(encoding="ascii")
    head = f"cellprism.shard({json.dumps(name)},"
    assert text.startswith(head)
    assert text.endswith(");\n")
    return json.loads(text[len(head) : -3])


def unpacked(value: dict[str, Any]) -> Any:
    """A packed array, or a packed list of texts."""
    data = zlib.decompress(base64.b64decode(value["z"]))
    found = json.loads(data) if value["$"] == "json" else np.frombuffer(data, DTYPES[value["$"]])
    assert len(found) == value["n"]
    return found
