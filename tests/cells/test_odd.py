"""Odd cells, as other programs leave them: read right, or refused with what was found; nothing is lost unnoticed."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from scipy.io import mmwrite

from cellprism.cells.genes import GeneTable
from cellprism.cells.read import read_cells
from cellprism.errors import CellsError, ConfigError

from .conftest import IDS, SYMBOLS, write_10x_h5, write_folder

ROWS = [[i, s, "Gene Expression"] for i, s in zip(IDS, SYMBOLS, strict=True)]


def refused(source, table, **options) -> str:
    with pytest.raises(CellsError) as error:
        read_cells(source, genes=table, **options)
    return str(error.value)


def notes(read: AnnData) -> str:
    return "\n".join(read.uns["cellprism"]["notes"])


def same(read: AnnData, counts: np.ndarray) -> bool:
    return np.array_equal(read.X.toarray(), counts[:, ::-1])


NAMES = {
    "ids among symbols": [i if n % 2 else s for n, (i, s) in enumerate(zip(IDS, SYMBOLS, strict=True))],
    "few ids among symbols": [s if n % 7 else i for n, (i, s) in enumerate(zip(IDS, SYMBOLS, strict=True))],
    "a mark at the beginning of a file": ["\ufeff" + SYMBOLS[0], *SYMBOLS[1:]],
    "marks that nobody sees": [f"{s}\u200b" for s in SYMBOLS],
    "blanks that do not break": [f"\u00a0{s}\u00a0" for s in SYMBOLS],
    "wide letters": ["".join(chr(ord(c) + 0xFEE0) for c in s) for s in SYMBOLS],
    "bytes as Python shows them": [f"b'{s}'" for s in SYMBOLS],
    "ids with versions": [f"{i}.{n}" for n, i in enumerate(IDS)],
}


@pytest.mark.parametrize("how", NAMES)
def test_no_gene_is_lost_to_how_its_name_is_written(cells, counts, table, how):
    cells.var_names = NAMES[how]
    assert same(read_cells(cells, genes=table), counts)


@pytest.mark.parametrize("column", ["hgnc", "Gene Symbol", "geneName", "HGNC.symbol"])
@pytest.mark.parametrize("kind", [str, str.encode])
def test_symbols_are_found_in_a_column_however_it_is_spelt_also_as_bytes(cells, counts, table, column, kind):
    cells.var_names = [f"row{i}" for i in range(len(SYMBOLS))]
    cells.var[column] = [kind(s) for s in SYMBOLS]
    assert same(read_cells(cells, genes=table), counts)


def test_capitals_of_a_human_gene_with_small_letters_are_that_gene_and_small_letters_are_named(cells, counts):
    table = GeneTable.of(["C1orf112", *SYMBOLS[1:]])
    cells.var_names = ["C1ORF112", *SYMBOLS[1:3], "cd8a", *SYMBOLS[4:]]
    read = read_cells(cells, genes=table)
    np.testing.assert_array_equal(read[:, "C1orf112"].X.toarray()[:, 0], counts[:, 0])
    assert "CD8A" not in read.var_names
    assert "1 rows (C1ORF112) are in capitals and were read as genes with small letters" in notes(read)
    assert "1 rows (cd8a) differ from genes of the model by small letters alone" in notes(read)


def test_capitals_are_no_mouse_genes(cells):
    mouse = GeneTable.of([s.title() for s in SYMBOLS])
    assert "genes" in refused(cells, mouse)


def test_rows_without_a_name_are_counted(cells, table):
    cells.var_names = ["", "nan", *SYMBOLS[2:]]
    assert "2 rows have no name" in notes(read_cells(cells, genes=table))


MATRICES = {
    "two entries of one place": lambda x: sp.csr_matrix(
        (np.stack([x[x > 0] - 1, np.ones((x > 0).sum())], axis=1).ravel(), np.repeat(np.nonzero(x)[1], 2),
         2 * np.concatenate([[0], np.cumsum((x > 0).sum(axis=1))])), shape=x.shape,
    ),
    "by column": sp.csc_matrix,
    "a sparse array": sp.csr_array,
    "zeros below zero": lambda x: np.where(x == 0, -0.0, x),
    "long integers": lambda x: sp.csr_matrix(x.astype(np.int64)),
    "long doubles": lambda x: x.astype(np.longdouble),
    "big-endian": lambda x: x.astype(">f4"),
    "half precision": lambda x: x.astype(np.float16),
}  # fmt: skip


@pytest.mark.parametrize("how", MATRICES)
def test_counts_are_the_same_however_they_are_kept(cells, counts, table, how):
    odd = AnnData(MATRICES[how](counts), obs=cells.obs, var=cells.var)
    assert same(read_cells(odd, genes=table), counts)


@pytest.mark.parametrize("large", [2**24 + 1, 2**62, 1e30])
def test_numbers_beyond_what_is_kept_exactly_are_no_counts(cells, counts, table, large):
    wide = counts.astype(type(large))
    wide[3, 5] = large
    said = "1 values of X are above 16,777,216, the largest"
    assert said in refused(AnnData(sp.csr_matrix(wide), obs=cells.obs, var=cells.var), table)
    wide[3, 5] = 2**24
    assert read_cells(AnnData(sp.csr_matrix(wide), obs=cells.obs, var=cells.var), genes=table).X.max() == 2**24


@pytest.mark.parametrize("kind", [object, str])
def test_text_and_objects_are_no_counts_and_another_matrix_of_them_does_no_harm(cells, counts, table, kind):
    odd = counts.astype(int).astype(kind)
    assert "X holds values of type" in refused(AnnData(odd, obs=cells.obs, var=cells.var), table)
    cells.layers["odd"] = odd
    assert same(read_cells(cells, genes=table), counts)
    cells.X = cells.X * 0.3
    assert "neither X nor a layer nor raw of this object holds them" in refused(cells, table)


def test_masked_counts_are_missing_counts(cells, counts, table):
    masked = AnnData(np.zeros_like(counts), obs=cells.obs, var=cells.var)
    masked.layers["counts"] = np.ma.masked_array(counts, mask=counts > 4)
    assert "some values of layers/counts are masked" in refused(masked, table, counts="layers/counts")


@pytest.mark.parametrize(
    "values",
    [
        pd.date_range("2020", periods=17), pd.timedelta_range("1h", periods=17), np.arange(17) * 1j,
        pd.period_range("2020", periods=17, freq="M"), pd.date_range("2020", periods=17, tz="UTC"),
    ],
)  # fmt: skip
def test_dates_durations_and_complex_numbers_are_no_types(cells, table, values):
    cells.obs["cell_type"] = values
    assert "holds dates, durations or complex numbers" in refused(cells, table)


def test_columns_of_lists_are_no_trouble_and_bytes_are_text(cells, table):
    cells.obs["odd"] = [[1], {"a": 1}, {1}] * 5 + [[2], None]
    cells.obs["cell_type"] = [b"B", b"T"] * 8 + [b"B"]
    assert set(read_cells(cells, genes=table).obs["cell_type"]) == {"B", "T"}


def test_types_that_differ_by_capitals_alone_are_named(cells, table):
    cells.obs["cell_type"] = ["B cell", "b  cell", "B Cell", "T"] * 4 + ["-"]
    read = read_cells(cells, genes=table)
    assert "differ by capitals or blanks alone: 'B Cell' / 'B cell' / 'b  cell'" in notes(read)
    assert (read.obs["cell_type"] == "unlabelled").sum() == 1


def test_a_column_that_is_there_twice_is_refused(cells, table):
    cells.obs.insert(0, "cell_type", "a")
    cells.obs.insert(1, "cell_type", "b", allow_duplicates=True)
    assert "obs has several columns 'cell_type'" in refused(cells, table)


@pytest.mark.parametrize("total", [-5.0, np.nan, np.inf, 0.0])
def test_totals_of_cells_read_before_are_checked_like_any_others(cells, table, tmp_path, total):
    cells.obs["total_counts"] = total
    cells.uns["cellprism"] = {"totals": "n"}
    cells.write_h5ad(tmp_path / "a.h5ad")
    assert "is missing, infinite or below the sum of the matrix in 17 cells" in refused(tmp_path / "a.h5ad", table)


def test_a_record_of_ours_that_is_none_does_no_harm(cells, counts, table, tmp_path):
    cells.uns["cellprism"] = "mine"
    assert same(read_cells(cells, genes=table), counts)
    cells.write_h5ad(tmp_path / "a.h5ad")
    assert same(read_cells(tmp_path / "a.h5ad", genes=table), counts)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"types": "B cells"}, "types is the text 'B cells': expected a list"),
        ({"least_overlap": np.nan}, "least_overlap is nan: expected a share"),
        ({"least_umi": -1.0}, "least_umi is -1.0: expected a share"),
    ],
)
def test_arguments_of_another_kind_are_refused(cells, table, options, said):
    with pytest.raises(ConfigError, match=said):
        read_cells(cells, genes=table, **options)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "it is empty; expected an .h5ad, .h5mu"), ("https://example.org/a.h5ad", "this is an address"),
        ("s3://bucket/a.h5ad", "this is an address"), ("a" * 5000 + ".h5ad", "this is no path"),
        ("~nobodyhere/a.h5ad", "there is no such user on this machine"),
    ],
)  # fmt: skip
def test_what_is_no_source_is_named(table, source, said):
    assert said in refused(source, table)


MISTAKEN = """
import numpy as np, pandas as pd
import cellprism as cp
for call in (
    lambda: cp.read_cells(None), lambda: cp.read_cells(pd.DataFrame([[1]])), lambda: cp.read_cells(np.ones((3, 3))),
    lambda: cp.read_cells("bundled:pbmc68k", labels=["louvain"]),
    lambda: cp.load_model(3), lambda: cp.load_model(["a"]),
):
    try:
        call()
    except cp.errors.CellprismError as error:
        print(" ".join(str(error).split()))
