"""The user's own map of the cells: found by name, matched by cell, refused with the reason."""

import json
import shutil
import warnings
from pathlib import Path

import anndata
import numpy as np
import pytest

from cellprism.atlas.own_map import own_places
from cellprism.atlas.site import run_tables
from cellprism.errors import InputError
from cellprism.studies.files import read_h5ad


@pytest.fixture
def own(finished, tmp_path):
    """A copy of the run whose cells came from a file with a map, its cells in another order."""
    run, path = Path(shutil.copytree(finished, tmp_path / "run")), tmp_path / "mine.h5ad"
    cells = read_h5ad(finished / "cells.h5ad")
    order = np.random.default_rng(0).permutation(cells.n_obs)
    mine = anndata.AnnData(cells.X[order], obs=cells.obs.iloc[order])
    mine.obsm["X_umap"] = np.stack([np.arange(37.0)[order], np.zeros(37)], axis=1)
    mine.obsm["X_line"] = np.zeros((37, 1))
    mine.write_h5ad(path)
    record = json.loads((run / "run.json").read_text())
    record["steps"]["cells"]["cells"] = str(path)
    (run / "run.json").write_text(json.dumps(record))
    return run, path


def test_it_is_taken_by_itself_and_its_cells_are_found_by_name(own):
    found = own_places(run_tables(own[0]))
    assert np.array_equal(found.places[:, 0], np.arange(37))
    assert (found.method, found.file) == ("your own map, obsm['X_umap']", "mine.h5ad")


def test_it_is_taken_of_a_zarr_folder_too(own):
    run, path = own
    with warnings.catch_warnings(action="ignore"):
        anndata.read_h5ad(path).write_zarr(path.with_suffix(".zarr"))
    record = (run / "run.json").read_text()
    (run / "run.json").write_text(record.replace("mine.h5ad", "mine.zarr"))
    found = own_places(run_tables(run))
    assert np.array_equal(found.places[:, 0], np.arange(37))
    assert found.file == "mine.zarr"


def test_without_one_another_map_is_made_and_one_that_was_asked_for_is_missed(finished, own):
    assert own_places(run_tables(finished)) is None
    with pytest.raises(InputError, match=r"(?s)no map 'X_tsne' of .*no 'X_tsne' in obsm; it has X_line, X_umap"):
        own_places(run_tables(own[0]), "X_tsne")
    with pytest.raises(InputError, match="has one column; a map has two"):
        own_places(run_tables(own[0]), "X_line")
    cells = anndata.read_h5ad(own[1])[:30].copy()
    cells.write_h5ad(own[1])
    with pytest.raises(InputError, match="names other cells than the run"):
        own_places(run_tables(own[0]), "X_umap")
