"""Edges through one door."""

import gzip

import pandas as pd
import pytest

from cellprism.errors import ConfigError
from cellprism.regulation.edges import in_cells, read_edges, refuse_strangers


@pytest.fixture
def literature(tmp_path):
    rows = [
        ("A", "B", 1),
        ("A", "A", 1),
        ("A", "C", -1),
        ("C", "A", 1),
        ("B", "C", None),
        ("A", "B", 1),
        ("old", "D", -3),
    ]
    path = tmp_path / "edges.csv"
    pd.DataFrame(rows, columns=["source", "target", "weight"]).to_csv(path, index=False)
    return path


def test_edges_of_a_gene_to_itself_and_back_are_left_out_and_counted(literature):
    found = read_edges(literature, {"old": "new"})
    assert list(found.table.itertuples(index=False, name=None)) == [
        ("A", "B", 1.0),
        ("B", "C", 0.0),
        ("new", "D", -1.0),
    ]
    assert found.dropped == {"named again": 1, "of a gene to itself": 1, "with an edge back": 2}
    assert found.kind == "literature"
    assert found.feedback == {("A", "C"), ("C", "A")}
    assert list(found.targets("B")["target"]) == ["C"]
    assert found.counts() == {"A": 1, "B": 1, "new": 1}


def test_genes_that_the_cells_lack_or_hardly_express_are_counted(literature):
    found = in_cells(read_edges(literature), pd.Index(["A", "B", "C"]), pd.Index(["A", "B"]))
    assert list(found.table["target"]) == ["B"]
    assert found.dropped["not in the model or the cells"] == 1
    assert found.dropped["not expressed"] == 1


def test_measured_edges_have_the_sign_of_raising_and_conditions_are_averaged(tmp_path):
    rows = [("X", "Y", -1.0, "rest"), ("X", "Y", -3.0, "stim"), ("Y", "X", 0.5, "rest"), ("X", "Z", None, "rest")]
    path = tmp_path / "measured.parquet"
    pd.DataFrame(rows, columns=["perturbed_gene", "measured_gene", "log_fc", "condition"]).to_parquet(path)
    found = read_edges(path)
    assert found.kind == "measured"
    assert list(found.table.itertuples(index=False, name=None)) == [("X", "Y", 2.0), ("Y", "X", -0.5)]
    assert found.dropped == {"without a number": 1, "named again": 1}


def test_a_screen_is_edges_to_the_gene_that_was_read(tmp_path):
    rows = [("X", "CD8+ IFNG", -2.0), ("Y", "CD8+ IFNG", 1.0), ("X", "CD4+ IL2", 0.0)]
    path = tmp_path / "screen.tsv"
    pd.DataFrame(rows, columns=["gene", "screen", "log2_fold_change"]).to_csv(path, index=False, sep="\t")
    found = read_edges(path)
    assert found.screens == {"IFNG": "CD8+ IFNG", "IL2": "CD4+ IL2"}
    assert found.table.set_index(["source", "target"])["effect"].to_dict() == {
        ("X", "IFNG"): 2.0, ("X", "IL2"): 0.0, ("Y", "IFNG"): -1.0,
    }  # fmt: skip


def test_what_is_no_table_of_edges_is_refused_with_the_fix(tmp_path):
    with pytest.raises(ConfigError, match="there is no file .*none.csv with edges; expected a CSV"):
        read_edges(tmp_path / "none.csv")
    other = tmp_path / "other.csv"
    other.write_text("from,to\nA,B\n")
    with pytest.raises(ConfigError, match="has the columns from, to; expected source and target"):
        read_edges(other)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 and no more")
    with pytest.raises(ConfigError, match="cannot be read as a table"):
        read_edges(broken)
    itself = tmp_path / "self.csv"
    itself.write_text("source,target\nA,A\n")
    with pytest.raises(ConfigError, match="holds no edge from one gene to another"):
        read_edges(itself)
    for name, content, why in (
        (
            "words.csv",
            b"source,target,weight\nA,B,1\nA,C,activation\n",
            "has 'activation' as .*1 of 2 are words.*; expected 1",
        ),
        ("words.tsv", b"gene\tscreen\tlog2_fold_change\nA\tCD8 X\thigh\n", "has 'high' as .*expected numbers"),
        ("page.csv", b"\n<!DOCTYPE html>\n<html><body>404</body></html>", "is a web page and no table; download"),
        ("empty.csv", b"", "cannot be read as a table"),
        ("header.csv", b"source,target,weight\n", "holds no edge from one gene to another"),
        ("cut.csv.gz", gzip.compress(b"source,target\nA,B\n" * 99)[:-9], "cannot be read as a table"),
        ("plain.csv.gz", b"source,target\nA,B\n", "cannot be read as a table"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match=why):
            read_edges(tmp_path / name)


def test_ensembl_ids_are_spelled_as_the_model_spells_its_genes(tmp_path):
    path = tmp_path / "ids.csv"
    path.write_text("source,target\nENSG00000073861.3,IFNG \n")
    found = read_edges(path, {"ENSG00000073861": "TBX21"})
    assert list(found.table.itertuples(index=False, name=None)) == [("TBX21", "IFNG", 0.0)]


def test_signs_that_contradict_each_other_are_not_known(tmp_path):
    path = tmp_path / "twice.csv"
    path.write_text("source,target,weight\nA,B,1\nA,B,-1\nA,C,1\n")
    found = read_edges(path)
    assert found.table.set_index("target")["effect"].to_dict() == {"B": 0.0, "C": 1.0}
    assert found.dropped == {"named again": 1}


def test_genes_of_which_none_is_known_are_refused_with_the_likely_reason():
    genes = pd.Index(["TBX21", "IFNG"])
    refuse_strangers(["IFNG", "nobody"], genes, "edges.csv")
    for named, why in (
        (["Tbx21", "Ifng"], "another species or in small letters"),
        (["ENSMUSG00000001444"], "they are Ensembl ids"),
        (["A"], r"such as A, is in the model and the cells; expected symbols .* such as TBX21, IFNG"),
    ):
        with pytest.raises(ConfigError, match=why):
            refuse_strangers(named, genes, "edges.csv")


def test_the_published_tables_come_through(test_data):
    literature = read_edges(test_data / "collectri_human.csv.gz")
    assert len(literature.targets("TBX21")) == 49  # of 54 one is itself and four have an edge back
    assert not (literature.table["source"] == literature.table["target"]).any()
    screens = read_edges(test_data / "crispri_screens_tcell.parquet")
    ifng = screens.table[screens.table["target"] == "IFNG"].set_index("source")["effect"]
    assert ifng.rank(ascending=False)["TBX21"] < 200
    assert read_edges(test_data / "cd4_perturbseq_edges.parquet").table["source"].nunique() == 30
