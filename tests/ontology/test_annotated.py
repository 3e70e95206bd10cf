"""Propagation, information content and similarities: by hand on a small ontology, and as goatools on all of GO."""

import math

import numpy as np
import pandas as pd
import pytest
from goatools.anno.gaf_reader import GafReader
from goatools.obo_parser import GODag
from goatools.semantic import TermCounts, get_info_content, lin_sim, resnik_sim

from cellprism.errors import ConfigError
from cellprism.ontology.annotated import annotate
from cellprism.ontology.gaf import read_gaf
from cellprism.ontology.obo import read_obo
from cellprism.ontology.tables import read_annotation_table, read_graph_table
from ontology.made_up import OBO, ROWS, gaf


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("go")
    (folder / "go.obo").write_text(OBO)
    (folder / "goa.gaf").write_text(gaf())
    return folder


@pytest.fixture(scope="module")
def small(files):
    return annotate(read_obo(files / "go.obo"), read_gaf(files / "goa.gaf"))


@pytest.fixture(scope="module")
def both(files):
    return annotate(read_obo(files / "go.obo", ("is_a", "part_of")), read_gaf(files / "goa.gaf"))


def genes_of(found, id: str) -> set[str]:
    column = found.member[:, [found.ontology.place[id]]]
    return {found.genes[i] for i in column.indices}


def test_genes_of_a_term_are_genes_of_all_terms_above(small, both):
    assert genes_of(small, "GO:0000004") == {"CD4", "CD8A"}
    assert genes_of(small, "GO:0000002") == {"CD4", "CD8A", "FYN"}
    assert genes_of(small, "GO:0008150") == {"CD4", "CD8A", "FYN", "LCK", "INS"}
    assert genes_of(small, "GO:0003674") == {"LCK"}
    assert genes_of(both, "GO:0000003") == genes_of(small, "GO:0000003") == {"CD4", "CD8A", "LCK", "INS"}


def test_part_of_passes_on_what_is_a_does_not(files):
    killing = [("PRF1", "involved_in", "GO:0000005", "IDA", "taxon:9606"), *ROWS]
    (files / "more.gaf").write_text(gaf(killing))
    annotations = read_gaf(files / "more.gaf")
    without, with_it = (annotate(read_obo(files / "go.obo", r), annotations) for r in (("is_a",), ("is_a", "part_of")))
    assert "PRF1" not in genes_of(without, "GO:0000004")
    assert "PRF1" in genes_of(with_it, "GO:0000004")
    assert "is_a and part_of" in with_it.made


def test_information_content_is_minus_the_logarithm_of_the_share_of_the_namespace(small):
    by_id = dict(zip(small.ontology.ids, small.information, strict=True))
    assert by_id["GO:0008150"] == 0
    assert by_id["GO:0000004"] == pytest.approx(-math.log(2 / 5))
    assert by_id["GO:0000005"] == pytest.approx(-math.log(1 / 5))
    assert by_id["GO:0000011"] == 0  # one gene of one


def test_similarities_by_hand(small):
    resnik = small.resnik(["GO:0000005", "GO:0000022"], ["GO:0000004", "GO:0000011"])
    immune, signals, killing = (-math.log(n / 5) for n in (3, 2, 1))
    assert resnik == pytest.approx(np.array([[immune, 0], [immune, 0]]))
    lin = small.lin(["GO:0000005", "GO:0008150"], ["GO:0000004", "GO:0008150", "GO:0000005"])
    assert lin == pytest.approx(np.array([[2 * immune / (signals + killing), 0, 1], [0, 1, 0]]))


def test_a_term_without_genes_has_no_similarity(files, small):
    few = annotate(small.ontology, read_gaf(files / "goa.gaf", evidence=("TAS",)))
    with pytest.raises(ConfigError, match=r"no gene is annotated with GO:0000005"):
        few.lin(["GO:0000005"], ["GO:0000002"])


@pytest.mark.parametrize("relations", [("is_a",), ("is_a", "part_of")])
def test_small_files_agree_with_goatools(files, relations):
    """goatools reads both files itself: what it leaves out (NOT, ND) and takes for one (ids of old) is compared too."""
    dag = GODag(str(files / "go.obo"), optional_attrs={"relationship"}, prt=None)
    annotated: dict[str, set[str]] = {}
    for row in GafReader(str(files / "goa.gaf"), prt=None).associations:
        if "NOT" not in row.Qualifier and row.Evidence_Code != "ND":
            annotated.setdefault(row.DB_Symbol, set()).add(dag[row.GO_ID].item_id)
    counts = TermCounts(dag, annotated, relationships={"part_of"} if "part_of" in relations else None)
    found = annotate(read_obo(files / "go.obo", relations), read_gaf(files / "goa.gaf"))
    for id, information in zip(found.ontology.ids, found.information, strict=True):
        assert genes_of(found, id) == set(counts.go2genes.get(id, ()))
        assert information == pytest.approx(get_info_content(id, counts), abs=1e-12)


@pytest.fixture(scope="module")
def whole(test_data):
    graph = read_graph_table(test_data / "go_dag_is_a.tsv.gz")
    return annotate(graph, read_annotation_table(test_data / "go_bp_human_direct_2023-11.tsv.gz"))


