"""Terms that say nearly the same count once: the rule, by hand and as properties; coverage; specific terms."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from cellprism.enrich.dependence import alike
from cellprism.enrich.distinct import coverage, highest_information, representatives
from cellprism.enrich.membership import information_in, term_table
from cellprism.enrich.over_representation import over_representation
from cellprism.ontology.collection import Collection, information_of

GENES = [f"G{i}" for i in range(29)]


def members(*sets: set[int]):
    return sp.csr_array(np.array([[int(g in genes) for g in range(41)] for genes in sets]))


def test_the_most_informative_of_terms_that_say_nearly_the_same_stands_for_them():
    member = members({1, 2, 3, 4}, {1, 2, 3}, {1, 2, 3, 4, 5}, {7, 8}, {8, 9})
    assert representatives(member, np.array([2.0, 3.0, 1.0, 4.0, 4.0])).tolist() == [1, 1, 1, 3, 4]


def test_half_of_the_genes_is_not_enough_and_the_threshold_says_what_is():
    member = members({1, 2, 3}, {2, 3, 4}, {10})
    assert representatives(member, np.array([1.0, 2.0, 3.0])).tolist() == [0, 1, 2]
    assert representatives(member, np.array([1.0, 2.0, 3.0]), threshold=0.49).tolist() == [1, 1, 2]


def test_a_chain_from_a_leaf_to_the_root_is_several_terms_and_not_one():
    """Each is nearly the same as the next; the first and the last share nothing to speak of."""
    chain = members(*(set(range(size)) for size in (3, 5, 8, 13, 21, 34)))
    assert len(set(alike(chain))) == 1
    assert representatives(chain, np.arange(6, 0, -1.0)).tolist() == [0, 0, 2, 2, 4, 4]


def test_terms_join_the_representative_that_they_are_most_like():
    member = members({1, 2, 3, 4, 5}, {3, 4, 5, 6, 7, 8}, {1, 2, 3, 4, 5, 6, 7, 8})
    assert representatives(member, np.array([3.0, 2.0, 1.0])).tolist() == [0, 1, 1]


@settings(max_examples=50)
@given(st.lists(st.sets(st.integers(0, 12), min_size=1), min_size=1, max_size=23), st.integers(0, 99))
def test_every_term_is_like_the_one_that_stands_for_it_and_no_two_of_those_are_alike(sets, seed):
    information = np.random.default_rng(seed).permutation(len(sets)).astype(float)
    found = representatives(members(*sets), information)
    jaccard = [[len(a & b) / len(a | b) for b in sets] for a in sets]
    for term, other in enumerate(found):
        assert found[other] == other
        assert other == term or (jaccard[term][other] > 0.5 and information[other] > information[term])
    leads = sorted(set(found.tolist()))
    assert all(jaccard[a][b] <= 0.5 for a in leads for b in leads if a != b)


@pytest.fixture
def tested():
    terms = {
        "broad": GENES[:20],
        "narrow": GENES[:6],
        "narrow too": GENES[:5],
        "other": GENES[20:25],
        "never": GENES[25:],
    }
    lists = {"a": GENES[:5], "b": GENES[:6], "c": GENES[20:25], "d": ["G6", "G21", "G27"]}
    return over_representation(lists, terms, GENES), terms, lists


def test_coverage_counts_lists_terms_distinct_terms_and_their_genes(tested):
    table, collection, lists = tested
    terms = term_table(collection, GENES)
    found = coverage(table, lists, terms, representatives(terms.member, information_in(terms, collection)))
    assert (found.lists, found.terms, found.distinct) == (3, 3, 2)
    assert found.genes == 11
    assert found.share == pytest.approx(11 / 29)
    none = coverage(table.iloc[:0], lists, terms, np.arange(5))
    assert (none.lists, none.terms, none.distinct, none.genes, none.share) == (0, 0, 0, 0, 0)


def test_the_table_says_how_informative_terms_are_and_each_list_has_its_most_specific_one(tested):
    table, collection, _ = tested
    expected = information_of(collection)
    assert expected["narrow too"] == pytest.approx(np.log(29 / 5))
    assert table["information_content"].tolist() == pytest.approx([expected[term] for term in table["term"]])
    found = highest_information(table, ["d", "a", "c"])
    assert np.isnan(found[0])
    assert found[1:].tolist() == pytest.approx([np.log(29 / 5), np.log(29 / 5)])


def test_information_of_an_ontology_goes_before_that_of_the_gene_sets_alone():
    sets = {"one": ("G1", "G2"), "other": ("G1",)}
    assert information_of(Collection("made up", sets)) == pytest.approx({"one": 0.0, "other": np.log(2)})
    known = Collection("made up", sets, information={"one": 4.0, "other": 5.0})
    assert information_of(known.sized(2)) == {"one": 4.0, "other": 5.0}
    table = over_representation({"a": ["G1", "G2"]}, known, ["G1", "G2", "G3"])
    assert dict(zip(table["term"], table["information_content"], strict=True)) == {"one": 4.0, "other": 5.0}


def test_tables_say_where_gene_sets_come_from_and_keep_it_in_a_file(tmp_path):
    table = over_representation({"a": ["G1"]}, Collection("made up", {"one": ("G1",)}, made="by hand"), GENES)
    table.to_parquet(tmp_path / "table.parquet")
    kept = pd.read_parquet(tmp_path / "table.parquet").attrs["cellprism"]["gene_sets"]
    assert kept == {"name": "made up", "made": "by hand", "files": []}
