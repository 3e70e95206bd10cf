"""From a run folder to its atlas, with the model of the run where it is small enough and at hand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellprism.atlas.cell_map import CellMap
from cellprism.atlas.shards import MARK, SiteWriter, making_site
from cellprism.atlas.site import run_tables, write_shards
from cellprism.errors import DamagedError, InputError
from cellprism.store.run import Run

NOT_ASKED = "This atlas was made without the model (--no-live)."
FIRST = ("index.html", "assets/atlas.js", "assets/atlas.css", "data/index.js", "data/cells.js")
"""Files of the first view."""


@dataclass(frozen=True)
class Made:
    """What was made."""

    files: int
    bytes: int
    first: int
    """Bytes of the first view."""
    largest_feature: int
    without_live: str
    """Why there is no live steering; empty where there is."""

    @property
    def words(self) -> str:
        """One line for a person."""
        said = (
            f"{self.files:,} files, {self.bytes / 1e6:.1f} MB; the first view takes {self.first / 1e6:.2f} MB, a "
            f"feature at most {self.largest_feature / 1e3:.0f} kB"
        )
        return f"{said}. {self.without_live}" if self.without_live else f"{said}; live steering rides along"


def make_atlas(run: Path, out: Path, bar: Any, *, live: bool = True) -> Made:
    """Write the atlas of a run into ``out``.

    Args:
        run: the run folder; nothing in it is changed.
        out: the site's folder; an older atlas there is replaced.
        bar: makes progress bars.
        live: whether a small model rides along; it is taken from the disk or the cache, never fetched.

    Raises:
        RunError: no run there, it has no programs, or ``out`` holds something else than an atlas.
        DamagedError: a file is missing, or is no longer what its step wrote.
    """
    with making_site(out) as site:
        tables = run_tables(run)
        with bar("writing the atlas", None):
            write_shards(site, tables, lambda writer, places: _live(writer, run, places, bar) if live else NOT_ASKED)
        sizes, without = site.sizes, site.without_live
    pages = [size for name, size in sizes.items() if name.startswith("data/features/")]
    first = sum(sizes.get(name, 0) for name in FIRST)
    return Made(len(sizes), sum(sizes.values()), first, max(pages, default=0), without)


def _live(site: SiteWriter, run: Path, places: CellMap | None, bar: Any) -> str:
    """Live steering, or why there is none: a run that came without its model is browsed all the same."""
    from cellprism.atlas.live import write_live
    from cellprism.studies.workbench import Workbench
    from cellprism.workflow.steps import config_of

    try:
        found = Run(run)
        return write_live(site, Workbench(found, config_of(found), bar, device="cpu", offline=True), places)
    except (InputError, DamagedError) as error:
        return f"No live steering here: {error}"


def is_atlas(folder: Path) -> bool:
    """Whether a folder is an atlas already."""
    return (folder / MARK).is_file() and (folder / "index.html").is_file()
