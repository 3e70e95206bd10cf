"""Files as users have them: .h5ad old and new, 10x .h5 and folders of both generations, and broken ones."""

import gzip
import warnings

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellprism.cells.read import read_cells
from cellprism.cells.source import read_source
from cellprism.errors import CellsError

from .conftest import IDS, SYMBOLS, write_10x_h5, write_folder

FORMATS = "an .h5ad, .h5mu or 10x .h5 file, a .zarr or 10x matrix folder, a .csv manifest of several"
ROWS = {
    "v2": [[i, s] for i, s in zip(IDS, SYMBOLS, strict=True)],
    "v3": [[i, s, "Gene Expression"] for i, s in zip(IDS, SYMBOLS, strict=True)],
}
FILES = {"v2": "genes.tsv", "v3": "features.tsv"}
H5 = {
    "v2": ("hg19", {"genes": IDS, "gene_names": SYMBOLS}),
    "v3": (
        "matrix",
        {"features/id": IDS, "features/name": SYMBOLS, "features/feature_type": ["Gene Expression"] * 29},
    ),
}


def refused(source, **options) -> str:
    with pytest.raises(CellsError) as error:
        read_cells(source, **options)
    return str(error.value)


@pytest.fixture
def h5ad(cells, tmp_path):
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    return path


@pytest.mark.parametrize("gz", [False, True], ids=["plain", "gzipped"])
@pytest.mark.parametrize("version", ["v2", "v3"])
def test_a_matrix_folder_gives_the_counts_by_id(tmp_path, counts, barcodes, table, version, gz):
    folder = write_folder(tmp_path / "out", counts, ROWS[version], barcodes, features=FILES[version], gz=gz)
    read = read_cells(folder, genes=table)
    np.testing.assert_array_equal(read.X.toarray(), counts[:, ::-1])
    assert read.obs_names.tolist() == barcodes
    assert read.uns["cellprism"]["mapping"]["matched_by"]["ensembl"] == 29
    assert len(read.uns["cellprism"]["sha256"]) == 64


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_a_10x_h5_file_gives_the_counts_by_id(tmp_path, counts, barcodes, table, version):
    group, columns = H5[version]
    path = write_10x_h5(tmp_path / "filtered.h5", counts, columns, barcodes, group)
    read = read_cells(path, genes=table)
    np.testing.assert_array_equal(read.X.toarray(), counts[:, ::-1])
    assert read.obs_names.tolist() == barcodes
    assert read.uns["cellprism"]["mapping"]["matched_by"]["ensembl"] == 29


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_our_10x_readers_agree_with_scanpys(tmp_path, counts, barcodes, version):
    scanpy = pytest.importorskip("scanpy")
    folder = write_folder(
        tmp_path / "out", counts, ROWS[version], barcodes, features=FILES[version], gz=version == "v3"
    )
    group, columns = H5[version]
    if version == "v3":
        columns = columns | {"features/genome": ["GRCh38"] * 29}
    path = write_10x_h5(tmp_path / "filtered.h5", counts, columns, barcodes, group)
    for ours, theirs in (
        (read_source(folder, None), scanpy.read_10x_mtx(folder)),
        (read_source(path, None), scanpy.read_10x_h5(path)),
    ):
        np.testing.assert_array_equal(ours.matrix.toarray(), theirs.X.toarray())
        assert ours.var.index.tolist() == theirs.var_names.tolist()
        assert ours.var["gene_ids"].tolist() == theirs.var["gene_ids"].tolist()
        assert ours.obs.index.tolist() == theirs.obs_names.tolist()


def test_antibodies_in_a_folder_are_left_out(tmp_path, counts, barcodes, table):
    rows = [
        *ROWS["v3"][:27],
        ["CD3", "CD3_TotalSeqB", "Antibody Capture"],
        ["CD4", "CD4_TotalSeqB", "Antibody Capture"],
    ]
    folder = write_folder(tmp_path / "out", counts, rows, barcodes)
    read = read_cells(folder, genes=table)
    np.testing.assert_array_equal(read.X.toarray(), counts[:, 26::-1])


def test_symbols_that_repeat_in_10x_files_are_told_apart_by_id(tmp_path, counts, barcodes, table):
    rows = [[i, "TWIN" if n < 2 else s] for n, (i, s) in enumerate(ROWS["v2"])]
    folder = write_folder(tmp_path / "out", counts, rows, barcodes, features="genes.tsv")
    np.testing.assert_array_equal(read_cells(folder, genes=table).X.toarray(), counts[:, ::-1])


def test_a_shared_prefix_as_on_geo_is_understood(tmp_path, counts, barcodes, table):
    folder = write_folder(tmp_path / "geo", counts, ROWS["v3"], barcodes, gz=True, prefix="GSM1_a_")
    assert read_cells(folder, genes=table).shape == (17, 29)