def as_obo(table: pd.DataFrame) -> str:
    rows = table[["go_id", "name", "is_a_parents"]].itertuples(index=False)
    return "format-version: 1.2\n\n" + "\n".join(
        f"[Term]\nid: {id}\nname: {name}\nnamespace: biological_process\n"
        + "".join(f"is_a: {parent}\n" for parent in filter(None, above.split("|")))
        for id, name, above in rows
    )


def test_all_of_the_gene_ontology_agrees_with_goatools(whole, test_data, tmp_path):
    """Genes, information content and similarities of every human biological process, by another program."""
    graph = pd.read_csv(test_data / "go_dag_is_a.tsv.gz", sep="\t", keep_default_na=False)
    (tmp_path / "go.obo").write_text(as_obo(graph[graph["namespace"] == "BP"]))
    dag = GODag(str(tmp_path / "go.obo"), prt=None)
    direct = pd.read_csv(test_data / "go_bp_human_direct_2023-11.tsv.gz", sep="\t", keep_default_na=False)
    known = direct[direct["go_id"].isin(set(whole.ontology.ids))]
    assert whole.left_out == {"with terms that the ontology does not know": len(direct) - len(known)}
    counts = TermCounts(dag, known.groupby("symbol")["go_id"].agg(set).to_dict())

    has = np.flatnonzero(np.diff(whole.member.indptr))
    ids = [whole.ontology.ids[i] for i in has]
    assert set(ids) == set(counts.go2genes)
    assert np.diff(whole.member.indptr)[has].tolist() == [len(counts.go2genes[id]) for id in ids]
    theirs = np.array([get_info_content(id, counts) for id in ids])
    np.testing.assert_allclose(whole.information[has], theirs, atol=1e-12)

    rng = np.random.default_rng(0)
    one, other = rng.choice(ids, 23, replace=False).tolist(), rng.choice(ids, 29, replace=False).tolist()
    for ours, their in ((whole.resnik, resnik_sim), (whole.lin, lin_sim)):
        expected = [[their(a, b, dag, counts) for b in other] for a in one]
        np.testing.assert_allclose(ours(one, other), np.array(expected), atol=1e-12)


def test_gene_sets_have_names_ids_sizes_within_limits_and_where_they_come_from(whole):
    found = whole.collection("go", "BP", 3, 500)
    sizes = [len(genes) for genes in found.values()]
    assert min(sizes) == 3
    assert 450 < max(sizes) <= 500
    term = "T cell activation (GO:0042110)"
    assert {"CD3D", "CD28", "LCK"} <= set(found[term])
    assert found.source[term] == "GO:0042110"
    assert found.information[term] == pytest.approx(-math.log(len(found[term]) / len(whole.genes)))
    assert [origin.file for origin in found.origins] == ["go_dag_is_a.tsv.gz", "go_bp_human_direct_2023-11.tsv.gz"]
    assert found.made.endswith("163 with terms that the ontology does not know; BP terms of 3 to 500 genes")
    with pytest.raises(ConfigError, match=r"no term of go_dag_is_a.tsv.gz in CC has 3 to 500 genes; widen the limits"):
        whole.collection("go", "CC", 3, 500)
    with pytest.raises(ConfigError, match=r"has no namespace 'bp'; choose BP, CC, MF or all"):
        whole.collection("go", "bp")


def test_annotations_with_obsolete_terms_are_refused_replaced_or_left_out(files):
    rows = [*ROWS, ("KLRB1", "", "GO:0000090", "IDA", "taxon:9606"), ("B2M", "", "GO:0000091", "IDA", "taxon:9606")]
    (files / "old.gaf").write_text(gaf(rows))
    onto, old = read_obo(files / "go.obo"), read_gaf(files / "old.gaf")
    said = (
        r"2 terms that are obsolete in go\.obo:\n  - GO:0000090 \(obsolete rosette forming\), 1 annotations: use "
        r"GO:0000005, which replaces it\n  - GO:0000091 .*consider GO:0000002 or GO:0000003\n.*set obsolete = 'replace'"
    )
    with pytest.raises(ConfigError, match=said):
        annotate(onto, old)
    replaced = annotate(onto, old, "replace")
    assert "KLRB1" in genes_of(replaced, "GO:0000005")
    assert replaced.left_out["with obsolete terms"] == 1
    assert annotate(onto, old, "leave out").left_out["with obsolete terms"] == 2
    with pytest.raises(ConfigError, match=r"obsolete is 'keep': expected 'refuse', 'replace', 'leave out'"):
        annotate(onto, old, "keep")


def test_an_ontology_that_does_not_know_the_annotations_terms_is_refused(files):
    (files / "hpo.gaf").write_text(gaf([*ROWS, ("CD4", "", "HP:0000001", "IDA", "taxon:9606")]))
    with pytest.raises(ConfigError, match=r"lacks 1 of the 6 terms that hpo\.gaf names \(HP:0000001\), in 1 of 8"):
        annotate(read_obo(files / "go.obo"), read_gaf(files / "hpo.gaf"))


def test_annotations_of_which_nothing_is_left_are_refused(files, small):
    none = read_gaf(files / "goa.gaf", evidence=("HEP",))
    with pytest.raises(ConfigError, match=r"no annotation of goa\.gaf is left \(7 other evidence, 1 NOT, 1 no data"):
        annotate(small.ontology, none)
