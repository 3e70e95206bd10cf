import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellprism.cells.genes import GeneTable, bare_ensembl, read_gene_table, write_gene_table
from cellprism.errors import CellsError, DamagedError


@pytest.mark.parametrize(
    ("written", "bare"),
    [
        ("ENSG00000153563", "ENSG00000153563"),
        ("ENSG00000153563.17", "ENSG00000153563"),
        ("ENSG00000182378.15_PAR_Y", "ENSG00000182378"),
        ("ENSMUSG00000053977", "ENSMUSG00000053977"),
        ("CD8A", ""),
        ("ENSG1", ""),
        ("", ""),
    ],
)
def test_an_ensembl_id_loses_version_and_nothing_else_is_one(written, bare):
    assert bare_ensembl(written) == bare


def test_a_table_knows_the_place_of_symbols_ids_and_aliases():
    table = GeneTable.of(
        ["B2M", "PTPRC", "NEW"], ["ENSG00000166710.13", "", "ENSG00000081237"], [[], ["CD45"], ["OLD"]]
    )
    assert table.by_symbol == {"B2M": 0, "PTPRC": 1, "NEW": 2}
    assert table.by_ensembl == {"ENSG00000166710": 0, "ENSG00000081237": 2}
    assert table.by_alias == {"CD45": 1, "OLD": 2}
    assert len(table) == 3


def test_an_alias_that_is_a_symbol_or_means_two_genes_is_left_out():
    table = GeneTable.of(["A", "B", "C"], aliases=[["B", "X"], ["X", "Y"], [""]])
    assert table.alias == {"Y": "B"}


def test_a_bad_table_lists_all_its_faults_at_once():
    with pytest.raises(CellsError) as error:
        GeneTable(("A", "A", ""), ("ENSG00000166710", "ENSG00000166710"), {"X": "Z"})
    said = "\n".join(error.value.problems)
    assert "3 symbols but 2 Ensembl ids" in said
    assert "1 symbols are empty" in said
    assert "1 symbols occur more than once, such as 'A'" in said
    assert "1 Ensembl ids occur more than once, such as 'ENSG00000166710'" in said
    assert "alias 'X' stands for 'Z', which is not among the symbols" in said


def test_an_empty_table_is_refused():
    with pytest.raises(CellsError, match="it has no genes"):
        GeneTable((), (), {})


NAMES = st.text("ABCDEFGHIJ0123456789-.", min_size=1, max_size=8)


@given(symbols=st.lists(NAMES, min_size=1, max_size=13, unique=True), data=st.data())
def test_a_written_table_reads_back_the_same(tmp_path_factory, symbols, data):
    aliases = data.draw(st.lists(st.lists(NAMES, max_size=3), min_size=len(symbols), max_size=len(symbols)))
    ids = [f"ENSG{i:011d}" if data.draw(st.booleans()) else "" for i in range(len(symbols))]
    table = GeneTable.of(symbols, ids, aliases)
    path = tmp_path_factory.mktemp("table") / "genes.tsv"
    write_gene_table(path, table)
    assert read_gene_table(path) == table
    assert [p.name for p in path.parent.iterdir()] == ["genes.tsv"]


def test_a_published_list_is_read_in_the_order_of_its_index(tmp_path):
    path = tmp_path / "list.tsv.gz"
    with gzip.open(path, "wt") as stream:
        stream.write("gene_name\tindex\nNA\t2\nB2M\t10\nA1BG\t0\n")
    assert read_gene_table(path).symbol == ("A1BG", "NA", "B2M")


def test_a_missing_table_says_what_was_expected(tmp_path):
    with pytest.raises(CellsError, match="no such file; expected a tab-separated gene table with a column 'symbol'"):
        read_gene_table(tmp_path / "none.tsv")


def test_a_table_without_symbols_names_the_columns_it_has(tmp_path):
    path = tmp_path / "genes.tsv"
    path.write_text("name\tid\nB2M\t1\n")
    with pytest.raises(CellsError, match="no column 'symbol'; found 'name', 'id'"):
        read_gene_table(path)


def test_an_index_that_is_no_number_is_shown(tmp_path):
    path = tmp_path / "genes.tsv"
    path.write_text("symbol\tindex\nB2M\tfirst\n")
    with pytest.raises(CellsError, match="column 'index' holds 'first'; expected whole numbers"):
        read_gene_table(path)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08\x00broken", b"\xff\xfe\x00bad\n"])
def test_a_damaged_table_is_called_damaged(tmp_path, content):
    path = tmp_path / ("genes.tsv.gz" if content[:2] == b"\x1f\x8b" else "genes.tsv")
    path.write_bytes(content)
    with pytest.raises(DamagedError, match="is not a readable gene table"):
        read_gene_table(path)


def test_a_truncated_gzipped_table_is_called_damaged(tmp_path):
    path = tmp_path / "genes.tsv.gz"
    whole = gzip.compress(b"symbol\n" + b"".join(b"GENE%d\n" % i for i in range(997)))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedError, match="copy or fetch it again"):
        read_gene_table(path)


def test_a_place_is_that_of_one_gene_and_blanks_are_no_part_of_a_name(tmp_path):
    (tmp_path / "g.tsv").write_text("symbol\tindex\n CD4 \t3\nCD8A\t1\n")
    assert read_gene_table(tmp_path / "g.tsv").symbol == ("CD8A", "CD4")
    (tmp_path / "g.tsv").write_text("symbol\tindex\nCD4\t1\nCD8A\t1\n")
    with pytest.raises(CellsError, match="column 'index' holds 1 more than once"):
        read_gene_table(tmp_path / "g.tsv")
