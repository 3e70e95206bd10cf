"""OBO files: what is read of them, and what is refused."""

import gzip
from pathlib import Path

import pytest

from cellprism.errors import ConfigError, DamagedError
from cellprism.ontology.collection import Origin
from cellprism.ontology.obo import read_obo
from cellprism.store.atomic import sha256
from ontology.made_up import OBO


def written(folder: Path, text: str = OBO, name: str = "go.obo") -> Path:
    (folder / name).write_text(text)
    return folder / name


def above(onto, id: str) -> set[str]:
    row = onto.ancestors[[onto.place[id]]]
    return {onto.ids[i] for i in row.indices}


def test_terms_names_namespaces_release_and_checksum_are_read(tmp_path):
    path = written(tmp_path)
    onto = read_obo(path)
    assert onto.ids[:3] == ("GO:0008150", "GO:0000002", "GO:0000003")
    assert onto.names[3] == "T cell signalling, 3'-end {of a kind}"
    assert onto.namespaces == ("BP",) * 5 + ("MF",) * 2
    assert onto.origin == Origin("go.obo", "2024-01-17", sha256(path))
    assert set(onto.obsolete) == {"GO:0000090", "GO:0000091"}


def test_a_gzipped_file_with_other_line_ends_reads_the_same(tmp_path):
    (tmp_path / "go.obo.gz").write_bytes(gzip.compress(OBO.replace("\n", "\r\n").encode()))
    packed, plain = read_obo(tmp_path / "go.obo.gz"), read_obo(written(tmp_path))
    assert packed.ids == plain.ids
    assert (packed.parents != plain.parents).nnz == 0


def test_ancestors_follow_is_a_and_part_of_only_where_it_is_asked_for(tmp_path):
    path = written(tmp_path)
    is_a, both = read_obo(path), read_obo(path, ("is_a", "part_of"))
    assert above(is_a, "GO:0000005") == {"GO:0000005", "GO:0000002", "GO:0008150"}
    assert above(both, "GO:0000005") == {"GO:0000005", "GO:0000004", "GO:0000003", "GO:0000002", "GO:0008150"}
    assert above(is_a, "GO:0000011") == {"GO:0000011", "GO:0003674"}
    assert above(both, "GO:0000011") == {"GO:0000011", "GO:0003674", "GO:0000003", "GO:0008150"}
    assert above(both, "GO:0000004") == above(is_a, "GO:0000004")  # regulates leads nowhere


def test_ids_of_old_stand_for_the_term_and_obsolete_ones_say_what_to_use_instead(tmp_path):
    onto = read_obo(written(tmp_path))
    assert onto.find(["GO:0000022", "GO:0000002"]).tolist() == [1, 1]
    with pytest.raises(
        ConfigError, match=r"GO:0000090 \(obsolete rosette forming\) is obsolete: use GO:0000005, which"
    ):
        onto.find(["GO:0000090"])
    with pytest.raises(ConfigError, match=r"GO:0000091 .* is obsolete: consider GO:0000002 or GO:0000003"):
        onto.find(["GO:0000091"])
    with pytest.raises(ConfigError, match=r"there is no term 'GO:000004'; did you mean GO:0000004"):
        onto.find(["GO:000004"])


def test_terms_of_other_ontologies_that_are_not_in_the_file_are_no_parents(tmp_path):
    text = OBO.replace(
        "relationship: part_of GO:0000004",
        "relationship: part_of CL:0000084 ! T cell\nrelationship: part_of GO:0000004",
    )
    assert read_obo(written(tmp_path, text), ("is_a", "part_of")).parents.nnz == 8


HOLE = OBO[: OBO.index("id: GO:0000003")] + OBO[OBO.index("id: GO:0000004") :]
CYCLE = OBO.replace("name: biological_process\n", "name: biological_process\nis_a: GO:0000005\n")
BY_PART = OBO.replace(
    "namespace: biological_process\nis_a: GO:0000002 !",
    "namespace: biological_process\nrelationship: part_of GO:0000005\nis_a: GO:0000002 !",
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<!DOCTYPE html>\n<html><body>GO downloads</body></html>", r"is a web page \(HTML\), not an OBO file"),
        ("\n <html lang='en'>", r"is a web page \(HTML\)"),
        ("<?xml version='1.0'?>\n<rdf:RDF>", r"is XML \(OWL\), not an OBO file"),
        ('{"graphs": []}', r"is JSON, not an OBO file"),
        ("term\tgenes\n", r"is not an OBO file: it has neither a format-version nor a \[Term\]"),
        ("format-version: 1.2\n", r"holds no terms"),
        (HOLE, r"parent GO:0000003, which is not in the file"),
        (OBO.replace("is_a: GO:0000002 !", "is_a: GO:0000090 !"), r"parent GO:0000090, which is obsolete: use GO:"),
        (OBO + "\n[Term]\nid: GO:0000002\nname: again\n", r"holds GO:0000002 more than once"),
        (OBO.replace("id: GO:0000004\n", ""), r"line 23: the term has no id"),
        (OBO.replace("name: signalling\n", ""), r"the term of GO:0000003 has no name"),
        (OBO.replace("\n[Term]\nid: GO:0000003", "id: GO:0000003"), r"more than one id, name or namespace"),
        (CYCLE, r"is_a lead in a circle of 3 terms, GO:0008150 → GO:0000005 → .*; no term can be a part of itself"),
        (OBO.replace("is_a: GO:0008150 !", "is_a: GO:0000002 !"), r"circle of 1 terms, GO:0000002 → GO:0000002"),
    ],
)  # fmt: skip
def test_what_is_no_whole_ontology_is_refused_with_the_reason(tmp_path, text, said):
    with pytest.raises(DamagedError, match=said) as error:
        read_obo(written(tmp_path, text))
    assert str(tmp_path / "go.obo") in str(error.value)


def test_a_circle_by_part_of_matters_only_where_it_is_followed_and_the_message_says_so(tmp_path):
    path = written(tmp_path, BY_PART)
    assert read_obo(path).ids
    with pytest.raises(DamagedError, match=r"GO:0000004 → GO:0000005 → GO:0000004 .*or leave part_of out of relations"):
        read_obo(path, ("is_a", "part_of"))


@pytest.mark.parametrize("relations", [(), ("is_a", "regulates")])
def test_relations_that_pass_nothing_on_are_refused(tmp_path, relations):
    with pytest.raises(ConfigError, match=r"relations is .*: expected \['is_a'\] or \['is_a', 'part_of'\]"):
        read_obo(written(tmp_path), relations)


def test_a_file_cut_off_is_refused(tmp_path):
    (tmp_path / "go.obo.gz").write_bytes(gzip.compress(OBO.encode())[:-40])
    with pytest.raises(DamagedError, match="damaged gzip file"):
        read_obo(tmp_path / "go.obo.gz")