def test_a_folder_with_one_column_of_genes_is_read(tmp_path, counts, barcodes, table):
    folder = write_folder(tmp_path / "out", counts, [[s] for s in SYMBOLS], barcodes, features="genes.tsv")
    assert read_cells(folder, genes=table).uns["cellprism"]["mapping"]["matched_by"]["symbol"] == 29


def test_a_folder_without_a_matrix_says_what_belongs_there(tmp_path):
    assert "no matrix.mtx (plain or .gz) in this folder; expected matrix.mtx, barcodes.tsv and features.tsv" in refused(
        tmp_path
    )


def test_a_folder_above_the_matrix_names_the_right_one(tmp_path, counts, barcodes):
    folder = write_folder(tmp_path / "filtered_gene_bc_matrices" / "hg19", counts, ROWS["v2"], barcodes)
    assert f"no matrix.mtx in this folder itself, but further down; pass '{folder}'" in refused(folder.parent)


def test_a_folder_with_two_samples_is_refused(tmp_path, counts, barcodes):
    folder = write_folder(tmp_path / "geo", counts, ROWS["v3"], barcodes, prefix="a_")
    (folder / "b_matrix.mtx").write_text("")
    assert "it holds 2 matrices (a_matrix.mtx, b_matrix.mtx); put each sample into a folder of its own" in refused(
        folder
    )


def test_all_missing_files_of_a_folder_are_listed(tmp_path, counts, barcodes):
    folder = write_folder(tmp_path / "out", counts, ROWS["v3"], barcodes, gz=True)
    (folder / "barcodes.tsv.gz").unlink()
    (folder / "features.tsv.gz").unlink()
    said = refused(folder)
    assert "no barcodes.tsv (plain or .gz) beside matrix.mtx.gz" in said
    assert "no features.tsv (plain or .gz) beside matrix.mtx.gz" in said


def test_files_of_different_samples_are_noticed(tmp_path, counts, barcodes):
    folder = write_folder(tmp_path / "out", counts, ROWS["v3"], barcodes[:13])
    said = refused(folder)
    assert "matrix.mtx is 29 genes x 17 cells, but features.tsv names 29 genes and barcodes.tsv 13 cells" in said


@pytest.mark.parametrize("name", ["matrix.mtx.gz", "barcodes.tsv.gz", "features.tsv.gz"])
def test_a_truncated_file_of_a_folder_is_refused(tmp_path, counts, barcodes, name):
    folder = write_folder(tmp_path / "out", np.tile(counts, (97, 1)), ROWS["v3"], barcodes * 97, gz=True)
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    assert "it is truncated, damaged or not what its name says" in refused(folder)


def test_a_matrix_cut_at_a_line_is_refused(tmp_path, counts, barcodes):
    folder = write_folder(tmp_path / "out", counts, ROWS["v3"], barcodes)
    lines = (folder / "matrix.mtx").read_text().splitlines()
    (folder / "matrix.mtx").write_text("\n".join(lines[:-5]) + "\n")
    assert "truncated, damaged or not what its name says" in refused(folder)


def test_a_ragged_table_of_genes_is_refused(tmp_path, counts, barcodes):
    folder = write_folder(tmp_path / "out", counts, [*ROWS["v3"][:-1], ["LST1"]], barcodes)
    assert "features.tsv is empty or its rows differ in length" in refused(folder)


def test_several_genomes_in_one_file_are_refused(tmp_path, counts, barcodes):
    path = write_10x_h5(tmp_path / "mixed.h5", counts, H5["v2"][1], barcodes, "hg19")
    write_10x_h5(path, counts, H5["v2"][1], barcodes, "mm10")
    assert "it holds 2 genomes (hg19, mm10); expected one" in refused(path)


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (["obs", "var", "X"], "this is an AnnData file; rename it to end in .h5ad"),
        (["umi", "barcode_info"], "this is a molecule_info file; expected filtered_feature_bc_matrix.h5"),
        (["other"], "no 10x matrix in it: expected a group 'matrix', found other"),
        ([], "no 10x matrix in it: expected a group 'matrix', found nothing"),
    ],
)
def test_an_h5_file_that_is_no_10x_matrix_is_told_what_it_is(tmp_path, groups, said):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in groups:
            file.create_group(name)
    assert said in refused(tmp_path / "a.h5")


def test_a_10x_file_named_h5ad_is_told_so(tmp_path, counts, barcodes):
    path = write_10x_h5(tmp_path / "a.h5ad", counts, H5["v3"][1], barcodes, "matrix")
    assert "this is no AnnData file: expected obs, var and X, found matrix; a 10x file must end in .h5" in refused(path)


