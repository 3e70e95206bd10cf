import pytest

from cellprism.ontology.collection import Collection


@pytest.fixture
def collection():
    return Collection("made up", {"haem": ("JCHAIN", "RACK1", "GNB2L1", "CD4"), "other": ("RACK1",)})


def test_a_collection_reads_like_a_dictionary(collection):
    assert list(collection) == ["haem", "other"]
    assert len(collection) == 2
    assert collection["other"] == ("RACK1",)
    assert "no such" not in collection
    assert dict(collection) == collection.terms


def test_genes_take_the_spelling_of_the_data_and_two_spellings_of_one_gene_count_once(collection):
    alias = {"JCHAIN": "IGJ", "RACK1": "GNB2L1", "CD4": "CD4-old"}
    spelled = collection.respelled(["IGJ", "GNB2L1", "CD4"], alias)
    assert spelled["haem"] == ("IGJ", "GNB2L1", "CD4")
    assert spelled["other"] == ("GNB2L1",)
    assert collection["haem"] == ("JCHAIN", "RACK1", "GNB2L1", "CD4")


def test_a_gene_that_the_data_knows_as_it_is_keeps_its_name_even_where_an_alias_exists(collection):
    assert collection.respelled(["RACK1", "GNB2L1"], {"RACK1": "GNB2L1"})["other"] == ("RACK1",)


def test_a_gene_that_neither_spelling_finds_in_the_data_stays_to_be_counted_later(collection):
    assert collection.respelled(["CD8A"], {"JCHAIN": "IGJ"})["haem"] == collection["haem"]
