"""The gene list of every feature that fires as a GMT file, which enrichment tools and ``cp.read_gmt`` read."""

from pathlib import Path

from cellprism.errors import RunError
from cellprism.notebook.opened import OpenRun
from cellprism.notebook.slots import name_of
from cellprism.store.atomic import write_text
from cellprism.studies.programs.tables import lists_of, read


def write_gmt(run: OpenRun, out: Path) -> list[Path]:
    """One line a feature: ``feature 12``, what it is and where it comes from, its genes, strongest first.

    Raises:
        RunError: no feature has a gene list.
    """
    run.require("programs")
    lists = lists_of(read(run.folder / "programs"))
    if not lists:
        raise RunError(f"no feature of {run.folder} has a gene list")
    features = run.features
    lines = []
    for feature, genes in lists.items():
        what = f"{name_of(features, int(feature))} (cellprism, run {run.name})"
        lines.append("\t".join([f"feature {feature}", " ".join(what.split()), *genes]))
    write_text(out, "\n".join(lines) + "\n")
    return [out]