@pytest.mark.parametrize(
    "store",
    [sp.csr_matrix, sp.csc_matrix, np.asarray, lambda x: sp.csr_matrix(x).astype(np.uint16)],
    ids=["by row", "by column", "dense", "uint16"],
)
def test_an_h5ad_file_is_read_however_its_matrix_is_stored(cells, table, counts, tmp_path, store):
    cells.X = store(counts)
    cells.write_h5ad(tmp_path / "a.h5ad")
    read = read_cells(tmp_path / "a.h5ad", genes=table, labels="louvain")
    np.testing.assert_array_equal(read.X.toarray(), counts[:, ::-1])
    assert read.obs["cell_type"].tolist() == cells.obs["louvain"].tolist()
    assert read.uns["cellprism"]["source"] == str(tmp_path / "a.h5ad")


def test_a_dense_matrix_longer_than_a_chunk_is_read_whole(tmp_path, counts):
    many = np.tile(counts, (131, 1))
    anndata.AnnData(many, var=pd.DataFrame(index=SYMBOLS)).write_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(read_cells(tmp_path / "a.h5ad").X.toarray(), many)


def test_layers_and_raw_of_a_file_are_offered_and_read(cells, table, counts, tmp_path):
    cells.raw = cells.copy()
    cells.layers["umi"], cells.layers["dense"] = cells.X.copy(), counts.copy()
    cells = cells[:, :23].copy()
    cells.X = sp.csr_matrix(np.log1p(counts[:, :23] / counts.sum(1, keepdims=True) * 1e4))
    cells.write_h5ad(tmp_path / "a.h5ad")
    said = refused(tmp_path / "a.h5ad", genes=table)
    assert "X looks log-normalised" in said
    assert 'raw counts lie in raw: set counts = "raw" (on the command line: --counts raw)' in said
    assert "'layers/dense' and 'layers/umi' would do too" in said
    assert read_cells(tmp_path / "a.h5ad", genes=table, counts="raw").n_vars == 29
    for name in ("layers/umi", "layers/dense"):
        read = read_cells(tmp_path / "a.h5ad", genes=table, counts=name)
        np.testing.assert_array_equal(read.X.toarray(), counts[:, 22::-1])
        assert read.uns["cellprism"]["counts_from"] == name


def test_a_file_without_x_says_where_to_look(cells, tmp_path):
    anndata.AnnData(obs=cells.obs, var=cells.var, layers={"counts": cells.X}).write_h5ad(tmp_path / "a.h5ad")
    assert "it has no X; there are 'layers/counts'; to name the matrix" in refused(tmp_path / "a.h5ad")


def test_an_empty_h5ad_file_is_called_empty(tmp_path):
    anndata.AnnData(sp.csr_matrix((0, 29), dtype=np.float32), var=pd.DataFrame(index=SYMBOLS)).write_h5ad(
        tmp_path / "a.h5ad"
    )
    assert "X is empty (0 cells x 29 genes)" in refused(tmp_path / "a.h5ad")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_h5ad_file_is_refused(h5ad, share):
    whole = h5ad.read_bytes()
    h5ad.write_bytes(whole[: int(share * len(whole))])
    said = "it is truncated, damaged or not what its name says (OSError" if share else "it is empty (0 bytes)"
    assert said in refused(h5ad)


def test_indices_beyond_the_matrix_are_refused(h5ad):
    with h5py.File(h5ad, "a") as file:
        file["X/indices"][3] = 997
    assert "truncated, damaged or not what its name says (ValueError" in refused(h5ad)


def test_a_missing_part_of_the_matrix_is_refused(h5ad):
    with h5py.File(h5ad, "a") as file:
        del file["X/indptr"]
    assert "truncated, damaged or not what its name says" in refused(h5ad)


def test_a_table_of_a_newer_kind_asks_for_a_newer_anndata(h5ad):
    with h5py.File(h5ad, "a") as file:
        file["obs/age"].attrs["encoding-type"] = "of-2031"
    said = refused(h5ad)
    assert "IORegistryError" in said
    assert said.endswith("; update anndata")


def test_a_file_of_2018_is_read_without_warnings(tmp_path, counts, table):
    matrix = sp.csr_matrix(counts)
    with h5py.File(tmp_path / "old.h5ad", "w") as file:
        group = file.create_group("X")
        group.attrs["h5sparse_format"], group.attrs["h5sparse_shape"] = "csr", counts.shape
        for part in ("data", "indices", "indptr"):
            group[part] = getattr(matrix, part)
        file["obs"] = np.array([(b"a%d" % i, i % 3) for i in range(17)], dtype=[("index", "S9"), ("type", "i8")])
        file["var"] = np.array([(s.encode(), i.encode()) for s, i in zip(SYMBOLS, IDS, strict=True)],
                               dtype=[("index", "S9"), ("gene_ids", "S15")])  # fmt: skip
        file.create_group("uns")["type_categories"] = np.array([b"B", b"T", b"NK"])
    read = read_cells(tmp_path / "old.h5ad", genes=table, labels="type")
    np.testing.assert_array_equal(read.X.toarray(), counts[:, ::-1])
    assert read.obs["cell_type"].tolist() == ["B", "T", "NK"] * 5 + ["B", "T"]
    assert read.uns["cellprism"]["mapping"]["matched_by"]["ensembl"] == 29


