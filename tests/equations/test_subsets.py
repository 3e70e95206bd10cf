from itertools import combinations

import numpy as np
import pytest

from cellprism.equations.subsets import expected_best, expected_distinct


@pytest.mark.parametrize("n", [1, 2, 4, 7])
def test_kinds_and_the_best_are_means_over_all_choices(n):
    rng = np.random.default_rng(n)
    shows, ranked = rng.random((7, 5)) < 0.3, rng.normal(size=7)
    choices = [list(choice) for choice in combinations(range(7), n)]
    kinds = np.mean([shows[choice].any(axis=0).sum() for choice in choices])
    assert expected_distinct(shows.sum(axis=0), 7, n) == pytest.approx(kinds)
    assert expected_best(ranked, n) == pytest.approx(np.mean([ranked[min(choice)] for choice in choices]))


def test_all_items_show_all_kinds_and_the_first_is_the_best():
    assert expected_distinct(np.array([0, 1, 3, 5]), 5, 5) == pytest.approx(3)
    assert expected_best(np.array([0.2, 0.9, 0.4]), 3) == pytest.approx(0.2)
    assert expected_best(np.array([0.2, 0.9, 0.4]), 1) == pytest.approx(0.5)
