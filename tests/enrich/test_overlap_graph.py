import networkx as nx
import numpy as np
import pytest
from scipy.sparse import csr_array

from cellprism.enrich.overlap_graph import overlaps

LISTS, GENES = 41, 61


def member(seed: int = 0) -> np.ndarray:
    """Lists of 1 to 9 genes, the last one empty."""
    rng = np.random.default_rng(seed)
    found = np.zeros((LISTS, GENES), dtype=int)
    for row in found[:-1]:
        row[rng.choice(GENES, rng.integers(1, 10), replace=False)] = 1
    return found


def test_every_pair_has_the_overlap_of_its_sets():
    some = member()
    found = overlaps(csr_array(some))
    expected = {}
    for a in range(LISTS):
        for b in range(a + 1, LISTS):
            if shared := int((some[a] & some[b]).sum()):
                expected[a, b] = shared / np.sqrt(some[a].sum() * some[b].sum())
    assert dict(zip(zip(found.row.tolist(), found.column.tolist(), strict=True), found.value, strict=True)) == (
        pytest.approx(expected)
    )
    dense = found.matrix().toarray()
    assert (dense == dense.T).all()
    assert not dense.diagonal().any()


def test_components_are_those_of_networkx_the_largest_first():
    found = overlaps(csr_array(member(3))).above(0.2)
    number = found.components()
    graph = nx.Graph(zip(found.row.tolist(), found.column.tolist(), strict=True))
    theirs = sorted((frozenset(c) for c in nx.connected_components(graph)), key=len, reverse=True)
    ours = [frozenset(np.flatnonzero(number == i).tolist()) for i in range(number.max() + 1)]
    assert set(ours) == set(theirs)
    assert [len(c) for c in ours] == sorted(map(len, ours), reverse=True)
    assert set(np.flatnonzero(number == -1)) == set(range(LISTS)) - set(graph)


def test_planted_blocks_are_the_components():
    rng = np.random.default_rng(5)
    block = np.arange(24) % 4
    some = np.zeros((24, 80), dtype=int)
    for row, b in zip(some, block, strict=True):
        row[20 * b + rng.choice(20, 12, replace=False)] = 1
    number = overlaps(csr_array(some)).above(0.2).components()
    assert all(len(set(number[block == b])) == 1 for b in range(4))
    assert set(number) == {0, 1, 2, 3}


def test_the_histogram_counts_pairs_that_share_nothing():
    counts = overlaps(csr_array(member())).histogram(np.linspace(0, 1.0001, 11))
    assert counts.sum() == LISTS * (LISTS - 1) // 2
    assert counts[0] > 0
    assert overlaps(csr_array(np.zeros((2, 3)))).above(0.2).components().tolist() == [-1, -1]