def test_text_that_calls_itself_h5ad_is_refused(tmp_path):
    (tmp_path / "a.h5ad").write_text("gene,cell\n")
    assert "truncated, damaged or not what its name says (OSError" in refused(tmp_path / "a.h5ad")


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        (
            "a.loom",
            f"unknown kind of file '.loom': cellprism reads {FORMATS}; convert it: anndata.io.read_loom",
        ),
        ("a.csv", "convert it: anndata.io.read_csv"),
        ("a.rds", "convert the Seurat or SingleCellExperiment object"),
        ("a.h5ad.gz", f"unknown kind of file '.gz': cellprism reads {FORMATS}; unpack it first"),
        ("a.tar.gz", "unpack it first"),
        ("matrix.mtx", "pass the folder that holds matrix.mtx, barcodes.tsv and features.tsv"),
        ("matrix.mtx.gz", "pass the folder that holds matrix.mtx"),
        ("cells", "unknown kind of file 'cells': cellprism reads"),
    ],
)
def test_an_unknown_kind_of_file_is_told_what_to_do(tmp_path, name, fix):
    (tmp_path / name).write_text("")
    assert fix in refused(tmp_path / name)


def test_zarr_and_mudata_are_read_as_their_cells(cells, tmp_path):
    mudata = pytest.importorskip("mudata")
    pytest.importorskip("zarr")
    with warnings.catch_warnings(action="ignore"):
        cells.write_zarr(tmp_path / "a.zarr")
    protein = anndata.AnnData(np.ones((cells.n_obs, 3), np.float32), obs=cells.obs[[]])
    protein.var_names = ["CD3 protein", "CD4 protein", "CD8 protein"]
    with mudata.set_options(pull_on_update=False):
        both = mudata.MuData({"rna": cells, "prot": protein})
        both.write(tmp_path / "a.h5mu")
    expected = read_cells(cells)
    for source in (tmp_path / "a.zarr", tmp_path / "a.h5mu", both):
        found = read_cells(source)
        assert (found.X != expected.X).nnz == 0
        assert found.var_names.equals(expected.var_names)
        assert found.obs_names.equals(expected.obs_names)
    del both.mod["rna"]
    assert "which of its modalities holds genes cannot be told ('prot')" in refused(both)


def test_a_zarr_folder_that_is_none_is_refused(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    assert "truncated, damaged or not what its name says" in refused(tmp_path / "a.zarr")


def test_a_missing_file_names_what_lies_beside_it(h5ad):
    said = refused(str(h5ad).replace("cells.h5ad", "cell.h5ad"))
    assert f"no such file or folder; expected {FORMATS}, or the name of a data set" in said
    assert said.endswith(f"did you mean '{h5ad}'?")


def test_a_missing_folder_is_named(tmp_path):
    said = refused(tmp_path / "none" / "a.h5ad")
    assert f"nor is there a folder {tmp_path / 'none'}" in said
    assert "known data sets: bundled:pbmc68k, pbmc3k" in said


def test_a_misspelt_data_set_names_near_matches(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "did you mean 'bundled:pbmc68k'" in refused("pbmc68k")
    assert "did you mean 'pbmc3k'" in refused("pbmc3")


def test_layers_are_not_asked_of_10x_files(tmp_path, counts, barcodes, table):
    path = write_10x_h5(tmp_path / "a.h5", counts, H5["v3"][1], barcodes, "matrix")
    assert "there are no counts 'layers/counts': such a source has one matrix only; leave counts out" in refused(
        path, counts="layers/counts"
    )
    assert read_cells(path, genes=table, counts="X").n_vars == 29


def test_the_checksum_of_a_folder_depends_on_each_of_its_files(tmp_path, counts, barcodes):
    first = read_source(write_folder(tmp_path / "a", counts, ROWS["v3"], barcodes), None).sha256
    assert read_source(write_folder(tmp_path / "b", counts, ROWS["v3"], barcodes), None).sha256 == first
    other = write_folder(tmp_path / "c", counts, ROWS["v3"], barcodes[::-1])
    assert read_source(other, None).sha256 != first


def test_gzip_is_told_by_name_file_by_file(tmp_path, counts, barcodes, table):
    folder = write_folder(tmp_path / "out", counts, ROWS["v3"], barcodes)
    text = (folder / "features.tsv").read_bytes()
    (folder / "features.tsv").unlink()
    (folder / "features.tsv.gz").write_bytes(gzip.compress(text))
    assert read_cells(folder, genes=table).n_vars == 29
