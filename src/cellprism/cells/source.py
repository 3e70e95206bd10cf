"""From what the user names to cells: a data set, a file, a folder, or an AnnData in memory."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from zlib import error as ZlibError

import numpy as np
from anndata import AnnData
from anndata._io.specs.registry import IORegistryError  # what a newer kind of file raises

from cellprism.cells.datasets import DATASETS, DataSet, dataset_file
from cellprism.cells.h5ad import from_anndata, read_anndata
from cellprism.cells.made import is_made, made_cells
from cellprism.cells.modalities import only_genes
from cellprism.cells.mudata import genes_of_mudata, is_mudata, read_mudata_file
from cellprism.cells.names import plain_names
from cellprism.cells.raw import RawCells, near
from cellprism.cells.several import files_of_manifest, is_manifest, read_several
from cellprism.cells.tenx import matrix_files, read_10x_folder, read_10x_h5
from cellprism.cells.unpack import TooLarge, refuse_no_file
from cellprism.cells.zarr import is_zarr
from cellprism.errors import CellsError

IN_MEMORY = "the AnnData in memory"
IN_ANNDATA = "put a matrix into one: anndata.AnnData(counts, obs=..., var=...)"
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/+[^/]", re.IGNORECASE)
FORMATS = "an .h5ad, .h5mu or 10x .h5 file, a .zarr or 10x matrix folder, a .csv manifest of several"
OTHER_KINDS = {
    ".hdf5": "if it is AnnData, rename it to end in .h5ad; if it is 10x output, in .h5",
    ".mtx": "pass the folder that holds matrix.mtx, barcodes.tsv and features.tsv",
    ".loom": "convert it: anndata.io.read_loom(...).write_h5ad(...)",
    ".csv": "convert it: anndata.io.read_csv(...).write_h5ad(...); a manifest of several files has a column 'file'",
    ".tsv": "convert it: anndata.io.read_text(...).write_h5ad(...)",
    ".txt": "convert it: anndata.io.read_text(...).write_h5ad(...)",
    ".rds": "convert the Seurat or SingleCellExperiment object to .h5ad in R, for example with zellkonverter",
    ".gz": "unpack it first",
    ".zip": "unpack it first",
    ".tar": "unpack it first and pass the folder with matrix.mtx",
}

# What h5py, anndata, gzip and SciPy raise on broken files. For an object that it cannot open, h5py answers
# None, on which anndata stumbles.
BROKEN = (
    OSError, EOFError, KeyError, ValueError, RuntimeError, ZlibError, AttributeError, TypeError, OverflowError,
)  # fmt: skip
UNREADABLE = (*BROKEN, IORegistryError)


def read_source(source: AnnData | str | Path, counts: str | None, embedding: str | None = None) -> RawCells:
    """Read cells as they stand, wherever they are; antibodies, guides and peaks are left out.

    Args:
        source: a path, the name of a data set (``cellprism data list``), a name of cells that are made
            (``planted:small``), or an AnnData.
        counts: which matrix of an AnnData: ``"X"`` (the default), ``"layers/NAME"`` or ``"raw"``.
        embedding: an embedding of an AnnData that is wanted as well: its name in ``obsm``.

    Raises:
        CellsError: nothing there, no path or name, an unknown format, an unreadable or truncated file, no such matrix
            or embedding.
        DamagedError: a data set of ours has the wrong checksum.
    """
    if is_mudata(source):
        source = genes_of_mudata(source, IN_MEMORY)
    if isinstance(source, AnnData):
        return plain_names(only_genes(from_anndata(source, IN_MEMORY, counts, embedding)))
    if not isinstance(source, str | Path):
        raise CellsError(f"a {type(source).__name__}", [f"expected an AnnData, a path or a name; {IN_ANNDATA}"])
    name = str(source)
    if is_made(name):
        return replace(only_genes(from_anndata(made_cells(name), name, counts, embedding)), source=name)
    path = dataset_file(DATASETS[name]) if name in DATASETS else _path(source, name)
    _check_exists(path, name)
    if not path.is_dir():
        refuse_no_file(path, name)
    if is_manifest(path):
        raw = read_several(path, lambda file: read_source(file, counts, embedding))
        return replace(raw, source=name, sha256=_sha256_of([path, *files_of_manifest(path)]))
    with readable(path, name):
        raw = plain_names(only_genes(_read_path(path, name, counts, embedding)))
        raw = _known(raw, DATASETS[name]) if name in DATASETS else raw
        return replace(raw, source=name, sha256=file_sha256(path))


@contextmanager
def readable(path: Path, name: str) -> Iterator[None]:
    """Turn what libraries say of a file that they cannot read into a message.

    Raises:
        CellsError: what is wrong with the file, and what to do.
    """
    try:
        yield
    except TooLarge as error:
        raise CellsError(name, [str(error)]) from error
    except PermissionError as error:
        lying = error.filename or path
        raise CellsError(name, [f"{lying} may not be read by this user (permission denied); ask its owner"]) from error
    except UnicodeDecodeError as error:
        wrong = f"it holds text that is not UTF-8 ({error.reason} at byte {error.start:,})"
        raise CellsError(name, [f"{wrong}; write it as UTF-8, or copy it again"]) from error
    except UNREADABLE as error:
        said = " ".join(str(error).split())[:200]
        wrong = f"it is truncated, damaged or not what its name says ({type(error).__name__}: {said})"
        newer = isinstance(error, IORegistryError)
        raise CellsError(name, [f"{wrong}; {'update anndata' if newer else 'copy it again'}"]) from error


def _path(source: str | Path, name: str) -> Path:
    """The path that a source is; ``~`` is the home folder.

    Raises:
        CellsError: it is empty, an address, or of a user that this machine does not know.
    """
    if not str(source).strip():
        raise CellsError(repr(name), [f"it is empty; expected {FORMATS}, or the name of a data set"])
    if ADDRESS.match(name):
        raise CellsError(name, [f"this is an address, and nothing is fetched; fetch it, and give the file: {FORMATS}"])
    try:
        return Path(source).expanduser()
    except RuntimeError as error:
        raise CellsError(name, [f"there is no such user on this machine ({error}); give the whole path"]) from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, or of the names and checksums of the files of a folder with cells."""
    if path.is_dir():
        parts = [f"{p.relative_to(path).as_posix()} {file_sha256(p)}\n" for p in files_of(path)]
        return hashlib.sha256("".join(parts).encode()).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sha256_of(files: list[Path]) -> str:
    """SHA-256 of the checksums of several files, in their order."""
    return hashlib.sha256("".join(f"{file_sha256(file)}\n" for file in files).encode()).hexdigest()


