"""The two data sets of the tutorials: recovered counts, and mapping figures stated with the test data."""

import hashlib
import shutil
import socket
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from cellprism.cells import datasets
from cellprism.cells.genes import GeneTable, read_gene_table
from cellprism.cells.read import check_cells, read_cells
from cellprism.cells.report import cells_report
from cellprism.cells.source import file_sha256
from cellprism.errors import DamagedError


@pytest.fixture(scope="module")
def pbmc68k():
    return read_cells("bundled:pbmc68k")


@pytest.fixture(scope="session")
def gene_map(test_data: Path) -> pd.DataFrame:
    return pd.read_csv(test_data / "pbmc3k_gene_map.tsv.gz", sep="\t", dtype=str, keep_default_na=False)


@pytest.fixture(scope="session")
def published(test_data: Path) -> GeneTable:
    """The published gene list as it is: symbols only."""
    return read_gene_table(test_data / "OS_scRNA_gene_index.19264.tsv.gz")


@pytest.fixture(scope="session")
def enriched(published: GeneTable, gene_map: pd.DataFrame) -> GeneTable:
    """The published list with Ensembl ids, and with old names that no gene outside the list goes by."""
    hit = gene_map[gene_map.aido_index != ""].assign(to=lambda t: t.aido_index.astype(int))
    others = set(gene_map.symbol_hg19[gene_map.aido_index == ""])
    ids = hit.drop_duplicates("to").set_index("to").gene_id
    old = hit[~hit.symbol_hg19.isin(others)].groupby("to").symbol_hg19.agg(list)
    places = range(len(published))
    return GeneTable.of(published.symbol, [ids.get(i, "") for i in places], [old.get(i, []) for i in places])


@pytest.fixture(scope="module")
def pbmc3k(test_data: Path, enriched: GeneTable) -> anndata.AnnData:
    return read_cells(test_data / "pbmc3k_raw_labelled.h5ad", genes=enriched, types=["CD4 T cells"], labels="louvain")


@pytest.fixture(scope="session")
def small(gene_map: pd.DataFrame, test_data: Path) -> GeneTable:
    """Every eighth PBMC3K gene: old name as symbol, current one as alias, as in the bundled model."""
    first = gene_map.drop_duplicates("symbol_hg19")[::8]
    current = [[c] if c != s else [] for c, s in zip(first.symbol_current, first.symbol_hg19, strict=True)]
    return GeneTable.of(list(first.symbol_hg19), list(first.gene_id), current)


def test_bundled_cells_are_read_without_network_or_warnings(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_cells("bundled:pbmc68k").shape == (700, 765)


def test_bundled_counts_are_whole_and_exactly_those_that_were_recovered(pbmc68k):
    counts = pbmc68k.X
    assert (counts.data == np.rint(counts.data)).all()
    assert counts.sum() == 486_651
    assert (np.asarray(counts.sum(1)).ravel() <= pbmc68k.obs["total_counts"]).all()
    np.testing.assert_array_equal(pbmc68k.obs["total_counts"], pbmc68k.obs["n_counts"])
    parts = (counts.indptr.astype(np.int64), counts.indices.astype(np.int64), counts.data.astype(np.float32))
    found = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()
    assert found == "18f8a7a4a7abfd92d67220289cca7e4703a3c3eafd60f3520f0ff85b8a59366b"


def test_the_bundled_file_is_what_its_script_makes_of_scanpys(tmp_path, pbmc68k):
    """With scanpy installed: the same counts, cells and genes, and the published logarithms given back."""
    pytest.importorskip("scanpy")
    script = Path(__file__).parents[2] / "dev" / "pbmc68k" / "make.py"
    subprocess.run([sys.executable, str(script), str(tmp_path / "a.h5ad")], check=True, capture_output=True)
    made = anndata.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(made.X.toarray(), pbmc68k.X.toarray())
    pd.testing.assert_frame_equal(made.obs, pbmc68k.obs[made.obs.columns], check_names=False)
    assert made.var_names.tolist() == pbmc68k.var_names.tolist()


def test_bundled_cells_carry_their_types_and_the_recovery_is_reported(pbmc68k):
    types = pbmc68k.obs["cell_type"].value_counts()
    cd4 = ["CD4+/CD25 T Reg", "CD4+/CD45RO+ Memory", "CD4+/CD45RA+/CD25- Naive T"]
    cd8 = ["CD8+ Cytotoxic T", "CD8+/CD45RA+ Naive Cytotoxic"]
    assert (types[cd4].sum(), types[cd8].sum(), types.sum()) == (95, 97, 700)
    report = cells_report(pbmc68k)
    assert "at most 0.082 from whole numbers" in str(report)
    assert report.label_column == "bulk_labels"


def test_a_bundled_file_with_other_bytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "BUNDLED", tmp_path)
    with pytest.raises(DamagedError, match=r"pbmc68k.h5ad is missing, which belongs to the package; install cellprism"):
        read_cells("bundled:pbmc68k")
    (tmp_path / "pbmc68k.h5ad").write_bytes(b"other")
    with pytest.raises(DamagedError, match=r"is not the published bundled:pbmc68k .*install cellprism again"):
        read_cells("bundled:pbmc68k")


