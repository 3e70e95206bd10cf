import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from cellprism.cells.align import GeneMapping, align, data_genes, mapping_record, match_genes
from cellprism.cells.genes import GeneTable

TABLE = GeneTable.of(
    ["AAA", "BBB", "CCC", "DDD", "EEE"],
    ["ENSG00000000001", "ENSG00000000002", "", "ENSG00000000004", ""],
    [["OLDA"], ["OLDB"], [], [], ["OLDE"]],
)


def places(var: pd.DataFrame) -> list[tuple[int, int]]:
    mapping = match_genes(data_genes(var), TABLE)
    return list(zip(mapping.place.tolist(), mapping.way.tolist(), strict=True))


def test_the_ensembl_id_wins_over_the_symbol_and_the_symbol_over_the_alias():
    var = pd.DataFrame(
        {"gene_ids": ["ENSG00000000002.3", "ENSG00000000099", "ENSG00000000098", "ENSG00000000097"]},
        index=["AAA", "CCC", "OLDE", "NOBODY"],
    )
    assert places(var) == [(1, 0), (2, 1), (4, 2), (-1, -1)]


def test_a_retired_id_among_the_aliases_is_found_where_the_name_says_nothing():
    table = GeneTable.of(["AAA", "BBB"], ["ENSG00000000001", "ENSG00000000002"], [["ENSG00000000077"], []])
    var = pd.DataFrame({"gene_ids": ["ENSG00000000077.1", "ENSG00000000077"]}, index=["NOBODY", "BBB"])
    mapping = match_genes(data_genes(var), table)
    assert list(zip(mapping.place.tolist(), mapping.way.tolist(), strict=True)) == [(0, 2), (1, 1)]


@pytest.mark.parametrize("column", ["gene_symbols", "feature_name", "Symbol", "gene_short_name"])
def test_ids_in_the_index_and_symbols_in_a_column_are_found(column):
    var = pd.DataFrame({column: ["zzz", "CCC"]}, index=["ENSG00000000004", "ENSG00000000099"])
    genes = data_genes(var)
    assert genes.ensembl == ("ENSG00000000004", "ENSG00000000099")
    assert genes.shown == ("zzz", "CCC")
    assert places(var) == [(3, 0), (2, 1)]


def test_symbols_in_categories_with_missing_values_are_read():
    var = pd.DataFrame({"feature_name": pd.Categorical(["AAA", None])}, index=["ENSG00000000099", "ENSG00000000098"])
    assert places(var) == [(0, 1), (-1, -1)]
    assert data_genes(var).shown == ("AAA", "ENSG00000000098")


def test_a_name_made_unique_stands_for_the_name_without_its_number_only_in_rows_that_are_genes():
    var = pd.DataFrame(index=["AAA", "AAA-1", "NKX2-1", "BBB-12", "CCC", "CCC.1"])
    mapping = match_genes(data_genes(var), TABLE)
    assert mapping.place.tolist() == [0, -1, -1, -1, 2, -1]
    assert mapping.twins == (1, 5)
    typed = match_genes(data_genes(var, typed=True), TABLE)
    assert typed.place.tolist() == [0, 0, -1, 1, 2, 2]
    assert typed.twins == ()
    with_ids = var.assign(gene_ids=[f"ENSG{i:011d}" for i in range(90, 96)])
    assert match_genes(data_genes(with_ids), TABLE).place.tolist() == [0, 0, -1, 1, 2, 2]


@pytest.mark.parametrize("name", ["HLA.DRA", "HLA_DRA", "HLA DRA"])
def test_names_that_r_changed_are_found_and_counted(name):
    table = GeneTable.of(["HLA-DRA", "MT-CO1", "7SK", "A-B", "A.B", "CD4"])
    mapping = match_genes(data_genes(pd.DataFrame(index=[name, "MT.CO1", "X7SK", "A_B", "CD4", "CD.4"])), table)
    assert mapping.place.tolist() == [0, 1, 2, -1, 5, -1]
    assert mapping.mangled == (0, 1, 2)


def test_a_row_of_another_species_is_no_gene_of_this_one_whatever_its_symbol():
    var = pd.DataFrame({"gene_ids": ["ENSMUSG00000000001", "ENSG00000000099"]}, index=["AAA", "CCC"])
    mapping = match_genes(data_genes(var), TABLE)
    assert mapping.place.tolist() == [-1, 2]
    assert mapping.foreign == (0,)


def test_a_name_made_unique_that_the_table_knows_stands_for_itself():
    table = GeneTable.of(["AAA", "AAA-1"])
    assert match_genes(data_genes(pd.DataFrame(index=["AAA-1", "AAA"])), table).place.tolist() == [1, 0]


def test_numbers_in_columns_are_no_names():
    genes = data_genes(pd.DataFrame({"n_cells": [1, 2], "highly_variable": [True, False]}, index=["AAA", "BBB"]))
    assert genes.ensembl == ("", "")
    assert genes.names == (("AAA",), ("BBB",))


def test_no_genes_at_all_map_to_nothing():
    assert match_genes(data_genes(pd.DataFrame(index=[])), TABLE).kept.size == 0


@given(st.integers(0, 2**32 - 1))
def test_aligned_counts_equal_a_loop_over_rows_whatever_the_order(seed):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.5, size=(17, 29))
    mapping = GeneMapping(place := rng.integers(-1, 13, size=29), np.where(place < 0, -1, 1))
    expected = np.zeros((17, 13))
    for row, to in enumerate(place):
        if to >= 0:
            expected[:, to] += counts[:, row]
    aligned = align(sp.csr_matrix(counts.astype(np.float32)), mapping)
    np.testing.assert_array_equal(aligned.toarray(), expected[:, mapping.kept])
    order = rng.permutation(29)
    again = align(sp.csr_matrix(counts[:, order].astype(np.float32)), GeneMapping(place[order], mapping.way[order]))
    np.testing.assert_array_equal(again.toarray(), aligned.toarray())
    assert aligned.has_sorted_indices


def test_the_record_says_what_became_of_every_gene():
    var = pd.DataFrame(index=["AAA", "OLDA", "X", "Y", "BBB"])
    genes = data_genes(var)
    record = mapping_record(match_genes(genes, TABLE), genes, TABLE, np.array([10.0, 5.0, 1.0, 3.0, 1.0]))
    assert record["n_read"] == 5
    assert record["n_model"] == 5
    assert record["n_found"] == 2
    assert record["matched_by"] == {"ensembl": 0, "symbol": 2, "alias": 1}
    assert (record["summed"], record["dropped"], record["absent_from_data"]) == (1, 2, 3)
    assert record["umi_share_kept"] == pytest.approx(16 / 20)
    assert record["summed_genes"].tolist() == ["AAA"]
    assert record["dropped_genes"].tolist() == ["Y", "X"]
    assert record["dropped_umi"].tolist() == [3.0, 1.0]
    assert record["absent_genes"].tolist() == ["CCC", "DDD", "EEE"]