def files_of(folder: Path) -> list[Path]:
    """The files that decide what cells are read from a folder: the three of a 10x folder, or all of a zarr store.

    Raises:
        CellsError: it is neither.
    """
    if folder.suffix.lower() == ".zarr":
        return sorted(path for path in folder.rglob("*") if path.is_file())
    return sorted(matrix_files(folder))


def _read_path(path: Path, name: str, counts: str | None, embedding: str | None) -> RawCells:
    if path.is_dir() and path.suffix.lower() in (".h5ad", ".h5"):
        raise CellsError(name, [f"{path.name} is a folder, not a file; expected a file of this name, or rename it"])
    if path.is_file() and path.suffix.lower() in (".h5ad", ".h5") and not path.stat().st_size:
        raise CellsError(name, ["it is empty (0 bytes); copy it again"])
    if path.suffix.lower() == ".h5ad" or is_zarr(path):
        return read_anndata(path, counts, embedding)
    if path.suffix.lower() == ".h5mu":
        return from_anndata(read_mudata_file(path, name), name, counts, embedding)
    if counts not in (None, "X"):
        raise CellsError(name, [f"there are no counts {counts!r}: such a source has one matrix only; leave counts out"])
    if embedding is not None:
        lacks = f"there is no embedding {embedding!r}: such a source holds counts alone"
        raise CellsError(name, [f"{lacks}; use an .h5ad file that has it in obsm"])
    if path.is_dir():
        return read_10x_folder(path)
    if path.suffix.lower() == ".h5":
        return read_10x_h5(path)
    inside = path.name.removesuffix(".gz").endswith(".mtx")
    hint = OTHER_KINDS.get(".mtx" if inside else path.suffix.lower())
    fix = f"cellprism reads {FORMATS}" + (f"; {hint}" if hint else "")
    raise CellsError(name, [f"unknown kind of file {path.suffix or path.name!r}: {fix}"])


def _known(raw: RawCells, dataset: DataSet) -> RawCells:
    """Cells of a data set, with what is known of it."""
    totals = None if dataset.totals is None else raw.obs[dataset.totals].to_numpy(np.float64)
    notes = (*raw.notes, dataset.note) if dataset.note else raw.notes
    return replace(raw, typed=True, labels=dataset.labels, totals=totals, totals_from=dataset.totals or "", notes=notes)


def _check_exists(path: Path, name: str) -> None:
    try:
        if path.exists():
            return
        if path.is_symlink():
            raise CellsError(name, [f"it is a link to {path.readlink()}, which is not there; give the file itself"])
    except OSError as error:
        raise CellsError(name, [f"this is no path ({error.strerror}); expected {FORMATS}"]) from error
    folder = path.parent
    beside = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    likely = near(name, list(DATASETS)) if "/" not in name else []
    likely += [str(folder / n) for n in near(path.name, beside)]
    hint = f"did you mean {' or '.join(map(repr, likely))}?" if likely else f"known data sets: {', '.join(DATASETS)}"
    where = "" if folder.is_dir() else f" (nor is there a folder {folder})"
    raise CellsError(name, [f"no such file or folder{where}; expected {FORMATS}, or the name of a data set; {hint}"])
