"""``cellprism export``: a run's results for other programs."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def export(
    run: Path,
    *,
    to: Literal["anndata", "gmt", "neuronpedia", "parquet", "saelens"],
    out: Path,
    into: str = "",
    of: Literal["cells", "features"] | None = None,
    centred: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Write what a run found in a form that another program reads, and print the files.

    Parameters
    ----------
    run
        The run folder.
    to
        ``anndata`` (out: .h5ad, .zarr or .h5mu), ``gmt``, ``neuronpedia`` (out: a folder), ``parquet`` for
        embedding-atlas, ``saelens`` (out: a folder).
    out
        The file or folder to write.
    into
        anndata: your own .h5ad file with the run's cells; everything in it is kept. Default: the run's cells.
    of
        parquet: a row a cell (default) or a row a feature.
    centred
        saelens: write an autoencoder that takes a mean off for each gene as one that reads vectors without these means.
    """
    from cellprism.notebook.exports.export import export as write

    asked = {"into": into, "of": of, "centred": centred}
    for path in write(run, to, out, **{name: value for name, value in asked.items() if value}):
        print(path)
