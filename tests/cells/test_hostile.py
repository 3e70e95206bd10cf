"""Files that read others, that declare what they do not hold, and things that are no files: refused from the header."""

import gzip
import os
import socket
import subprocess
import sys
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellprism.cells.genes import read_gene_table
from cellprism.cells.read import read_cells
from cellprism.errors import CellsError, DamagedError

from .conftest import IDS, SYMBOLS, write_10x_h5, write_folder

ROWS = [[i, s, "Gene Expression"] for i, s in zip(IDS, SYMBOLS, strict=True)]
COLUMNS = {"features/id": IDS, "features/name": SYMBOLS, "features/feature_type": ["Gene Expression"] * 29}


def refused(source, **options) -> str:
    with pytest.raises(CellsError) as error:
        read_cells(source, **options)
    return str(error.value)


@pytest.fixture
def h5ad(cells, tmp_path):
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    return path


@pytest.fixture
def tenx(counts, barcodes, tmp_path):
    return write_10x_h5(tmp_path / "a.h5", counts, COLUMNS, barcodes, "matrix")


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret.bin"
    path.write_bytes(np.arange(1, 1000, dtype=np.float64).tobytes())
    return path


def external_storage(file, place, secret):
    del file[place]
    file.create_dataset(place, shape=(17,), dtype="f8", external=[(str(secret), 0, 17 * 8)])


def external_link(file, place, secret):
    del file[place]
    file[place] = h5py.ExternalLink(str(secret), "/obs/age")


def soft_link(file, place, secret):
    del file[place]
    file[place] = h5py.SoftLink("/elsewhere/age")


def virtual(file, place, secret):
    del file[place]
    layout = h5py.VirtualLayout(shape=(17,), dtype="f8")
    layout[:] = h5py.VirtualSource(str(secret), "age", shape=(17,))
    file.create_virtual_dataset(place, layout)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (external_storage, "{place} is stored in another file"),
        (external_link, "{place} is a link to another file"),
        (soft_link, "{place} is a soft link to '/elsewhere/age'"),
        (virtual, "{place} is a virtual data set, made of other files"),
    ],
)
@pytest.mark.parametrize("place", ["/obs/age", "/X/data", "/uns/note"])
def test_an_h5ad_file_that_refers_to_others_is_refused_by_name(h5ad, secret, make, said, place):
    with h5py.File(h5ad, "a") as file:
        if place not in file:
            file[place] = 1
        make(file, place, secret)
    message = refused(h5ad)
    assert f"it refers to other places: {said.format(place=place)}" in message
    assert "copy the values into the file" in message


@pytest.mark.parametrize("make", [external_storage, external_link, soft_link, virtual])
def test_a_10x_file_that_refers_to_others_is_refused(tenx, secret, make):
    with h5py.File(tenx, "a") as file:
        make(file, "/matrix/data", secret)
    assert "it refers to other places: /matrix/data" in refused(tenx)


def test_an_old_file_that_refers_to_others_is_refused(tmp_path, secret):
    with h5py.File(tmp_path / "old.h5ad", "w") as file:
        file["obs"] = np.array([(b"a",)], dtype=[("index", "S9")])
        file["var"] = np.array([(b"CD4",)], dtype=[("index", "S9")])
        file.create_dataset("X", shape=(1, 1), dtype="f4", external=[(str(secret), 0, 4)])
    assert "/X is stored in another file" in refused(tmp_path / "old.h5ad")


def test_a_group_within_itself_does_no_harm(h5ad):
    with h5py.File(h5ad, "a") as file:
        file["uns/again"] = file["/"]
    assert read_cells(h5ad).n_obs == 17


def h5ad_of(path, n_obs, n_var, x):
    """An .h5ad file with real tables of 17 cells and 29 genes unless told otherwise, and ``x(file)`` as its X."""
    anndata.AnnData(
        obs=pd.DataFrame(index=[f"c{i}" for i in range(n_obs)]), var=pd.DataFrame(index=[f"g{i}" for i in range(n_var)])
    ).write_h5ad(path)
    with h5py.File(path, "a") as file:
        if "X" in file:
            del file["X"]
        x(file)
    return path


