"""``cellprism encode``: features of any cells by a dictionary."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cellprism.cli.options import Cluster, Dashboard, Device, Offline


def encode(
    cells: str,
    *,
    with_: Annotated[Path, Parameter(name="--with")],
    out: Path,
    model: str = "",
    counts: str = "",
    totals: str = "",
    cluster: Cluster = "",
    dashboard: Dashboard = False,
    device: Device = "",
    offline: Offline = False,
    again: Annotated[bool, Parameter(help="Write over a file that is there.", negative="")] = False,
) -> None:
    """Features of any cells by a dictionary that was trained on others: cells x features, and how well they fit.

    Counts stay on disk, and what is done is kept: the same command goes on after an interruption.

    Parameters
    ----------
    cells
        Raw counts: an .h5ad file, a .csv manifest of several, or another kind that ``cellprism train`` takes.
    with_
        The dictionary: ``bundled:blood``, which comes with cellprism; a folder that ``cellprism share`` wrote; or a run
        folder.
    out
        The .h5ad file to write.
    model
        Where the dictionary's model is, if it does not come with cellprism.
    counts
        Which matrix of an .h5ad file holds raw counts: ``X`` (the default), ``layers/NAME`` or ``raw``.
    totals
        obs column with each cell's count over all genes, where the matrix holds only some.
    """
    from cellprism.cli.talk import bar, say
    from cellprism.workflow.encode import Where, encode_to

    where = Where(cluster, dashboard, device, offline)
    source = str(Path(cells)) if Path(cells).exists() else cells
    found = encode_to(
        out, source, with_, model=model, counts=counts or None, totals=totals or None, where=where, bar=bar, say=say,
        again=again,
    )  # fmt: skip
    print(out)
    say(
        f"{found.cells:,} cells: their features explain {found.explained:.3f} of their inner state, about the mean "
        f"that the dictionary was trained with; {found.l0:,.0f} features active in a cell"
    )
