"""Terms of differential genes by three tests, each two-sided where it has two sides and corrected over everything."""

import numpy as np
import pytest
from scipy.stats import binomtest, false_discovery_control, hypergeom, mannwhitneyu

from cellprism.enrich.term_tests import sized, term_tests
from cellprism.errors import ConfigError

GENES, FEATURES = 97, 7
NAMES = [f"G{i}" for i in range(GENES)]
TERMS = {f"term {i}": NAMES[5 * i : 5 * i + 5 + i] for i in range(13)}


@pytest.fixture(scope="module")
def difference() -> np.ndarray:
    """Effects of each feature; the first raises term 0, the second lowers term 1."""
    effect = np.random.default_rng(0).standard_normal((FEATURES, GENES))
    effect[0, :5] += 4
    effect[1, 5:11] -= 4
    return effect


@pytest.fixture(scope="module")
def lists(difference) -> dict[tuple[int, str], tuple[str, ...]]:
    found = {}
    for feature, row in enumerate(difference):
        found[feature, "up"] = tuple(NAMES[i] for i in np.argsort(-row)[:9])
        found[feature, "down"] = tuple(NAMES[i] for i in np.argsort(row)[:7])
    return found


def terms_by(lists, difference, test: str, alpha: float = 1.1):
    return term_tests(lists, difference, list(range(FEATURES)), NAMES, TERMS, test, alpha)


@pytest.mark.parametrize("test", ["hypergeometric", "binomial", "rank"])
def test_planted_terms_are_found_in_their_direction_and_little_else(lists, difference, test):
    found = terms_by(lists, difference, test, 0.05)
    pairs = set(zip(found["feature"], found["direction"], found["term"], strict=True))
    assert {(0, "up", "term 0"), (1, "down", "term 1")} <= pairs
    assert len(pairs) <= 3


def test_binomial_and_rank_p_values_are_two_sided_and_corrected_over_all(lists, difference):
    every = [
        binomtest(len(set(genes) & set(term)), len(term), len(genes) / GENES).pvalue
        for genes in lists.values()
        for term in TERMS.values()
    ]
    q = false_discovery_control(every).reshape(len(lists), len(TERMS))
    for row in terms_by(lists, difference, "binomial").itertuples():
        place = list(lists).index((row.feature, row.direction)), list(TERMS).index(row.term)
        assert row.pvalue == pytest.approx(every[place[0] * len(TERMS) + place[1]], abs=1e-12)
        assert row.padj == pytest.approx(q[place], abs=1e-12)
    inside = np.array([[gene in genes for gene in NAMES] for genes in TERMS.values()])
    every = [[mannwhitneyu(row[t], row[~t], method="asymptotic").pvalue for t in inside] for row in difference]
    q = false_discovery_control(np.ravel(every)).reshape(FEATURES, len(TERMS))
    for row in terms_by(lists, difference, "rank").itertuples():
        place = row.feature, list(TERMS).index(row.term)
        assert row.pvalue == pytest.approx(every[place[0]][place[1]], abs=1e-10)
        assert row.padj == pytest.approx(q[place], abs=1e-10)


def test_over_representation_is_corrected_over_all_lists_and_terms(lists, difference):
    every = [
        hypergeom.sf(len(set(genes) & set(term)) - 1, GENES, len(term), len(genes))
        for genes in lists.values()
        for term in TERMS.values()
    ]
    q = false_discovery_control(every).reshape(len(lists), len(TERMS))
    for row in terms_by(lists, difference, "hypergeometric").itertuples():
        assert row.padj == pytest.approx(
            q[list(lists).index((row.feature, row.direction)), list(TERMS).index(row.term)]
        )


@pytest.mark.parametrize("test", ["hypergeometric", "binomial", "rank"])
def test_effects_dealt_at_random_match_terms_no_more_often_than_said(test):
    worlds = 0
    for seed in range(20):
        effect = np.random.default_rng([seed, 1]).standard_normal((FEATURES, GENES))
        lists = {(f, "up"): tuple(NAMES[i] for i in np.argsort(-row)[:9]) for f, row in enumerate(effect)}
        worlds += len(terms_by(lists, effect, test, 0.05)) > 0
    assert worlds <= 5  # 1 expected; 6 or more in 1 of 3,000


def test_terms_of_other_sizes_and_unknown_tests_are_refused(lists, difference):
    kept = sized({**TERMS, "far": ["X"]}, NAMES, 6, 8)
    assert [len(genes) for genes in kept.values()] == [6, 7, 8]
    with pytest.raises(ConfigError, match="no term has 40 to 50 of its genes among the 97"):
        sized(TERMS, NAMES, 40, 50)
    with pytest.raises(ConfigError, match="no test 'chi' of terms; choose one of hypergeometric, binomial, rank"):
        terms_by(lists, difference, "chi")
