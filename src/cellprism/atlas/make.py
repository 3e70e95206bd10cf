"""From a run folder to its atlas, with the model of the run where it is small enough and at hand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellprism.atlas.cell_map import CellMap
from cellprism.atlas.serve import Steers
from cellprism.atlas.shards import MARK, SiteWriter, making_site
from cellprism.atlas.site import Asked, run_tables, write_shards
from cellprism.display import command
from cellprism.errors import DamagedError, InputError
from cellprism.ontology.collection import Collection
from cellprism.ontology.read import read_collection
from cellprism.store.run import SETTINGS, Run
from cellprism.studies.files import fitting
from cellprism.workflow.publish import ATLAS, write_report

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
    steering: Steers | None = None
    """What steers for the page where it cannot itself, and a server was asked for."""

    @property
    def words(self) -> str:
        """One line for a person."""
        said = (
            f"{self.files:,} files, {self.bytes / 1e6:.1f} MB; the first view takes {self.first / 1e6:.2f} MB, a "
            f"feature at most {self.largest_feature / 1e3:.0f} kB"
        )
        if self.without_live:
            return f"{said}. {self.without_live}"
        return f"{said}; " + ("this process steers the model" if self.steering else "live steering rides along")


def make_atlas(
    run: Path,
    out: Path | None,
    bar: Any,
    *,
    live: bool = True,
    served: bool = False,
    beside: Path | None = None,
    own_map: str = "",
) -> Made:
    """Write the atlas of a run.

    Args:
        run: the run folder; nothing in it is changed but its atlas and the link of its report to it.
        out: the site's folder, where an older atlas is replaced; None: ``site`` in the run folder, to which the run's
            report leads then.
        bar: makes progress bars.
        live: whether a model steers; it is taken from the disk or the cache, never fetched.
        served: whether a model that the page cannot run may be asked of a server, which ``Made.steering`` answers.
        beside: another run, whose features are matched with those of this one.
        own_map: name in ``obsm`` of the map of cells to show.

    Raises:
        RunError: no run there, it has no programs, or ``out`` holds something else than an atlas.
        InputError: there is no such map.
        DamagedError: a file is missing, or is no longer what its step wrote.
    """

    def write_live(writer: SiteWriter, places: CellMap | None) -> str:
        return _live(writer, run, places, bar, served) if live else NOT_ASKED

    with making_site(run / Path(ATLAS).parent if out is None else out) as site:
        tables = run_tables(run)
        asked = Asked(write_live, run_tables(beside) if beside else None, own_map, _collection(run))
        with bar("writing the atlas", None), fitting(f"run {run}", command("run", run / SETTINGS, "--out", run)):
            write_shards(site, tables, asked)
        sizes, without, steering = site.sizes, site.without_live, site.steering
    if out is None:
        write_report(run)
    pages = [size for name, size in sizes.items() if name.startswith("data/features/")]
    first = sum(sizes.get(name, 0) for name in FIRST)
    return Made(len(sizes), sum(sizes.values()), first, max(pages, default=0), without, steering)


def _collection(run: Path) -> Collection | None:
    """Gene sets of a run's programs; None where they are not at hand any more."""
    from cellprism.workflow.config import config_of, section

    try:
        return read_collection(section(config_of(Run(run)), "programs").collection)
    except (InputError, DamagedError, OSError):
        return None


def _live(site: SiteWriter, run: Path, places: CellMap | None, bar: Any, served: bool) -> str:
    """Live steering, or why there is none: a run that came without its model is browsed all the same.

    Where the page cannot run the model and is ``served``, ``site.steering`` is what can.
    """
    from cellprism.atlas.live import write_live
    from cellprism.atlas.steering import Steering
    from cellprism.studies.workbench import Workbench
    from cellprism.workflow.config import config_of

    try:
        found = Run(run)
        bench = Workbench(found, config_of(found), bar, device="cpu", offline=True)
        why = write_live(site, bench, places)
        if not why or not served or places is None:
            return why
        steering = Steering(bench)
        steering.write(site, places)
        site.steering = steering
    except (InputError, DamagedError) as error:
        return f"No live steering here: {error}"
    return ""


def is_atlas(folder: Path) -> bool:
    """Whether a folder is an atlas already."""
    return (folder / MARK).is_file() and (folder / "index.html").is_file()
