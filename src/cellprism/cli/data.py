"""``cellprism data``: what data sets and ontologies there are, fetching them, checking a file."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cellprism.cli.options import Only, only_of
from cellprism.cli.talk import download_bars

data = App(name="data", help="Data sets: list, fetch, check.")


@data.command(name="list")
def list_() -> None:
    """Print the data sets, ontologies and annotations that can be used by name."""
    from cellprism.cells.datasets import DATASETS
    from cellprism.ontology.published import PUBLISHED

    for name, file in {**DATASETS, **PUBLISHED}.items():
        print(f"{name}\t{file.description}\t{file.licence}")


@data.command
def fetch(name: str, *, release: str = "", sha256: str = "") -> None:
    """Fetch a data set, an ontology or annotations by name; the checksum is pinned, or given for another release.

    Parameters
    ----------
    name
        A name from ``cellprism data list``.
    release
        Of ``go`` and ``goa_human``: another release than the pinned one, by its date, such as ``2024-01-17``.
    sha256
        The checksum that the file of that release must have.
    """
    from cellprism.cells.datasets import fetch_dataset, known_dataset
    from cellprism.errors import ConfigError
    from cellprism.ontology.published import PUBLISHED, released
    from cellprism.store.public_file import fetch_file

    if (release or sha256) and name not in PUBLISHED:
        raise ConfigError(f"{name} has one release; --release and --sha256 are for {' and '.join(PUBLISHED)}")
    with download_bars() as told:
        if name in PUBLISHED:
            file = PUBLISHED[name]
            path = fetch_file(released(file, release, sha256) if release or sha256 else file, told)
        else:
            path = fetch_dataset(known_dataset(name), told)
    print(path)


@data.command
def check(
    cells: str,
    *,
    model: str = "pbmc2",
    labels: str = "",
    counts: str = "",
    totals: str = "",
    only: Only = None,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Say whether cells can be used with a model, and how their genes map; lists everything that is wrong.

    Parameters
    ----------
    cells
        An .h5ad, .h5mu or 10x .h5 file, a .zarr or 10x matrix folder, a .csv manifest of several, or the
        name of a data set.
    model
        ``pbmc2``, a model folder, or a safetensors file.
    labels
        obs column with cell types.
    counts
        Which matrix of an .h5ad file holds raw counts: ``X`` (the default), ``layers/NAME`` or ``raw``.
    totals
        obs column with each cell's count over all genes, where the matrix holds only some.
    only
        Read only cells with this value of an obs column, as in ``--only cell_type=B``; may be given several times.
    json_
        Print JSON instead of text.
    """
    from cellprism.cells.read import check_cells
    from cellprism.models.registry import load_model

    source = str(Path(cells)) if Path(cells).exists() else cells
    found = check_cells(
        source, load_model(model), labels=labels or None, counts=counts or None, totals=totals or None,
        only=only_of(only),
    )  # fmt: skip
    print(json.dumps(found.to_json(), indent=2) if json_ else found)