def huge_index(file, n=2_000_000_000):
    del file["obs/_index"]
    made = file.create_dataset("obs/_index", shape=(n,), dtype=h5py.string_dtype(), chunks=(1000,))
    made.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})


def dense(shape):
    def make(file):
        made = file.create_dataset("X", shape=shape, dtype="f4", chunks=(1, min(1000, shape[1])), compression="gzip")
        made.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})

    return make


def sparse(shape, n_values, n_indices, n_pointers, end, kind="csr_matrix"):
    def make(file):
        group = file.create_group("X")
        group.attrs.update({"encoding-type": kind, "encoding-version": "0.1.0", "shape": shape})
        for name, n in (("data", n_values), ("indices", n_indices)):
            group.create_dataset(name, shape=(n,), dtype="i4", chunks=(min(n, 1000),))
        pointers = group.create_dataset("indptr", shape=(n_pointers,), dtype="i8", chunks=(n_pointers,))
        pointers[-1] = end

    return make


BOMBS = {
    "dense, more than its tables": lambda p: h5ad_of(p, 17, 29, dense((50_000_000, 50_000))),
    "dense, tables as long": lambda p: h5ad_of(
        p, 17, 29, lambda f: (huge_index(f, 50_000_000), dense((50_000_000, 29))(f))
    ),
    "an index of 2e9 texts": lambda p: h5ad_of(p, 17, 29, lambda f: (huge_index(f), dense((17, 29))(f))),
    "sparse, 1e12 values": lambda p: h5ad_of(p, 17, 29, sparse((17, 29), 10**12, 10**12, 18, 10**12)),
    "sparse, 5e8 values": lambda p: h5ad_of(p, 17, 29, sparse((17, 29), 5 * 10**8, 5 * 10**8, 18, 5 * 10**8)),
}  # fmt: skip
EXPECTED = {
    "dense, more than its tables": "/X is 50,000,000 x 50,000, but the file names 17 cells and 29 genes",
    "dense, tables as long": "/obs/_index declares 50,000,000 values",
    "an index of 2e9 texts": "/obs/_index declares 2,000,000,000 values, 160 GB in all, but 464 bytes are stored",
    "sparse, 1e12 values": "declares 1,000,000,000,000 values, 8 TB in all, but",
    "sparse, 5e8 values": "declares 500,000,000 values, 4 GB in all, but",
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_a_header_declares_must_be_stored(tmp_path, name):
    path = BOMBS[name](tmp_path / "a.h5ad")
    assert path.stat().st_size < 200_000
    assert EXPECTED[name] in refused(path)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's peak memory")
def test_bombs_are_refused_within_a_gigabyte(tmp_path, counts, barcodes):
    """All of them, one after the other, in a process of their own."""
    paths = [BOMBS[name](tmp_path / f"{i}.h5ad") for i, name in enumerate(BOMBS)]
    folder = write_folder(tmp_path / "out", counts, ROWS, barcodes, gz=True)
    with gzip.open(folder / "barcodes.tsv.gz", "wb", 1) as stream:
        for _ in range(100):
            stream.write(b"ACGT-1\n" * 1_000_000)
    code = """
import re, sys
from pathlib import Path
from cellprism.cells.read import read_cells
from cellprism.errors import CellsError
for path in sys.argv[1:]:
    try:
        read_cells(path)
    except CellsError:
        print("refused")
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""
    run = [sys.executable, "-c", code, *map(str, paths), str(folder)]
    *said, peak = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    assert said == ["refused"] * 6
    assert int(peak) < 1_000_000  # kilobytes


@pytest.mark.parametrize(
    ("n_obs", "said"),
    [(2000, "/X is 2,000 x 29, but the file names 60 cells and 29 genes"),
     (29, "/X is 29 x 60, but the file names 60 cells and 29 genes; it lies on its side (transposed)")],
)  # fmt: skip
def test_tables_and_matrix_of_different_sizes_are_refused(tmp_path, n_obs, said):
    shape = (n_obs, 29) if n_obs != 29 else (29, 60)
    path = h5ad_of(tmp_path / "a.h5ad", 60, 29, dense(shape))
    assert said in refused(path)


def test_a_column_of_another_length_is_refused(h5ad):
    with h5py.File(h5ad, "a") as file:
        del file["obs/age"]
        file["obs/age"] = np.arange(60)
        file["obs/age"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    assert "/obs/age has 60 entries, but /obs has 17 rows: it contradicts itself" in refused(h5ad)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((5, 5, 17, 5), "its indptr has 17 entries (expected 18)"),
        ((5, 4, 18, 5), "/X has 5 values, 4 indices and an indptr that ends at 5; expected one number"),
        ((5, 5, 18, 7), "/X has 5 values, 5 indices and an indptr that ends at 7; expected one number"),
    ],
)
@pytest.mark.parametrize("kind", ["csr_matrix", "csc_matrix"])
def test_parts_of_a_sparse_matrix_that_contradict_each_other_are_refused(tmp_path, parts, said, kind):
    n_values, n_indices, n_pointers, end = parts
    side = 0 if kind == "csr_matrix" else 12
    path = h5ad_of(tmp_path / "a.h5ad", 17, 29, sparse((17, 29), n_values, n_indices, n_pointers + side, end, kind))
    assert said.replace("17 ent", f"{17 + side} ent").replace("expected 18", f"expected {18 + side}") in refused(path)


@pytest.mark.parametrize(
    ("place", "n", "said"),
    [
        ("matrix/barcodes", 60, "it names 29 genes and 60 cells, but its shape is said to be 29 x 17 (genes x cells)"),
        ("matrix/features/name", 60, "it names 29 genes and 17 cells, but symbol has 60 entries"),
        ("matrix/indptr", 60, "its indptr has 60 entries (expected 18)"),
        ("matrix/indices", 60, "60 indices and an indptr that ends at"),
    ],
)
def test_a_10x_file_that_contradicts_itself_is_refused(tenx, place, n, said):
    with h5py.File(tenx, "a") as file:
        kind = file[place].dtype
        del file[place]
        file.create_dataset(place, shape=(n,), dtype=kind)
    assert said in refused(tenx)


def test_a_10x_file_that_declares_more_than_it_stores_is_refused(tenx):
    with h5py.File(tenx, "a") as file:
        for name in ("data", "indices"):
            del file[f"matrix/{name}"]
            file.create_dataset(f"matrix/{name}", shape=(10**11,), dtype="i4", chunks=(1000,))
        file["matrix/indptr"][-1] = 10**11
    assert "declares 100,000,000,000 values, 800 GB in all, but" in refused(tenx)


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("29 17 1000000000000", "announces 1,000,000,000,000 values, more than a file of its size can hold"),
        ("29 50000000 5", "is 29 genes x 50,000,000 cells, but features.tsv"),
        ("17 29 5", "is 17 genes x 29 cells, but features.tsv"),
    ],
)
def test_what_a_matrix_market_header_announces_must_fit(tmp_path, counts, barcodes, gz, line, said):
    folder = write_folder(tmp_path / "out", counts, ROWS, barcodes, gz=gz)
    text = f"%%MatrixMarket matrix coordinate integer general\n%\n{line}\n1 1 1\n".encode()
    path = folder / ("matrix.mtx.gz" if gz else "matrix.mtx")
    path.write_bytes(gzip.compress(text) if gz else text)
    assert said in refused(folder)


def test_more_values_than_a_matrix_announces_are_not_unpacked(tmp_path, counts, barcodes):
    folder = write_folder(tmp_path / "out", counts, ROWS, barcodes, gz=True)
    text = b"%%MatrixMarket matrix coordinate integer general\n29 17 9\n" + b"1 1 1\n" * 20_000_000
    (folder / "matrix.mtx.gz").write_bytes(gzip.compress(text, 1))
    assert "(ValueError: Line" in refused(folder)


@pytest.mark.parametrize("name", ["barcodes.tsv.gz", "features.tsv.gz"])
def test_a_gzip_bomb_in_a_folder_is_refused(tmp_path, counts, barcodes, name):
    folder = write_folder(tmp_path / "out", counts, ROWS, barcodes, gz=True)
    (folder / name).write_bytes(gzip.compress(b"1 1 1\n" * 20_000_000, 1))
    assert "is gzipped and becomes more than 67 MB, over 100 times its size" in refused(folder)


def test_a_gzip_bomb_as_gene_table_is_refused(tmp_path):
    path = tmp_path / "genes.tsv.gz"
    path.write_bytes(gzip.compress(b"symbol\n" + b"CD4\n" * 30_000_000, 1))
    with pytest.raises(DamagedError, match="is gzipped and becomes more than 67 MB"):
        read_gene_table(path)


def no_file(path, kind):
    if kind == "a FIFO (named pipe)":
        os.mkfifo(path)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    return path


KINDS = ["a FIFO (named pipe)", "a socket", "a device", "a folder"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["a.h5ad", "a.h5"])
def test_what_is_no_file_is_named_and_not_opened(tmp_path, monkeypatch, kind, name):
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    no_file(tmp_path / name if kind != "a socket" else type(tmp_path)(name), kind)
    assert f"{name} is {kind}, not a file; expected a file" in refused(tmp_path / name)


@pytest.mark.parametrize("kind", ["a FIFO (named pipe)", "a device", "a folder"])
@pytest.mark.parametrize("name", ["matrix.mtx", "barcodes.tsv", "features.tsv"])
def test_what_is_no_file_in_a_folder_is_named(tmp_path, counts, barcodes, kind, name):
    folder = write_folder(tmp_path / "out", counts, ROWS, barcodes)
    (folder / name).unlink()
    no_file(folder / name, kind)
    assert f"{name} is {kind}, not a file; expected a file" in refused(folder)


@pytest.mark.parametrize("kind", ["a FIFO (named pipe)", "a device", "a folder"])
def test_a_gene_table_that_is_no_file_is_named(tmp_path, kind):
    with pytest.raises(CellsError, match=r"is (a FIFO|a device|a folder).*, not a file"):
        read_gene_table(no_file(tmp_path / "genes.tsv", kind))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_is_not_called_damaged(h5ad):
    h5ad.chmod(0)
    assert "may not be read by this user (permission denied); ask its owner" in refused(h5ad)


@pytest.mark.parametrize("kind", [">f4", "<f2", ">i4", ">f8", "<u8"])
@pytest.mark.parametrize("store", ["dense", "sparse"])
def test_other_kinds_of_numbers_are_read(tmp_path, counts, kind, store):
    path = h5ad_of(tmp_path / "a.h5ad", 17, 29, lambda f: None)
    with h5py.File(path, "a") as file:
        if store == "dense":
            file["X"] = counts.astype(kind)
            file["X"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        else:
            group, matrix = file.create_group("X"), sp.csr_matrix(counts)
            group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": counts.shape})
            group["data"] = matrix.data.astype(kind)
            group["indices"], group["indptr"] = matrix.indices.astype(">i4"), matrix.indptr.astype("<u8")
    np.testing.assert_array_equal(read_cells(path).X.toarray(), counts)


def test_a_blank_last_line_and_crlf_do_no_harm(tmp_path, counts, barcodes, table):
    folder = write_folder(tmp_path / "out", counts, ROWS, barcodes)
    for name in ("features.tsv", "barcodes.tsv"):
        (folder / name).write_bytes((folder / name).read_bytes().replace(b"\n", b"\r\n") + b"\r\n\r\n")
    np.testing.assert_array_equal(read_cells(folder, genes=table).X.toarray(), counts[:, ::-1])
