import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import binomtest

from cellprism.enrich.dependence import alike, independent_lists, wilson

OWN = {str(i): tuple(f"G{10 * i + j}" for j in range(6)) for i in range(31)}


def test_lists_of_their_own_count_once_each_and_copies_not_at_all():
    assert independent_lists(OWN) == 31
    copies = {f"{name} {i}": genes for name, genes in OWN.items() for i in range(5)}
    assert independent_lists(copies) == pytest.approx(31)
    assert (
        independent_lists({"a": ("x", "y", "z"), "b": ("x", "y", "w"), "c": ("q",)}) == 3
    )  # half is not more than half
    assert independent_lists({"a": ("x", "y", "z", "v"), "b": ("x", "y", "z"), "c": ("q",)}) == pytest.approx(9 / 5)


def test_lists_that_share_more_than_half_of_their_genes_are_of_one_group_and_chains_too():
    member = sp.csr_array(np.array([[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 1]]))
    assert len(set(alike(member[:2]))) == 2  # exactly half
    group = alike(member)
    assert group[0] == group[1] == group[2] != group[3]  # by the third, which shares two thirds with either


def test_wilson_is_scipys_where_n_is_whole():
    for k, n in ((0, 17), (5, 17), (17, 17)):
        expected = binomtest(k, n).proportion_ci(method="wilson")
        assert wilson(k / n, float(n)) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_the_interval_covers_the_rate_where_lists_come_in_modules():
    """40 modules of 8 like lists, all or none annotated at 30 %: counting every list alone covers half as often."""
    rng = np.random.default_rng(0)
    lists = {f"{m} {i}": tuple(f"G{10 * m + j}" for j in range(6)) for m in range(40) for i in range(8)}
    worth = independent_lists(lists)
    covered, naive = [], []
    for _ in range(400):
        share = float((rng.random(40) < 0.3).mean())
        for kept, n in ((covered, worth), (naive, float(len(lists)))):
            low, high = wilson(share, n)
            kept.append(low <= 0.3 <= high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.035)
    assert np.mean(naive) < 0.7
