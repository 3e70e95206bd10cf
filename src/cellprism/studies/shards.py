"""What a long study of a run has done so far, in a hidden folder of the study's: one that was stopped goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cellprism.parallel.shards import Arrays, ShardFolder
from cellprism.store.run import digest

SHARDS = ".shards"


class Shards(ShardFolder):
    """Results that are kept until the study is done.

    Args:
        folder: of the study.
        identity: everything that decides what is computed; what was kept under another is removed.
    """

    def __init__(self, folder: Path, identity: Any):
        super().__init__(folder / SHARDS, digest(identity))

    @classmethod
    def existing(cls, folder: Path, identity: Any) -> "Shards | None":
        """What another process keeps there under an identity; None where there is nothing."""
        return cls(folder, identity) if (folder / SHARDS / digest(identity)[:16]).is_dir() else None

    def rows(self, name: str, make: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Rows of plain values that were found under a name, or are now."""

        def arrays() -> Arrays:
            return {"rows": np.frombuffer(json.dumps(make()).encode(), dtype=np.uint8)}

        return json.loads(self.kept(name, arrays)["rows"].tobytes())
