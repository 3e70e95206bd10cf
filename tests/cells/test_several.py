"""Files of a manifest as one set of cells."""

import warnings
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import cellprism as cp
from cellprism.cells.source import file_sha256
from cellprism.errors import CellsError
from cellprism.workflow.sources import cells_identity

GENES = [f"ENSG{i:011d}" for i in range(30)]


def lane(seed: int, genes: list[str], kind=sp.csr_matrix) -> anndata.AnnData:
    x = np.random.default_rng(seed).poisson(0.5, (20, len(genes))) + 1
    obs = pd.DataFrame({"kind": pd.Categorical(["B", "T"] * 10)}, [f"cell{i}" for i in range(20)])
    return anndata.AnnData(kind(x), obs=obs, var=pd.DataFrame({"symbol": genes}, genes))


@pytest.fixture
def lanes(tmp_path) -> list[anndata.AnnData]:
    """Two lanes, of which each measures genes that the other lacks, in another order."""
    made = [lane(0, GENES[:25]), lane(1, GENES[::-1][:25], sp.csc_matrix)]
    (tmp_path / "a").mkdir()
    for name, one in zip(("a/1.h5ad", "2.h5ad"), made, strict=True):
        one.write_h5ad(tmp_path / name)
    return made


def manifest(folder: Path, text: str = "file,donor\na/1.h5ad,A\n2.h5ad,B\n") -> Path:
    path = folder / "all.csv"
    path.write_text(text)
    return path


def test_cells_of_several_files_have_the_genes_of_all_and_the_totals_of_their_own(lanes, tmp_path):
    found = cp.read_cells(manifest(tmp_path), labels="kind", only={"donor": ["B", "A"]})
    assert found.shape == (40, 20)
    assert list(found.var_names) == GENES[5:25]
    for number, one in enumerate(lanes):
        rows = found[20 * number : 20 * number + 20]
        np.testing.assert_array_equal(rows.X.toarray(), one[:, GENES[5:25]].X.toarray())
        assert rows.obs["total_counts"].tolist() == np.asarray(one.X.sum(axis=1)).ravel().tolist()
        assert set(rows.obs["donor"]) == {"AB"[number]}
        assert rows.obs["cell_type"].tolist() == ["B", "T"] * 10
    assert found.obs_names.is_unique
    said = " ".join(found.uns["cellprism"]["notes"])
    assert "only the 20 genes that all files have are read (1.h5ad 25, 2.h5ad 25)" in said


def test_files_that_measure_the_same_are_the_file_that_they_were_cut_from(tmp_path):
    whole = lane(3, GENES)
    for name, rows in (("1.h5ad", slice(0, 7)), ("2.h5ad", slice(7, 20))):
        whole[rows].write_h5ad(tmp_path / name)
    found = cp.read_cells(manifest(tmp_path, "file\n1.h5ad\n2.h5ad\n"))
    expected = cp.read_cells(whole)
    np.testing.assert_array_equal(found.X.toarray(), expected.X.toarray())
    assert list(found.obs_names) == list(expected.obs_names)
    assert found.obs["total_counts"].tolist() == expected.obs["total_counts"].tolist()


def test_files_with_ids_and_with_symbols_meet_in_their_symbols(tmp_path):
    symbols = [f"G{i}" for i in range(28)] + ["TWICE", "TWICE"]
    with_ids, without = lane(0, GENES), lane(1, GENES)
    with_ids.var["symbol"] = symbols
    without.var_names = pd.Index(symbols)
    without = without[:, ::-1][:, 5:].copy()
    without.var_names_make_unique()
    del without.var["symbol"]
    for name, one in (("1.h5ad", with_ids), ("2.h5ad", without)):
        one.write_h5ad(tmp_path / name)
    for order in ("1.h5ad\n2.h5ad", "2.h5ad\n1.h5ad"):
        found = cp.read_cells(manifest(tmp_path, f"file\n{order}\n"))
        names = [name if name.startswith("G") else f"G{int(name[4:])}" for name in found.var_names]
        assert sorted(names) == sorted(symbols[:25])
        for number, one in enumerate((with_ids, without) if order[0] == "1" else (without, with_ids)):
            held = symbols if one is with_ids else list(one.var_names)
            expected = one.X.toarray()[:, [held.index(name) for name in names]]
            np.testing.assert_array_equal(found.X[20 * number : 20 * number + 20].toarray(), expected)


def test_a_manifest_is_what_its_files_hold(lanes, tmp_path):
    path = manifest(tmp_path)
    before = [cells_identity(str(path)), cp.read_cells(path).uns["cellprism"]["sha256"]]
    lanes[1].X = sp.csc_matrix(lanes[1].X * 2)
    lanes[1].write_h5ad(tmp_path / "2.h5ad")
    after = [cells_identity(str(path)), cp.read_cells(path).uns["cellprism"]["sha256"]]
    assert before[0] != after[0]
    assert before[1] != after[1] != file_sha256(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file\na/1.h5ad\nall.csv\n", "all.csv is a manifest itself"),
        ("file\na/1.h5ad\nnone.h5ad\n", "none.h5ad is not there"),
        ("file\na/1.h5ad\nother.h5ad\n", "only 0 genes are in all files .1.h5ad has ENSG00000000000"),
        ("file\na/1.h5ad\ntwice.h5ad\n", "1 ids of twice.h5ad occur more than once"),
        ("file\na/1.h5ad\nnegative.h5ad\n", "negative"),
        ("path\na/1.h5ad\n", "a manifest of several files has a column 'file'"),
    ],
)
def test_files_that_are_no_set_of_cells_are_refused(lanes, tmp_path, text, message):
    lane(2, [f"g{i}" for i in range(25)]).write_h5ad(tmp_path / "other.h5ad")
    with warnings.catch_warnings(action="ignore"):  # anndata's, of genes that occur twice
        lane(2, [*GENES[:24], GENES[0]]).write_h5ad(tmp_path / "twice.h5ad")
    negative = lane(2, GENES)
    negative.X = -negative.X
    negative.write_h5ad(tmp_path / "negative.h5ad")
    with pytest.raises(CellsError, match=message):
        cp.read_cells(manifest(tmp_path, text))
