"""What the data says twice and not alike: refused or named with its size."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellprism.cells.genes import GeneTable
from cellprism.cells.read import check_cells, read_cells
from cellprism.errors import CellsError

from .conftest import IDS, SYMBOLS, write_10x_h5, write_folder


def refused(source, **options) -> str:
    with pytest.raises(CellsError) as error:
        read_cells(source, **options)
    return str(error.value)


def notes(source, **options) -> str:
    return "\n".join(read_cells(source, **options).uns["cellprism"]["notes"])


@pytest.mark.parametrize("shift", [1, -1, 7])
def test_ids_shifted_against_symbols_are_refused(cells, table, shift):
    cells.var["gene_ids"] = np.roll(IDS, shift)
    said = refused(cells, genes=table)
    assert "ids and symbols name different genes in 29 of 29 rows, such as 'CD3D' with the id of" in said
    assert "one of the two was sorted or shifted alone" in said


def test_a_symbol_that_has_moved_on_is_named_and_the_id_used(cells, table, counts):
    cells.var["gene_ids"] = [IDS[1], IDS[0], *IDS[2:]]
    assert "2 rows (CD3D, CD3E) have the id of another gene than their symbol; the id was used" in notes(
        cells, genes=table
    )
    np.testing.assert_array_equal(read_cells(cells, genes=table)[:, "CD3E"].X.toarray()[:, 0], counts[:, 0])


def test_mouse_rows_do_not_fall_through_to_human_symbols(cells, table, counts):
    mouse = [i.replace("ENSG", "ENSMUSG") for i in IDS]
    cells.var["gene_ids"] = mouse
    assert "no gene of the data is among the model's 29" in refused(cells, genes=table)
    large = GeneTable.of(SYMBOLS + [f"Q{i}" for i in range(171)], IDS + [f"ENSG{i:011d}" for i in range(300, 471)])
    wide = sp.csr_matrix(np.hstack([counts] * 7)[:, :200])
    var = pd.DataFrame({"gene_ids": [mouse[0], *large.ensembl[1:]]}, index=large.symbol)
    data = anndata.AnnData(wide, var=var)
    read = read_cells(data, genes=large)
    assert "CD3D" not in read.var_names
    assert "1 rows (CD3D) have an id of another species and a symbol of this one, and were dropped" in str(
        read.uns["cellprism"]["notes"]
    )


def test_two_genomes_in_one_file_are_refused_with_their_sizes(tmp_path, counts, barcodes, cells, table):
    columns = {"features/id": IDS, "features/name": SYMBOLS, "features/feature_type": ["Gene Expression"] * 29}
    genome = ["GRCh38"] * 17 + ["mm10"] * 12
    path = write_10x_h5(tmp_path / "a.h5", counts, columns | {"features/genome": genome}, barcodes, "matrix")
    assert "its genes are of 2 genomes (GRCh38 17, mm10 12), so cells of both" in refused(path, genes=table)
    one = write_10x_h5(tmp_path / "b.h5", counts, columns | {"features/genome": ["GRCh38"] * 29}, barcodes, "matrix")
    assert read_cells(one, genes=table).n_vars == 29
    prefixed = [f"{g}_{s}" for g, s in zip(genome, SYMBOLS, strict=True)]
    rows = [[f"{g}_{i}", n, "Gene Expression"] for g, i, n in zip(genome, IDS, prefixed, strict=True)]
    folder = write_folder(tmp_path / "out", counts, rows, barcodes)
    assert "its genes are of 2 genomes (GRCh38 17, mm10 12)" in refused(folder, genes=table)
    cells.var_names = IDS[:17] + [i.replace("ENSG", "ENSMUSG") for i in IDS[17:]]
    assert "its genes are of 2 genomes (ENSG 17, ENSMUSG 12)" in refused(cells, genes=table)


@pytest.mark.parametrize("prefix", ["GRCh38_", "hg19_", "GRCh38___", "hg38-"])
def test_the_prefix_of_one_genome_is_taken_off_and_said(cells, table, counts, prefix):
    cells.var_names = [prefix + s for s in SYMBOLS]
    read = read_cells(cells, genes=table)
    np.testing.assert_array_equal(read.X.toarray(), counts[:, ::-1])
    assert f"'{prefix.strip('_-')}' was taken off the names of 29 genes" in read.uns["cellprism"]["notes"]


@pytest.mark.parametrize("form", ['"{}"', "'{}'", " {} ", '"{} "'])
def test_quotes_and_blanks_are_taken_off_and_said(cells, table, counts, form):
    cells.var_names = [form.format(s) for s in SYMBOLS]
    read = read_cells(cells, genes=table)
    np.testing.assert_array_equal(read.X.toarray(), counts[:, ::-1])
    assert "quotes or blanks were taken off the names of 29 genes" in read.uns["cellprism"]["notes"]


def test_names_that_r_changed_are_read_and_counted(cells, counts):
    table = GeneTable.of([*SYMBOLS[:27], "HLA-DRA", "MT-CO1"])
    cells.var_names = [*SYMBOLS[:27], "HLA.DRA", "MT.CO1"]
    np.testing.assert_array_equal(read_cells(cells, genes=table).X.toarray(), counts)
    assert "2 rows (HLA.DRA, MT.CO1) were read with the punctuation of their genes, which R changes" in notes(
        cells, genes=table
    )


@pytest.mark.parametrize("name", ["1-Mar", "2-Sep", "Sep-02", "2024-03-01", "2.31E+13", "1-Dec"])
def test_names_that_a_spreadsheet_made_dates_are_counted(cells, table, name):
    cells.var_names = [name, *SYMBOLS[1:]]
    said = notes(cells, genes=table)
    assert f"1 rows ({name}) are dates or numbers that a spreadsheet made of names" in said
    assert "of counts); take the names from before, or add Ensembl ids" in said


def barcodes_without_cells(counts) -> anndata.AnnData:
    more = np.zeros((61, 29))
    more[np.arange(61), np.arange(61) % 7] = 1
    return anndata.AnnData(sp.csr_matrix(np.vstack([counts * 100, more])), var=pd.DataFrame(index=SYMBOLS))


def test_empty_barcodes_are_more_than_a_footnote(counts, table):
    cells = barcodes_without_cells(counts)
    cells.X = sp.csr_matrix(cells.X)
    report = check_cells(cells, genes=table)
    assert report.verdict.startswith("fits with losses: ")
    assert "61 cells have fewer than 10 counts and are hardly cells: empty barcodes?" in report.verdict
    small = GeneTable.of(SYMBOLS[7:], IDS[7:])
    assert "61 of 78 cells have no counts in the model's genes, such as '17': empty barcodes" in refused(
        cells, genes=small
    )
