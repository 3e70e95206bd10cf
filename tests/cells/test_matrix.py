"""Counts that are stored dense, by cell or by gene, in HDF5 or zarr: the same cells, in memory or in files."""

import json
import pickle
import warnings
from mmap import mmap
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import cellprism as cp
from cellprism.cells import matrix
from cellprism.cells.matrix import by_cell
from cellprism.cells.stored import stored_cells
from cellprism.errors import CellsError, DiskError
from cellprism.store import room

GENES = [f"ENSG{i:011d}" for i in range(30)]


def counts(n_cells: int = 50) -> sp.csr_matrix:
    return sp.csr_matrix(np.random.default_rng(0).poisson(0.4, (n_cells, 30)) + np.eye(n_cells, 30, dtype=int))


def cells(x) -> anndata.AnnData:
    obs = pd.DataFrame({"donor": ["A", "B"] * (x.shape[0] // 2)}, [f"cell{i}" for i in range(x.shape[0])])
    return anndata.AnnData(x, obs=obs, var=pd.DataFrame({"symbol": GENES}, GENES))


def as_10x(path: Path, x: sp.csr_matrix) -> None:
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(x, name)
        group["barcodes"] = np.array([f"cell{i}" for i in range(x.shape[0])], dtype="S")
        group["shape"] = np.array(x.shape[::-1])
        for name, held in (("id", GENES), ("name", GENES), ("feature_type", ["Gene Expression"] * len(GENES))):
            group[f"features/{name}"] = np.array(held, dtype="S")


def write(folder: Path, kind: str) -> Path:
    """The cells in one of the ways in which they may be stored."""
    ending, _, way = kind.partition(" ")
    path = folder / f"cells.{ending}"
    if way == "10x":
        as_10x(path, counts())
        return path
    made = cells({"dense": counts().toarray(), "by gene": sp.csc_matrix(counts())}.get(way.partition(",")[0], counts()))
    if ending == "h5ad":
        made.write_h5ad(path)
        return path
    with warnings.catch_warnings(action="ignore"), anndata.settings.override(zarr_write_format=int(way[-1])):
        made.write_zarr(path)
    return path


KINDS = ["h5ad dense", "h5ad by cell", "h5ad by gene", "h5 10x"]
KINDS += [f"zarr {way}, format {form}" for way in ("dense", "by cell", "by gene") for form in (2, 3)]


def is_mapped(values: np.ndarray) -> bool:
    """Whether an array is, at last, a view of a file."""
    base = values.base
    while isinstance(base, np.ndarray | memoryview):
        base = base.obj if isinstance(base, memoryview) else base.base
    return isinstance(base, mmap)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_cells_however_they_are_stored_and_wherever_they_lie(tmp_path, monkeypatch, kind):
    expected = cp.read_cells(cells(counts()))
    path = write(tmp_path, kind)
    found = [cp.read_cells(path)]
    monkeypatch.setattr(room, "LARGE", 1)
    for where in (room, matrix):
        monkeypatch.setattr(where, "PIECE", 7)
    monkeypatch.setattr(matrix, "TURNED", 60)
    monkeypatch.setattr(matrix, "DENSE_BYTES", 500)
    found.append(cp.read_cells(path))
    for one in found:
        np.testing.assert_array_equal(one.X.toarray(), expected.X.toarray())
        assert one.X.has_sorted_indices
        assert list(one.var_names) == GENES
        assert list(one.obs_names) == list(expected.obs_names)


@pytest.mark.parametrize("n_cells", [1, 2, 50])
@pytest.mark.parametrize("part", [1, 60, 10**6])
def test_rows_of_a_matrix_stored_by_column(monkeypatch, n_cells, part):
    monkeypatch.setattr(matrix, "TURNED", part)
    monkeypatch.setattr(matrix, "PIECE", 11)
    x = sp.csr_matrix(counts(n_cells).astype(np.float64).multiply(np.arange(n_cells)[:, None] < n_cells - 1))
    x.eliminate_zeros()
    parts = list(by_cell(sp.csc_matrix(x)))
    assert len(parts) > 1 or part > 1 or n_cells < 50
    assert len(parts) == 1 or part < x.nnz
    np.testing.assert_array_equal(sp.vstack([*parts, sp.csr_matrix((0, 30))]).toarray(), x.toarray())


def test_blocks_lie_in_a_file_as_soon_as_they_are_many(monkeypatch):
    monkeypatch.setattr(room, "LARGE", 100)
    x = counts()
    found = room.stacked((x[i : i + 8] for i in range(0, 50, 8)), 30)
    assert is_mapped(found.data)
    assert is_mapped(found.indices)
    assert (found != x).nnz == 0
    assert not is_mapped(room.stacked([x[:1, :5]], 5).data)


def test_blocks_that_find_the_disk_full_say_so(monkeypatch, tmp_path):
    monkeypatch.setattr(room, "LARGE", 100)
    monkeypatch.setattr(room.tempfile, "TemporaryFile", lambda: open("/dev/full", "r+b", buffering=0))  # noqa: SIM115, PTH123
    with pytest.raises(DiskError, match="make room"):
        room.stacked([counts()], 30)


class Runs:
    """What runs something when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


@pytest.mark.parametrize("place", ["filters", "compressor"])
@pytest.mark.parametrize("read", [cp.read_cells, stored_cells])
def test_a_zarr_folder_never_runs_what_it_holds(tmp_path, monkeypatch, place, read):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, "zarr by cell, format 2")
    folder = path / "X" / "data"
    said = json.loads((folder / ".zarray").read_text())
    said |= {"compressor": None, "filters": None}
    said[place] = {"id": "pickle"} if place == "compressor" else [{"id": "pickle"}]
    (folder / ".zarray").write_text(json.dumps(said))
    (folder / "0").write_bytes(pickle.dumps(Runs()))
    with pytest.raises(CellsError, match="data is packed by pickle, which is not read here"):
        read(path)
    assert not Path("ran").exists()


@pytest.mark.parametrize("form", [2, 3])
def test_a_zarr_folder_is_opened_by_the_descriptions_that_were_judged(tmp_path, form):
    zarr = pytest.importorskip("zarr")
    path = write(tmp_path, f"zarr by cell, format {form}")
    with warnings.catch_warnings(action="ignore"):
        zarr.consolidate_metadata(str(path), zarr_format=form)
    copy = path / (".zmetadata" if form == 2 else "zarr.json")
    text = copy.read_text()
    assert "X/data" in text
    copy.write_text(text.replace("float", "complex").replace("<f", "<c").replace('"blosc"', '"pickle"'))
    np.testing.assert_array_equal(cp.read_cells(path).X.toarray(), counts().toarray())


def test_totals_that_cells_carry_are_read_of_a_zarr_folder_too(tmp_path):
    x = counts() + sp.csr_matrix(np.ones((50, 30), int))
    written = cp.read_cells(cells(x))[:, :10].copy()
    with warnings.catch_warnings(action="ignore"):
        written.write_zarr(tmp_path / "some.zarr")
    found = cp.read_cells(tmp_path / "some.zarr")
    assert found.obs["total_counts"].tolist() == written.obs["total_counts"].tolist()
    assert (found.obs["total_counts"] > np.asarray(found.X.sum(axis=1)).ravel()).any()
