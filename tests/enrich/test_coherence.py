from itertools import combinations, permutations, product

import numpy as np
import pytest
import scipy.sparse as sp

from cellprism.enrich import coherence as module
from cellprism.enrich.coherence import coherence


def member_of(lists: list[list[int]], genes: int) -> sp.csr_array:
    rows = np.repeat(np.arange(len(lists)), [len(one) for one in lists])
    return sp.csr_array((np.ones(len(rows), dtype=np.int32), (rows, np.concatenate(lists))), shape=(len(lists), genes))


def test_it_is_the_mean_over_pairs_and_over_all_genes_of_like_expression(monkeypatch):
    monkeypatch.setattr(module, "GROUP", 3)
    rng = np.random.default_rng(0)
    y = rng.poisson(1.5, size=(41, 9)).astype(float)
    y[:, 4] = 2.0  # does not vary
    level = rng.permutation(9).astype(float)
    lists = [[0, 1, 2], [3, 4], [5, 6, 7, 8]]
    found = coherence(member_of(lists, 9), sp.csr_matrix(y), level)
    with np.errstate(invalid="ignore"):
        r = np.nan_to_num(np.corrcoef(y.T))
    groups = [set(part.tolist()) for part in np.array_split(np.argsort(level), 3)]
    of = {gene: group for group in groups for gene in group}
    for i, genes in enumerate(lists):
        pairs = list(combinations(genes, 2))
        assert found.own[i] == pytest.approx(np.mean([r[a, b] for a, b in pairs]))
        others = [
            np.mean([r[a, b] for a, b in (permutations(of[g], 2) if of[g] == of[h] else product(of[g], of[h]))])
            for g, h in pairs
        ]
        assert found.matched[i] == pytest.approx(np.mean(others))


def test_random_lists_have_none_beyond_their_match_and_modules_have_theirs():
    """Frequent genes of cells of unequal depth correlate: without the match, random frequent genes were coherent."""
    rng = np.random.default_rng(1)
    mean = np.exp(rng.normal(0, 1.2, size=240))
    depth, program = rng.gamma(4, 0.25, size=(300, 1)), np.exp(rng.normal(size=(300, 1)))
    shared = np.zeros(240, dtype=bool)
    shared[rng.permutation(240)[:12]] = True
    y = np.log1p(rng.poisson(depth * mean * np.where(shared, program, 1)))
    outside = np.flatnonzero(~shared)
    frequent = outside[np.argsort(-mean[outside])[:60]]
    lists = [rng.choice(frequent, 12, replace=False).tolist() for _ in range(200)]
    found = coherence(member_of([*lists, np.flatnonzero(shared).tolist()], 240), sp.csr_matrix(y), y.mean(axis=0))
    assert found.own[:-1].mean() > 0.1
    assert abs((found.own - found.matched)[:-1].mean()) < 0.02
    assert (found.own - found.matched)[-1] > 0.1
