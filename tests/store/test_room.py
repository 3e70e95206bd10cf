"""Counts that lie in files: the same to the bit as in memory, and gone with the process."""

import os
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import cellprism as cp
from cellprism.errors import DamagedError, DiskError
from cellprism.store import h5ad, room


@pytest.fixture
def in_files(monkeypatch, tmp_path):
    """Everything is large; temporary files go where they can be seen."""
    monkeypatch.setattr(room, "LARGE", 1)
    monkeypatch.setattr(h5ad, "LARGE", 1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def cells(seed: int = 0) -> anndata.AnnData:
    """Counts of a few cells, half of them antibodies'."""
    rng = np.random.default_rng(seed)
    x = rng.poisson(0.4, (50, 30)).astype(np.float64)
    x[:, 0] = 1
    var = pd.DataFrame(
        {"feature_types": ["Gene Expression"] * 20 + ["Antibody Capture"] * 10}, [f"ENSG{i:011d}" for i in range(30)]
    )
    obs = pd.DataFrame({"donor": ["A", "B"] * 25}, [f"cell{i}" for i in range(50)])
    return anndata.AnnData(sp.csr_matrix(x), obs=obs, var=var)


def is_mapped(values: np.ndarray) -> bool:
    """Whether an array is, at last, a view of a file."""
    return isinstance(values, np.memmap) or (values.base is not None and is_mapped(values.base))


def test_cells_read_into_files_are_those_read_into_memory(tmp_path, monkeypatch):
    cells().write_h5ad(tmp_path / "cells.h5ad")
    in_memory = cp.read_cells(tmp_path / "cells.h5ad", only={"donor": ["A"]})
    monkeypatch.setattr(room, "LARGE", 1)
    in_files = cp.read_cells(tmp_path / "cells.h5ad", only={"donor": ["A"]})
    assert in_files.shape == (25, 20)
    for part in h5ad.PARTS:
        np.testing.assert_array_equal(getattr(in_files.X, part), getattr(in_memory.X, part))
    pd.testing.assert_frame_equal(in_files.obs, in_memory.obs)


def test_room_in_a_file_has_no_name_and_can_be_written(in_files):
    values = room.room(1000, np.float32)
    values[:] = 3
    assert values.sum() == 3000
    assert not list(in_files.iterdir())


def test_a_full_disk_is_said_before_anything_is_read(in_files, monkeypatch):
    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DiskError, match="make room"):
        room.room(1000, np.float32)


def test_mapped_cells_are_those_that_were_written(in_files):
    written = cells()
    written.X = written.X.astype(np.float32)
    written.obsm["X_map"] = np.arange(100.0).reshape(50, 2)
    written.uns["cellprism"] = {"source": "here"}
    h5ad.write_mapped_h5ad(in_files / "cells.h5ad", written)
    mapped, whole = (read(in_files / "cells.h5ad") for read in (h5ad.mapped_h5ad, anndata.read_h5ad))
    assert is_mapped(mapped.X.data)
    assert is_mapped(mapped.X.indices)
    assert not is_mapped(whole.X.data)
    assert (abs(mapped.X - whole.X)).nnz == 0
    assert (abs(mapped.X - written.X)).nnz == 0
    pd.testing.assert_frame_equal(mapped.obs, whole.obs)
    pd.testing.assert_frame_equal(mapped.var, whole.var)
    np.testing.assert_array_equal(mapped.obsm["X_map"], whole.obsm["X_map"])
    assert mapped.uns["cellprism"]["source"] == "here"
    mapped.X.data[:] = 0
    assert anndata.read_h5ad(in_files / "cells.h5ad").X.sum() == written.X.sum(), "what is mapped is not written back"


@pytest.mark.parametrize("column", [-1, 30, 2**31 - 1])
@pytest.mark.parametrize("write", [h5ad.write_mapped_h5ad, h5ad.write_h5ad])
def test_columns_beyond_the_genes_are_refused(in_files, column, write):
    path = in_files / "cells.h5ad"
    write(path, cells())
    with h5py.File(path, "r+") as file:
        file["X/indices"][7] = column
    with pytest.raises(DamagedError, match=r"cells.h5ad cannot be read \(.*rerun"):
        h5ad.mapped_h5ad(path)


def test_small_cells_are_packed(tmp_path):
    h5ad.write_mapped_h5ad(tmp_path / "cells.h5ad", cells())
    with h5py.File(Path(tmp_path) / "cells.h5ad") as file:
        assert file["X/data"].compression == "gzip"
    assert h5ad.mapped_h5ad(tmp_path / "cells.h5ad").n_obs == 50
