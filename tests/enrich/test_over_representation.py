"""Agreement with scipy, statsmodels and gseapy; calibration on random lists; what is dropped or refused."""

import gseapy
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact, hypergeom, kstest
from statsmodels.stats.multitest import multipletests

from cellprism.enrich.over_representation import annotated_rate, over_representation
from cellprism.errors import ConfigError

GENES = [f"G{i}" for i in range(211)]
COLUMNS = [
    "feature",
    "term",
    "overlap",
    "set_size",
    "term_size",
    "information_content",
    "background_size",
    "pvalue",
    "padj",
    "family",
    "background",
]


def made_up(n_lists: int, n_terms: int, seed: int, sizes=(3, 23)):
    """Random lists and terms; every third list holds part of a term."""
    rng = np.random.default_rng(seed)
    terms = {
        f"term {t}": [str(g) for g in rng.choice(GENES, rng.integers(2, 31), replace=False)] for t in range(n_terms)
    }
    lists = {f"f{i}": [str(g) for g in rng.choice(GENES, rng.integers(*sizes), replace=False)] for i in range(n_lists)}
    for i in range(0, n_lists, 3):
        lists[f"f{i}"] = list(dict.fromkeys(lists[f"f{i}"] + terms[f"term {i % n_terms}"][:7]))
    return lists, terms


def every_pair(lists, terms, background):
    """p for all pairs by a loop over scipy's distribution, lists x terms."""
    held = [set(genes) & set(background) for genes in terms.values()]
    drawn = [set(genes) & set(background) for genes in lists.values()]
    n = len(background)
    return np.array([[hypergeom.sf(len(a & b) - 1, n, len(b), len(a)) for b in held] for a in drawn])


def as_matrix(table, lists, terms, column):
    """A column of the table as lists x terms, 1 where there is no row."""
    wide = table.pivot(index="feature", columns="term", values=column)
    return wide.reindex(index=list(lists), columns=list(terms)).fillna(1.0).to_numpy()


def test_the_table_has_the_promised_columns_and_ranges():
    lists, terms = made_up(17, 29, seed=0)
    table = over_representation(lists, terms, GENES, background_name="all")
    assert list(table) == COLUMNS
    assert ((table["pvalue"] >= 0) & (table["pvalue"] <= table["padj"]) & (table["padj"] <= 1)).all()
    assert (table["overlap"] >= 1).all()
    assert (table["background_size"] == 211).all()
    assert set(table["background"]) == {"all"}
    assert list(table["feature"].unique()) == list(lists)
    assert all(group["pvalue"].is_monotonic_increasing for _, group in table.groupby("feature"))


def test_pvalues_equal_scipys_hypergeometric_and_fishers_exact_test():
    lists, terms = made_up(17, 29, seed=1)
    table = over_representation(lists, terms, GENES)
    np.testing.assert_allclose(as_matrix(table, lists, terms, "pvalue"), every_pair(lists, terms, GENES), rtol=1e-9)
    for row in table.iloc[:: len(table) // 13].itertuples():
        rest = row.background_size - row.set_size - row.term_size + row.overlap
        counts = [[row.overlap, row.set_size - row.overlap], [row.term_size - row.overlap, rest]]
        assert row.pvalue == pytest.approx(fisher_exact(counts, alternative="greater").pvalue, rel=1e-9)


def test_all_terms_corrects_each_list_over_every_term_as_statsmodels_does():
    lists, terms = made_up(17, 29, seed=2)
    expected = [multipletests(p, method="fdr_bh")[1] for p in every_pair(lists, terms, GENES)]
    table = over_representation(lists, terms, GENES, family="all-terms")
    np.testing.assert_allclose(as_matrix(table, lists, terms, "padj"), expected, rtol=1e-9)


def test_all_tests_corrects_over_every_list_and_term_as_statsmodels_does():
    lists, terms = made_up(17, 29, seed=3)
    p = every_pair(lists, terms, GENES)
    expected = multipletests(p.ravel(), method="fdr_bh")[1].reshape(p.shape)
    table = over_representation(lists, terms, GENES, family="all-tests")
    np.testing.assert_allclose(as_matrix(table, lists, terms, "padj"), expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["f0", "f1", "f9"])
def test_hit_terms_equals_gseapy(name):
    lists, terms = made_up(17, 29, seed=4)
    theirs = gseapy.enrich(lists[name], gene_sets=terms, background=GENES, outdir=None).results.set_index("Term")
    table = over_representation({name: lists[name]}, terms, GENES, family="hit-terms").set_index("term")
    assert set(table.index) == set(theirs.index)
    theirs = theirs.loc[table.index]
    np.testing.assert_allclose(table["pvalue"], theirs["P-value"], rtol=1e-9)
    np.testing.assert_allclose(table["padj"], theirs["Adjusted P-value"], rtol=1e-9)


def test_many_lists_at_once_equal_the_same_lists_one_by_one():
    lists, terms = made_up(601, 29, seed=5)
    together = over_representation(lists, terms, GENES)
    for name in ("f0", "f255", "f256", "f600"):
        alone = over_representation({name: lists[name]}, terms, GENES)
        pd.testing.assert_frame_equal(together[together["feature"] == name].reset_index(drop=True), alone)


@settings(max_examples=20)
@given(st.randoms(), st.integers(0, 99))
def test_the_order_of_genes_terms_lists_and_background_does_not_matter(random, seed):
    def shuffled(things):
        things = list(things)
        random.shuffle(things)
        return things

    lists, terms = made_up(7, 13, seed=seed)
    first = over_representation(lists, terms, GENES).set_index(["feature", "term"]).sort_index()
    lists = {name: shuffled(lists[name]) for name in shuffled(lists)}
    terms = {name: shuffled(terms[name]) for name in shuffled(terms)}
    second = over_representation(lists, terms, shuffled(GENES)).set_index(["feature", "term"]).sort_index()
    pd.testing.assert_frame_equal(first, second, rtol=1e-12)


def test_pvalues_of_random_lists_are_super_uniform_and_exactly_uniform_once_their_steps_are_smoothed():
    rng = np.random.default_rng(6)
    lists = {i: list(rng.choice(GENES, 23, replace=False)) for i in range(4001)}
    table = over_representation(lists, {"term": GENES[:61]}, GENES).set_index("feature").reindex(list(lists))
    p = table["pvalue"].fillna(1.0).to_numpy()
    for level in (0.01, 0.05, 0.2, 0.5):
        assert (p <= level).mean() <= level + 4 * np.sqrt(level * (1 - level) / len(p))
    overlap = table["overlap"].fillna(0).to_numpy()
    smoothed = p - rng.random(len(p)) * hypergeom.pmf(overlap, len(GENES), 61, 23)
    assert kstest(smoothed, "uniform").pvalue > 1e-3


def test_random_lists_pass_all_terms_at_most_five_in_a_hundred_and_hit_terms_far_more_often():
    rng = np.random.default_rng(7)
    genes = np.array([f"G{i}" for i in range(4001)])
    terms = {f"t{t}": list(rng.choice(genes, rng.integers(3, 13), replace=False)) for t in range(401)}
    lists = {i: list(rng.choice(genes, 11, replace=False)) for i in range(1009)}
    rate = {
        family: annotated_rate(over_representation(lists, terms, genes, family=family), len(lists))
        for family in ("all-terms", "hit-terms", "all-tests")
    }
    assert rate["all-terms"] <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 1009)
    assert rate["all-tests"] <= rate["all-terms"]
    assert rate["hit-terms"] > 0.5


