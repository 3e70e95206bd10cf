"""Antibodies, guides, hashtags and peaks never reach the counts of genes, however they are called."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellprism.cells.read import read_cells
from cellprism.errors import CellsError

from .conftest import IDS, SYMBOLS, write_folder

FIX = "say it in var['feature_types']: 'Gene Expression' for genes"


def refused(source, **options) -> str:
    with pytest.raises(CellsError) as error:
        read_cells(source, **options)
    return str(error.value)


def joined(counts, names, var=None) -> anndata.AnnData:
    """The 29 genes and, as further rows, what else was measured: each of ``names`` with 1000 counts in every cell."""
    more = np.full((17, len(names)), 1000.0) + np.arange(17)[:, None] * 7
    table = pd.DataFrame(var or {}, index=[*SYMBOLS, *names])
    return anndata.AnnData(sp.csr_matrix(np.hstack([counts, more]).astype(np.float32)), var=table)


@pytest.mark.parametrize(
    ("gene", "other"),
    [("Gene Expression", "Antibody Capture"), ("gene expression", "antibody_capture"), ("GEX", "ADT"),
     ("rna", "prot"), ("RNA", "Protein"), ("Gene_Expression", "CRISPR Guide Capture"), ("gex", "HTO"),
     ("mRNA", "peaks"), ("protein_coding", "Custom"), ("lncRNA", "Multiplexing Capture"), ("genes", "sgRNA"),
     ("Gene-Expression", "Isotype Control"), ("IG_C_gene", "spike-in")],
)  # fmt: skip
@pytest.mark.parametrize("column", ["feature_types", "feature_type", "modality", "feature_types-0", "feature_types_x"])
def test_spellings_of_types_are_known(counts, table, gene, other, column):
    cells = joined(counts, ["CD4-1", "CD3D-1"], {column: [gene] * 29 + [other] * 2})
    read = read_cells(cells, genes=table)
    np.testing.assert_array_equal(read.X.toarray(), counts[:, ::-1])
    np.testing.assert_array_equal(read.obs["total_counts"], counts.sum(1))
    assert any(n == f"2 rows are no genes and were left out ({other})" for n in read.uns["cellprism"]["notes"])


def test_columns_that_a_join_split_are_read_together(counts, table):
    var = {
        "feature_types-0": ["Gene Expression"] * 29 + [np.nan] * 2,
        "feature_types-1": [np.nan] * 29 + ["Antibody Capture"] * 2,
    }
    read = read_cells(joined(counts, ["CD4-1", "CD3D-1"], var), genes=table)
    np.testing.assert_array_equal(read.X.toarray(), counts[:, ::-1])


def test_unknown_words_stop_the_reading_and_are_counted(counts, table):
    said = refused(joined(counts, ["CD4-1", "CD3D-1"], {"feature_types": ["GEX"] * 29 + ["Qua"] * 2}), genes=table)
    assert "var['feature_types'] says of 2 rows what is not known: 'Qua' (2), such as 'CD4-1'" in said
    assert FIX in said
    said = refused(joined(counts, ["CD4-1", "X2"], {"feature_types": ["GEX"] * 29 + ["ADT", None]}), genes=table)
    assert "says of 1 rows what is not known: nothing (1), such as 'X2'" in said


def test_rows_of_which_nothing_is_said_are_genes_by_their_id_and_peaks_by_their_name(counts, table):
    var = {"feature_types": ["Gene Expression"] * 26 + [None] * 5, "gene_ids": [*IDS, "", ""]}
    read = read_cells(joined(counts, ["chr1:100-200", "GL000194.1:5-99"], var), genes=table)
    np.testing.assert_array_equal(read.X.toarray(), counts[:, ::-1])


def test_data_without_any_gene_are_refused(counts, table):
    said = refused(joined(counts, [], {"feature_types": ["Antibody Capture"] * 29}), genes=table)
    assert "no row is a gene: var['feature_types'] holds Antibody Capture alone" in said


@pytest.mark.parametrize(
    "name",
    ["CD4_TotalSeqB", "adt_CD4", "CD4-ADT", "prot_CD4", "anti-CD4", "Hashtag3", "HTO_A", "IgG1_control", "CMO301",
     "sgCD4_1", "CD4_sgRNA2", "non-targeting_3", "AB_CD4", "isotype_IgG2a", "CD4_protein"],
)  # fmt: skip
def test_names_that_no_gene_has_stop_the_reading_where_no_column_tells(counts, table, name):
    said = refused(joined(counts, [name, "CD3D-1"]), genes=table)
    assert f"1 rows are named like antibodies, hashtags or guides ({name!r}), and no column of var says which" in said
    assert FIX in said


def test_no_gene_of_a_real_list_is_named_like_an_antibody(test_data):
    for name in ("pbmc3k_raw_labelled", "citeseq_pbmc10k_200cells"):  # an old list and a new one
        assert read_cells(test_data / f"{name}.h5ad").n_vars > 16_000


def test_peaks_without_a_column_are_left_out_by_their_names(counts, table):
    read = read_cells(joined(counts, ["chr1:10-200", "X-300-4000"]), genes=table)
    np.testing.assert_array_equal(read.obs["total_counts"], counts.sum(1))
    assert "2 rows are no genes and were left out (Peaks, by their names)" in read.uns["cellprism"]["notes"]


@pytest.mark.parametrize("name", ["CD4-1", "CD4.1"])
def test_a_name_made_unique_is_no_match_beside_the_gene(counts, table, name):
    said = refused(joined(counts, [name]), genes=table)
    assert f"1 rows ({name}) are named like another row with a number and hold" in said
    assert FIX in said
    few = joined(counts, [name])
    few.X = sp.csr_matrix(np.hstack([counts * 50, np.ones((17, 1))]).astype(np.float32) + 0)
    few.X.data[:] = np.rint(few.X.data)
    few.X[0, 0] = 3
    read = read_cells(few, genes=table, least_umi=0.0)
    np.testing.assert_array_equal(read[:, "CD4"].X.toarray()[:, 0], counts[:, 2] * 50)
    assert any("1 rows" in n and "were dropped" in n for n in read.uns["cellprism"]["notes"])


def test_a_name_made_unique_is_the_gene_where_the_data_says_that_it_is_one(counts, table):
    read = read_cells(joined(counts, ["CD4-1"], {"feature_types": ["Gene Expression"] * 30}), genes=table)
    np.testing.assert_array_equal(read[:, "CD4"].X.toarray()[:, 0], counts[:, 2] + 1000 + 7 * np.arange(17))


def test_antibodies_in_a_features_file_of_two_columns_stop_the_reading(tmp_path, counts, barcodes, table):
    rows = [[i, s] for i, s in zip(IDS, SYMBOLS, strict=True)]
    more = np.hstack([counts, np.full((17, 2), 900.0)])
    named = write_folder(tmp_path / "a", more, [*rows, ["CD3", "CD3_TotalSeqB"], ["CD4", "CD4"]], barcodes)
    assert "1 rows are named like antibodies" in refused(named, genes=table)
    plain = write_folder(tmp_path / "b", more, [*rows, ["CD3", "CD3E"], ["CD4", "CD4"]], barcodes)
    said = refused(plain, genes=table)
    assert "2 rows (CD3E, CD4) have no Ensembl id and are named like rows that have one" in said
    assert FIX in said
