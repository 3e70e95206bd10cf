"""Cells with the run's features in named slots, as AnnData (h5ad, zarr) or MuData (h5mu)."""

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import pandas as pd
from anndata import AnnData

from cellprism.errors import InputError
from cellprism.notebook import tl
from cellprism.notebook.opened import OpenRun
from cellprism.notebook.slots import KEY
from cellprism.store.atomic import replacing
from cellprism.store.disk import writing
from cellprism.store.h5ad import write_h5ad

ENDINGS = (".h5ad", ".zarr", ".h5mu")


def write_cells(run: OpenRun, out: Path, into: str | Path = "", key: str = KEY) -> list[Path]:
    """Write cells with the slots of ``notebook.slots``.

    Args:
        run: the run.
        out: a file that ends in ``.h5ad``; in ``.zarr`` (extra ``zarr``); or in ``.h5mu`` (extra ``mudata``), with the
            cells as modality ``rna`` and cells x features as modality ``features``.
        into: an .h5ad file of yours with the run's cells, of which everything is kept; the run's own cells by default.
        key: name of the slots.

    Raises:
        InputError: another ending, or a library that is not installed.
        CellsError: cells of ``into`` are not among the run's.
    """
    if out.suffix not in ENDINGS:
        raise InputError(f"{out} ends in {out.suffix or 'nothing'}; expected one of {', '.join(ENDINGS)}")
    cells = _yours(Path(into)) if into else run.cells.copy()
    tl.from_run(cells, run, key=key)
    if out.suffix == ".h5ad":
        write_h5ad(out, cells)
    elif out.suffix == ".zarr":
        _write_zarr(cells, out)
    else:
        _write_mudata(cells, run.cell_features[cells.obs_names].copy(), out)
    return [out]


def _yours(path: Path) -> AnnData:
    from cellprism.studies.files import read_h5ad

    if not path.is_file():
        raise InputError(f"there is no file {path} to write the features into")
    return read_h5ad(path)


def _write_zarr(cells: AnnData, out: Path) -> None:
    if find_spec("zarr") is None:
        raise InputError('zarr is not installed: pip install "cellprism[zarr]"')
    if out.exists():
        raise InputError(f"{out} is there already; remove it, or choose another name")
    with writing(out), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of anndata, about what its next version will do
        cells.write_zarr(out)


def _write_mudata(cells: AnnData, features: AnnData, out: Path) -> None:
    try:
        import mudata
    except ModuleNotFoundError as error:
        raise InputError('MuData is not installed: pip install "cellprism[mudata]"') from error
    features.var_names = [f"feature {name}" for name in features.var_names]
    var = cast(pd.DataFrame, features.var)
    features = AnnData(features.X, obs=pd.DataFrame(index=features.obs_names), var=var)
    with replacing(out) as scratch, mudata.set_options(pull_on_update=False):
        held: Any = mudata.MuData({"rna": cells, "features": features})
        held.write(scratch)