def test_genes_outside_the_background_are_dropped_and_counted():
    lists = {"a": ["G0", "G1", "X1", "X2", "G0"], "b": ["X3"], "c": []}
    terms = {"t": ["G0", "G1", "G5", "Y1"], "u": ["Y1", "Y2"]}
    table = over_representation(lists, terms, GENES)
    assert table[["feature", "overlap", "set_size", "term_size"]].to_numpy().tolist() == [["a", 2, 2, 3]]
    assert table.attrs["cellprism"] == {
        "lists": 3,
        "empty_lists": 2,
        "terms_tested": 1,
        "list_genes_outside": 3,
        "term_genes_outside": 3,
        "gene_sets": {},
    }


def test_terms_with_too_few_genes_in_the_background_are_no_tests():
    lists = {"a": GENES[:3]}
    terms = {"pair": GENES[:2], "five": GENES[1:6], "four": GENES[50:54]}
    loose, strict = (over_representation(lists, terms, GENES, min_term_size=n) for n in (1, 3))
    assert loose.attrs["cellprism"]["terms_tested"] == 3
    assert list(strict["term"]) == ["five"]
    assert strict["padj"][0] == pytest.approx(2 * strict["pvalue"][0])


def test_lists_that_share_nothing_with_any_term_give_an_empty_table_with_all_columns():
    table = over_representation({"a": ["G0"]}, {"t": ["G7"]}, GENES)
    assert table.empty
    assert list(table) == COLUMNS
    assert annotated_rate(table, 1) == 0


def test_the_annotated_rate_counts_lists_not_rows():
    table = pd.DataFrame({"feature": ["a", "a", "b", "c"], "padj": [0.01, 0.02, 0.05, 0.049]})
    assert annotated_rate(table, 8) == 2 / 8
    assert annotated_rate(table, 4, alpha=0.015) == 1 / 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "any"}, "unknown family of tests 'any'; choose one of all-terms, hit-terms, all-tests"),
        ({"background": []}, "the background holds no genes"),
        ({"min_term_size": 0}, "min_term_size is 0; a term needs at least 1"),
        (
            {"collection": {"t": ["ENSG2", "ENSG1"]}},
            r"none of the 1 terms has 1 or more.*of 211 genes.*like G0, G1, G10.*like ENSG1, ENSG2",
        ),
        (
            {"lists": {"a": ["ENSG1"]}},
            "no gene of the 1 lists is in the background; the lists write genes like ENSG1",
        ),
        ({"min_term_size": 50}, "none of the 1 terms has 50 or more"),
    ],
)
def test_mistakes_are_refused_with_what_was_found(change, message):
    arguments = {"lists": {"a": ["G1"]}, "collection": {"t": ["G1", "G2"]}, "background": GENES}
    with pytest.raises(ConfigError, match=message):
        over_representation(**(arguments | change))


def test_a_rate_over_fewer_lists_than_were_tested_is_refused():
    table = over_representation({"a": ["G1"], "b": ["G2"]}, {"t": ["G1", "G2"]}, GENES)
    with pytest.raises(ConfigError, match="n_lists is 1, but the table has 2 lists"):
        annotated_rate(table, 1)
