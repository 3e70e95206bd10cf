"""What a long study of a run has done so far, in a hidden folder of the study's: one that was stopped goes on."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cellprism.parallel.shards import ShardFolder, as_json, from_json
from cellprism.store.identity import identity_of_path
from cellprism.store.run import digest
from cellprism.studies.workbench import Workbench

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
        return from_json(self.kept(name, lambda: as_json(make())))


def shards_of(
    bench: Workbench, study: str, needs: Iterable[str], settings: Any, files: Iterable[str] = (), **more: Any
) -> Shards:
    """The shards of a study of a run: others where a step that it needs, a setting, or a file was another one.

    Args:
        bench: the run.
        study: its name.
        needs: steps whose results it reads.
        settings: as far as they decide what is in the shards.
        files: those that the settings name and the shards depend on, by their content; an empty name is none.
        more: what decides them besides.
    """
    steps = bench.run.state["steps"]
    built = {name: steps.get(name, {}).get("identity", "") for name in needs}
    contents = [identity_of_path(Path(name).expanduser()) for name in files if name]
    asked = {"settings": repr(settings), "files": contents, "seed": bench.config.seed, "layer": bench.config.layer}
    return Shards(bench.folder_of(study), {**built, **asked, **more})
