"""GAF files and tables of terms and annotations: what is read, left out and refused."""

from pathlib import Path

import pytest

from cellprism.errors import ConfigError, DamagedError
from cellprism.ontology.gaf import read_gaf
from cellprism.ontology.tables import read_annotation_table, read_graph_table
from ontology.made_up import HEADER, ROWS, gaf

GRAPH = (
    "go_id\tname\tnamespace\tis_a_parents\tpart_of_parents\n"
    "GO:1\troot\tBP\t\t\nGO:2\tone\tBP\tGO:1\t\nGO:3\tother\tBP\tGO:1\tGO:2\nGO:4\tlast\tBP\tGO:2|GO:3\t\n"
)
TABLE = (
    "symbol\tgo_id\tevidence\tqualifier\ttaxon\n"
    "CD4\tGO:2\tIDA\tinvolved_in\t9606\nNA\tGO:3\tIEA\t\t9606\nCD8A\tGO:3\tIDA\tNOT|involved_in\t9606\n"
    "Cd4\tGO:2\tIDA\t\t10090\nINS\tGO:1\tND\t\t9606\n"
)


def written(folder: Path, text: str, name: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def pairs(found) -> set[tuple[str, str]]:
    return set(zip(found.genes, found.terms, strict=True))


def test_not_and_no_data_annotate_nothing_and_are_counted(tmp_path):
    found = read_gaf(written(tmp_path, gaf(), "goa.gaf"))
    assert pairs(found) == {(row[0], row[2]) for row in ROWS if row[0] != "ALB" and row[3] != "ND"}
    assert found.left_out == {"NOT": 1, "no data (ND)": 1}
    assert found.origin.release == "2024-01-18"


@pytest.mark.parametrize(
    ("evidence", "genes"),
    [(("experimental",), {"CD4", "CD8A", "LCK"}), (("manual",), {"CD4", "CD8A", "LCK", "FYN"}), (("TAS",), {"FYN"})],
)
def test_evidence_is_chosen_by_code_or_by_group(tmp_path, evidence, genes):
    found = read_gaf(written(tmp_path, gaf(), "goa.gaf"), evidence=evidence)
    assert set(found.genes) == genes
    assert found.left_out["other evidence"] == 9 - 2 - len(found.genes)


def test_annotations_of_another_species_are_refused_and_single_ones_left_out(tmp_path):
    mouse = [(row[0].title(), *row[1:4], "taxon:10090|taxon:9606") for row in ROWS]
    path = written(tmp_path, gaf(mouse), "mgi.gaf")
    said = r"annotates genes of taxon 10090 \(mouse\), and none of taxon 9606 \(human\); .*set taxon = 10090"
    with pytest.raises(ConfigError, match=said):
        read_gaf(path)
    assert set(read_gaf(path, taxon=10090).genes) >= {"Cd4", "Lck"}
    both = read_gaf(written(tmp_path, gaf([*ROWS, mouse[0]]), "both.gaf"))
    assert both.left_out["other species"] == 1
    assert "Cd4" not in both.genes


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("<html><body>not found</body></html>", DamagedError, r"is a web page \(HTML\), not a GAF file"),
        (gaf(header="!gaf-version: 1.0\n"), DamagedError, r"is GAF 1\.0; expected GAF 2\.0 to 2\.2"),
        (gaf(header="!gpa-version: 1.1\n"), DamagedError, r"no line !gaf-version, so it is GPAD, which has no symbols"),
        (gaf(header=""), DamagedError, r"no line !gaf-version, so it is no GAF"),
        (HEADER, DamagedError, r"holds no annotations"),
        (gaf() + "UniProtKB\tP1\tCD3E\n", DamagedError, r"line 13: expected 17 columns separated by tabs, found 3"),
        (gaf([("", "", "GO:0000004", "IDA", "taxon:9606")]), DamagedError, r"line 4: it has no symbol, no term"),
    ],
)  # fmt: skip
def test_what_is_no_gaf_file_is_refused_with_the_reason(tmp_path, text, error, said):
    with pytest.raises(error, match=said):
        read_gaf(written(tmp_path, text, "goa.gaf"))


def test_unknown_evidence_names_what_there_is(tmp_path):
    with pytest.raises(
        ConfigError, match=r"evidence names 'expermental': expected 'experimental' or 'manual', or codes"
    ):
        read_gaf(written(tmp_path, gaf(), "goa.gaf"), evidence=("expermental",))


def test_a_table_of_terms_reads_as_a_graph(tmp_path):
    path = written(tmp_path, GRAPH, "graph.tsv")
    assert read_graph_table(path).parents.nnz == 4
    both = read_graph_table(path, ("is_a", "part_of"), release="2024-01")
    assert both.parents.nnz == 5
    assert both.origin.release == "2024-01"
    commas = read_graph_table(written(tmp_path, GRAPH.replace("\t", ","), "graph.csv"))
    assert commas.ids == both.ids


def test_a_table_of_annotations_leaves_out_what_a_gaf_file_would(tmp_path):
    found = read_annotation_table(written(tmp_path, TABLE, "goa.tsv"))
    assert pairs(found) == {("CD4", "GO:2"), ("NA", "GO:3")}
    assert found.left_out == {"other species": 1, "NOT": 1, "no data (ND)": 1}
    chosen = read_annotation_table(tmp_path / "goa.tsv", evidence=("manual",))
    assert pairs(chosen) == {("CD4", "GO:2")}
    flagged = written(tmp_path, "symbol\tgo_id\texperimental\nCD4\tGO:2\t1\nCD8A\tGO:2\t0\n", "flag.tsv")
    assert read_annotation_table(flagged, evidence=("experimental",)).genes == ["CD4"]
    with pytest.raises(ConfigError, match=r"no column evidence, .*or set evidence = \['experimental'\]"):
        read_annotation_table(flagged, evidence=("IDA",))


@pytest.mark.parametrize(
    ("read", "text", "error", "said"),
    [
        (read_graph_table, "<!doctype html><p>", DamagedError, r"is a web page \(HTML\), not a table of terms"),
        (read_graph_table, TABLE, DamagedError, r"is not a table of terms: it has no column name, namespace; expected"),
        (read_graph_table, GRAPH.replace("is_a_parents", "parents"), ConfigError, r"has no column is_a_parents, so it"),
        (read_annotation_table, GRAPH, DamagedError, r"is not a table of annotations: it has no column symbol"),
        (read_annotation_table, "symbol\tgo_id\nCD4\t\n", DamagedError, r"line 2 lacks a value"),
        (read_annotation_table, "symbol\tgo_id\n", DamagedError, r"it has no rows"),
        (read_annotation_table, "", DamagedError, r"is not a readable table \(No columns"),
        (read_annotation_table, TABLE.replace("9606", "10090"), ConfigError, r"genes of taxon 10090, and none of 9606"),
    ],
)  # fmt: skip
def test_what_is_no_such_table_is_refused_with_the_reason(tmp_path, read, text, error, said):
    with pytest.raises(error, match=said):
        read(written(tmp_path, text, "some.tsv"))
