"""Cells that stay on disk: what is read in blocks is what ``read_cells`` gives, and the same things are refused."""

import json

import anndata
import numpy as np
import pytest
import scipy.sparse as sp

from cellprism.cells.read import read_cells
from cellprism.cells.stored import stored_cells
from cellprism.cells.streamed import checked_cells
from cellprism.errors import CellsError

from . import conftest


@pytest.fixture
def written(cells, tmp_path, monkeypatch):
    """Writes some of the cells and opens them in blocks of five."""
    monkeypatch.setattr("cellprism.cells.streamed.BLOCK", 5)

    def opened(change=lambda adata: None, **options):
        made = cells.copy()
        made = change(made) or made
        made.write_h5ad(tmp_path / "cells.h5ad")
        return stored_cells(tmp_path / "cells.h5ad", **options)

    return opened


def with_antibody(adata):
    adata.var["feature_types"] = ["Gene Expression"] * (conftest.GENES - 1) + ["Antibody Capture"]


def dense(adata):
    adata.X = adata.X.toarray()


def in_a_layer(adata):
    adata.layers["counts"] = adata.X.copy()
    adata.X = sp.csr_matrix(np.log1p(adata.X.toarray()))


@pytest.mark.parametrize(
    ("change", "options"), [(with_antibody, {}), (dense, {}), (in_a_layer, {"counts": "layers/counts"})]
)
def test_blocks_are_the_cells_that_are_read_whole(written, table, tmp_path, change, options):
    stored = written(change, **options)
    ticks = []
    found = checked_cells(stored, table, tick=ticks.append)
    whole = read_cells(tmp_path / "cells.h5ad", genes=table, **options)
    assert ticks == [5, 10, 15, 17]
    parts = [found.aligned.part(start, min(start + 4, 17)) for start in range(0, 17, 4)]
    np.testing.assert_array_equal(sp.vstack([part.X for part in parts]).toarray(), whole.X.toarray())
    assert list(parts[0].var_names) == list(whole.var_names)
    assert found.obs["total_counts"].tolist() == whole.obs["total_counts"].tolist()
    assert found.obs["donor"].tolist() == whole.obs["donor"].tolist()
    assert found.values == (whole.X > 0).sum() if change is not with_antibody else found.values > 0


@pytest.fixture
def store(cells, tmp_path):
    """The cells as a sharded zarr folder of format 3."""
    anndata.settings.zarr_write_format = 3
    try:
        cells.obs = cells.obs.astype(str)
        cells.write_zarr(tmp_path / "cells.zarr", chunks=(5, conftest.GENES))
    finally:
        anndata.settings.reset("zarr_write_format")
    return tmp_path / "cells.zarr"


@pytest.mark.filterwarnings("ignore::UserWarning")  # zarr's, of kinds of text that its format does not fix yet
def test_a_zarr_folder_is_read_like_a_file(store, cells, table):
    found = checked_cells(stored_cells(store), table)
    whole = read_cells(cells, genes=table)
    parts = [found.aligned.part(start, min(start + 4, 17)).X for start in range(0, 17, 4)]
    np.testing.assert_array_equal(sp.vstack(parts).toarray(), whole.X.toarray())
    assert found.obs["louvain"].tolist() == whole.obs["louvain"].tolist()


def linked(store):
    (store / "uns" / "elsewhere").symlink_to("/etc")


def of_another_codec(store):
    (said := json.loads((store / "X" / "data" / "zarr.json").read_text()))["codecs"].append(
        {"name": "numcodecs.pickle"}
    )
    (store / "X" / "data" / "zarr.json").write_text(json.dumps(said))


def endless(store):
    (said := json.loads((store / "X" / "data" / "zarr.json").read_text()))["shape"] = [10**13]
    (store / "X" / "data" / "zarr.json").write_text(json.dumps(said))


def without_a_description(store):
    (store / "zarr.json").unlink()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (linked, "a link to /etc"),
        (of_another_codec, "packed by numcodecs.pickle"),
        (endless, "made to exhaust memory"),
        (without_a_description, "no zarr.json"),
    ],
)
def test_a_zarr_folder_of_unknown_origin_is_judged_first(store, change, message):
    change(store)
    for read in (stored_cells, read_cells):
        with pytest.raises(CellsError, match=message):
            read(store)


def test_declared_totals_go_with_the_cells(written, table):
    def half(adata):
        adata.obs["all"] = np.asarray(adata.X.sum(axis=1)).ravel() * 2

    found = checked_cells(written(half), table, "all")
    assert found.aligned.part(3, 5).obs["total_counts"].tolist() == found.obs["all"].tolist()[3:5]
    assert found.aligned.part(0, 1).uns["cellprism"]["totals"] == "all"


def negative(adata):
    adata.X[12, 3] = -1


def normalised(adata):
    counts = np.asarray(adata.X.toarray())
    adata.X = sp.csr_matrix(np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4))


def empty(adata):
    keep = np.ones(17)
    keep[7] = 0
    adata.X = sp.csr_matrix(sp.diags(keep) @ adata.X).astype(np.float32)


def renamed(adata):
    adata.var_names = [f"other{i}" for i in range(adata.n_vars)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (negative, r"X, cells 11 to 15 \(cell10 to cell14\), are negative"),
        (normalised, r"cells 1 to 5 \(cell0 to cell4\), "),
        (empty, "1 of 17 cells have no counts at all, such as 'cell7'"),
        (renamed, "no gene of the data is among the model's 29"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_cells(written, table, change, message):
    with pytest.raises(CellsError, match=message):
        checked_cells(written(change), table)


def test_whole_numbers_that_are_no_counts_are_told_by_cells_from_all_over(written, table):
    def doubled(adata):
        adata.X = sp.csr_matrix((adata.X.toarray() > 0).astype(np.float32))

    with pytest.raises(CellsError, match="the largest value is 1 everywhere"):
        checked_cells(written(doubled), table)


def test_counts_that_are_stored_gene_by_gene_are_left_to_who_reads_them_whole(written):
    def by_gene(adata):
        adata.X = sp.csc_matrix(adata.X)

    assert written(by_gene) is None


def test_a_file_that_changes_meanwhile_is_refused(written, table, cells, tmp_path):
    found = checked_cells(written(), table)
    cells[:9].copy().write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(CellsError, match="it was written to while it was read"):
        found.aligned.part(0, 3)


def test_an_embedding_comes_in_the_same_blocks(written, cells):
    def embedded(adata):
        adata.obsm["X_pca"] = np.arange(51.0).reshape(17, 3)

    found = checked_cells(written(embedded, embedding="X_pca"), None)
    assert found.aligned.part(2, 4).obsm["X_pca"].tolist() == [[6, 7, 8], [9, 10, 11]]
    with pytest.raises(CellsError, match="no embedding 'X_umap' in obsm; there are 'X_pca'"):
        written(embedded, embedding="X_umap")