"""


def test_arguments_that_are_no_cells_or_models_at_all_are_messages_where_no_types_are_checked():
    """As a notebook meets them: in a process of its own, since tests check types before anything else does."""
    done = subprocess.run([sys.executable, "-c", MISTAKEN], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"a {kind} cannot be used: - expected an AnnData, a path or a name; put a matrix into one: "
        "anndata.AnnData(counts, obs=..., var=...)"
        for kind in ("NoneType", "DataFrame", "ndarray")
    ] + [
        "labels is ['louvain']: expected the name of one column of obs",
        "the model is 3, a int; expected a name or a path",
        "the model is ['a'], a list; expected a name or a path",
    ]


def test_no_cells_are_no_cells(cells, table):
    message = refused(cells[:0].copy(), table)
    assert "X is empty (0 cells x 29 genes)" in message
    assert "only" not in message


def test_a_file_is_told_by_its_ending_whatever_its_case_and_a_link_to_nothing_is_one(cells, counts, table, tmp_path):
    cells.write_h5ad(tmp_path / "A.h5ad")
    (tmp_path / "A.h5ad").rename(tmp_path / "A.H5AD")
    assert same(read_cells(tmp_path / "A.H5AD", genes=table), counts)
    (tmp_path / "b.h5ad").symlink_to(tmp_path / "nowhere.h5ad")
    assert "it is a link to" in refused(tmp_path / "b.h5ad", table)
    for name in ("empty.h5ad", "empty.h5"):
        (tmp_path / name).touch()
        assert "it is empty (0 bytes)" in refused(tmp_path / name, table)


def matrix(counts: np.ndarray, head: str, line: str = "{} {} {:.0f}", end: str = "\n") -> bytes:
    stored = sp.coo_matrix(counts.T)
    places = zip(stored.row + 1, stored.col + 1, stored.data, strict=True)
    lines = [head, f"29 17 {stored.nnz}", *(line.format(*place) for place in places), ""]
    return end.join(lines).encode()


GENERAL = "%%MatrixMarket matrix coordinate integer general"
READ = {
    "capitals": ((GENERAL[:15] + GENERAL[15:].upper(),), {}),
    "ends of lines of Windows": ((GENERAL,), {"end": "\r\n"}),
    "tabs": ((GENERAL, "{}\t{}\t{:.0f}"), {}),
    "real numbers": ((GENERAL.replace("integer", "real"), "{} {} {:e}"), {}),
}
REFUSED = {
    "places alone": ((GENERAL.replace("integer", "pattern"), "{} {}"), "coordinate pattern general'; expected"),
    "one half of a symmetric matrix": ((GENERAL.replace("general", "symmetric"),), "symmetric'; expected"),
    "complex numbers": ((GENERAL.replace("integer", "complex"), "{} {} {} 0"), "coordinate complex general'; expected"),
    "a dense array": ((GENERAL.replace("coordinate", "array"),), "matrix array integer general'; expected"),
    "decimal commas": ((GENERAL.replace("integer", "real"), "{} {} {:.0f},5"), "expected row, column and count"),
    "numbers without end": ((GENERAL, "{} {} {:.0f}" + "0" * 30), "out of range"),
}


@pytest.mark.parametrize("how", READ)
def test_a_matrix_is_read_however_its_lines_are_written(counts, barcodes, table, tmp_path, how):
    folder = write_folder(tmp_path / "a", counts, ROWS, barcodes)
    written, options = READ[how]
    (folder / "matrix.mtx").write_bytes(matrix(counts, *written, **options))
    assert same(read_cells(folder, genes=table), counts)


@pytest.mark.parametrize("how", REFUSED)
def test_a_matrix_of_another_kind_is_named_and_never_half_read(counts, barcodes, table, tmp_path, how):
    folder = write_folder(tmp_path / "a", counts, ROWS, barcodes)
    written, said = REFUSED[how]
    (folder / "matrix.mtx").write_bytes(matrix(counts, *written))
    assert said in refused(folder, table).replace("Integer o", "o")


def test_a_header_line_is_recognised_and_marks_and_quotes_leave_no_trace(counts, barcodes, table, tmp_path):
    folder = write_folder(tmp_path / "a", counts, ROWS, [f'"{b}"' for b in barcodes])
    (folder / "barcodes.tsv").write_bytes(b"\xef\xbb\xbf" + (folder / "barcodes.tsv").read_bytes())
    (folder / "._matrix.mtx").write_bytes(b"\0\5\26\7")
    assert list(read_cells(folder, genes=table).obs_names) == barcodes
    (folder / "barcodes.tsv").write_text("\n".join(["barcode", *barcodes]) + "\n")
    assert "one line more than rows, so take its header line away" in refused(folder, table)
    mmwrite(folder / "matrix.mtx", sp.coo_matrix(counts.T[:, :5].astype(int)))
    assert "different samples" in refused(folder, table)


def test_text_that_is_not_utf8_and_a_10x_file_without_ids_are_said_to_be_that(counts, barcodes, table, tmp_path):
    folder = write_folder(tmp_path / "a", counts, ROWS, barcodes)
    (folder / "features.tsv").write_bytes((folder / "features.tsv").read_bytes().replace(b"CD8A", b"CD8\xc4"))
    assert "it holds text that is not UTF-8" in refused(folder, table)
    plain = write_10x_h5(tmp_path / "a.h5", counts, {"features/name": SYMBOLS}, barcodes, "matrix")
    assert "has no ids of genes (features/id)" in refused(plain, table)