def test_pbmc3k_by_symbol_matches_17776_rows_and_one_in_capitals_and_keeps_93_percent(test_data, published):
    report = check_cells(test_data / "pbmc3k_raw_labelled.h5ad", genes=published, labels="louvain")
    assert (report.n_cells, report.n_read, report.umi) == (2700, 32738, 6_390_631)
    assert report.mapping.matched_by == {"ensembl": 0, "symbol": 17_776 + 1, "alias": 0}  # one is written in capitals
    assert report.mapping.umi_share_kept == pytest.approx(0.932, abs=5e-4)
    assert report.mapping.largest_dropped[0] == ("MALAT1", 161_685)
    assert report.labels["CD4 T cells"] == 1144
    assert report.labels["unlabelled"] == 62


def test_pbmc3k_through_ensembl_matches_18867_rows_and_keeps_96_percent(pbmc3k):
    report = cells_report(pbmc3k)
    assert sum(report.mapping.matched_by.values()) == 18_867
    assert report.mapping.umi_share_kept == pytest.approx(0.964, abs=5e-4)
    assert report.mapping.summed == 99
    assert report.mapping.n_found == 18_767


def test_pbmc3k_counts_are_those_of_a_sum_by_gene(test_data, pbmc3k, enriched, gene_map, published):
    whole = anndata.read_h5ad(test_data / "pbmc3k_raw_labelled.h5ad")
    rows = np.flatnonzero(gene_map.aido_index != "")
    names = np.array(published.symbol)[gene_map.aido_index.iloc[rows].astype(int)]
    per_gene = np.asarray(whole.X.sum(axis=0), dtype=np.float64).ravel()[rows]
    expected = pd.Series(per_gene).groupby(names).sum()
    found = pd.Series(np.asarray(pbmc3k.X.sum(axis=0), dtype=np.float64).ravel(), index=pbmc3k.var_names)
    pd.testing.assert_series_equal(found.sort_index(), expected.sort_index(), check_names=False)
    order = [enriched.by_symbol[s] for s in pbmc3k.var_names]
    assert order == sorted(order)


@pytest.mark.parametrize("names", ["symbol_hg19", "symbol_current"])
def test_old_and_current_names_resolve_to_the_same_genes_of_a_small_model(test_data, gene_map, small, names):
    whole = anndata.read_h5ad(test_data / "pbmc3k_raw_labelled.h5ad")
    ours = np.flatnonzero(gene_map.gene_id.isin(small.ensembl))
    spelt = gene_map[names].iloc[ours].where(gene_map[names].iloc[ours] != "", gene_map.symbol_hg19.iloc[ours])
    cells = anndata.AnnData(whole.X[:97, ours], var=pd.DataFrame(index=spelt.to_numpy()))
    cells = cells[np.asarray(cells.X.sum(axis=1)).ravel() > 0].copy()
    cells.var_names_make_unique()
    mapping = cells_report(read_cells(cells, genes=small)).mapping
    assert mapping.n_found >= 0.995 * len(small)
    if names == "symbol_hg19":
        assert mapping.n_found == len(small)
    else:
        assert mapping.matched_by["alias"] > 300


def test_every_bundled_gene_is_known_under_its_pbmc3k_name(gene_map, pbmc68k):
    first = gene_map.drop_duplicates("symbol_hg19")
    table = GeneTable.of(list(first.symbol_hg19), list(first.gene_id))
    mapping = cells_report(read_cells("bundled:pbmc68k", genes=table)).mapping
    assert (mapping.n_found, mapping.dropped) == (765, 0)


def test_pbmc3k_is_never_made_dense(test_data):
    code = """
import resource, sys
from pathlib import Path
from cellprism.cells.genes import read_gene_table
from cellprism.cells.read import read_cells
table = read_gene_table(Path(sys.argv[1]) / "OS_scRNA_gene_index.19264.tsv.gz")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read_cells(Path(sys.argv[1]) / "pbmc3k_raw_labelled.h5ad", genes=table)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    added = subprocess.run([sys.executable, "-c", code, str(test_data)], capture_output=True, text=True, check=True)
    assert int(added.stdout) < 200_000  # kilobytes; dense, the matrix alone takes 354,000


def test_a_local_copy_is_found_by_name_and_must_be_the_published_file(test_data, tmp_path, monkeypatch):
    monkeypatch.setenv("CELLPRISM_DATA_DIR", str(tmp_path))
    copy = tmp_path / "pbmc3k_raw.h5ad"
    shutil.copy(test_data / "pbmc3k_raw_labelled.h5ad", copy)
    with pytest.raises(DamagedError, match="is not the published pbmc3k"):
        read_cells("pbmc3k")
    same = replace(datasets.DATASETS["pbmc3k"], sha256=file_sha256(copy))
    monkeypatch.setitem(datasets.DATASETS, "pbmc3k", same)
    report = check_cells("pbmc3k")
    assert (report.source, report.sha256, report.n_cells) == ("pbmc3k", same.sha256, 2700)
