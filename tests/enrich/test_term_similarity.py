from itertools import product

import numpy as np
import pytest

from cellprism.enrich.membership import list_table, term_table
from cellprism.enrich.over_representation import Tails, find_hits, over_representation
from cellprism.enrich.term_similarity import TOP, best_match, term_jaccard, top_terms, within_and_between

GENES = [f"G{i}" for i in range(83)]


def drawn(count: int, seed: int) -> dict[str, tuple[str, ...]]:
    rng = np.random.default_rng(seed)
    return {f"{seed}-{i}": tuple(rng.choice(GENES, rng.integers(3, 14), replace=False)) for i in range(count)}


@pytest.fixture(scope="module")
def made():
    lists, collection = {**drawn(17, 1), "none": ()}, drawn(29, 2)
    terms = term_table(collection, GENES, 3)
    hits = find_hits(list_table(lists.values(), terms), terms, Tails(len(GENES)))
    return lists, collection, terms, top_terms(hits, len(lists), len(terms.names))


def test_terms_are_alike_as_far_as_they_share_genes(made):
    _, collection, terms, _ = made
    found = term_jaccard(terms.member)
    for (i, a), (j, b) in product(enumerate(map(set, collection.values())), repeat=2):
        assert found[i, j] == pytest.approx(len(a & b) / len(a | b))


def test_the_terms_of_a_list_are_its_most_enriched(made):
    lists, collection, terms, profile = made
    table = over_representation(lists, collection, GENES, min_term_size=3)
    for number, name in enumerate(lists):
        theirs = table[table["feature"] == name]["pvalue"].to_numpy()[:TOP]
        mine = [terms.names[t] for t in profile[[number]].indices]
        own = table[(table["feature"] == name) & table["term"].isin(mine)]["pvalue"].to_numpy()
        assert own == pytest.approx(theirs)
        assert profile[[number]].sum() == pytest.approx(1 if len(theirs) else 0)


def test_lists_are_alike_by_the_best_match_of_their_terms(made):
    lists, _, terms, profile = made
    similarity = term_jaccard(terms.member)
    found = best_match(profile, similarity)
    own = [profile[[i]].indices for i in range(len(lists))]
    for a, b in product(range(len(lists)), repeat=2):
        if not len(own[a]) or not len(own[b]):
            assert found[a, b] == 0
            continue
        block = similarity[np.ix_(own[a], own[b])]
        assert found[a, b] == pytest.approx((block.max(axis=1).mean() + block.max(axis=0).mean()) / 2, abs=1e-6)


def test_pairs_within_and_between_groups():
    rng = np.random.default_rng(3)
    alike = rng.random((11, 11))
    alike = alike + alike.T
    group = np.array([0, 1, 1, -1, 2, 0, 1, -1, 2, 0, 3])
    pairs = [(a, b) for a in range(11) for b in range(a)]
    same = [alike[a, b] for a, b in pairs if group[a] == group[b] >= 0]
    other = [alike[a, b] for a, b in pairs if not group[a] == group[b] >= 0]
    assert within_and_between(alike, group) == pytest.approx((np.mean(same), np.mean(other)), rel=1e-5)
    assert np.isnan(within_and_between(alike, np.full(11, -1))[0])
    assert np.isnan(within_and_between(alike, np.zeros(11, dtype=int))[1])
