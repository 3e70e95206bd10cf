"""Rows of plain values among what a study has done so far (``parallel.shards``)."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from cellprism.parallel.shards import ShardFolder


def kept_rows(shards: ShardFolder, name: str, make: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Rows that were made under this name, or are now."""

    def arrays() -> dict[str, np.ndarray]:
        return {"rows": np.frombuffer(json.dumps(make()).encode(), dtype=np.uint8)}

    return json.loads(shards.kept(name, arrays)["rows"].tobytes())
