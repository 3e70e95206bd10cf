"""Gene or state, in worlds where the answer is known."""

import numpy as np
import pytest

from cellprism.equations.common_pattern import common_correlation, gene_or_state
from cellprism.equations.variance import group_squares, two_way_shares

CELLS, GENES = 211, 29


def sums(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squares by cell and by gene of one feature [cell gene], as the stream gives them."""
    within = z - z.mean(axis=0)
    return np.array([np.square(within.sum(axis=1)).sum()]), np.square(within).sum(axis=0)[None, :]


def split(z: np.ndarray):
    """How the variance of one feature splits."""
    by_gene = group_squares(z.sum(0)[:, None], np.full(GENES, CELLS))
    by_cell = group_squares(z.sum(1)[:, None], np.full(CELLS, GENES))
    shares = two_way_shares(z.size, np.array([z.sum()]), np.array([np.square(z).sum()]), by_gene, by_cell)
    return gene_or_state(shares.gene, (GENES - 1) / (z.size - 1), common_correlation(*sums(z)))


def test_it_is_the_weighted_mean_correlation_of_all_pairs_of_genes():
    rng = np.random.default_rng(0)
    z = rng.gamma(1.0, size=(17, 1)) * rng.gamma(1.0, size=(1, 7)) + rng.normal(size=(17, 7))
    r, s = np.corrcoef(z.T), z.std(axis=0)
    pairs = [(s[i] * s[j], r[i, j]) for i in range(7) for j in range(7) if i != j]
    expected = sum(w * v for w, v in pairs) / sum(w for w, _ in pairs)
    assert common_correlation(*sums(z)) == pytest.approx([expected])


@pytest.mark.parametrize(
    ("world", "expected"),
    [("gene", (1, 0, 0)), ("cell", (0, 1, 0)), ("program", (0.09, 0.91, 0)), ("noise", (0, 0, 1))],
)
def test_pure_worlds(world, expected):
    rng = np.random.default_rng(3)
    gene, cell = np.arange(GENES) < 3, rng.random((CELLS, 1)) < 0.1
    z = {
        "gene": gene * np.ones((CELLS, 1)),  # fires at three genes, in every cell
        "cell": cell * np.ones(GENES),  # at every gene, in some cells
        "program": gene * cell,  # at three genes, in some cells
        "noise": rng.random((CELLS, GENES)) < 0.1,  # anywhere
    }[world].astype(float) + 1e-4 * rng.normal(size=(CELLS, GENES))
    found = split(z)
    assert (found.gene[0], found.state[0], found.rest[0]) == pytest.approx(expected, abs=0.05)
    assert found.score[0] == pytest.approx(expected[1] - expected[0], abs=0.1)


def test_a_gene_that_is_dropped_at_random_is_no_state_and_weak_genes_count_little():
    rng = np.random.default_rng(5)
    dropped = (np.arange(GENES) < 3) * (rng.random((CELLS, GENES)) < 0.5)
    assert split(dropped.astype(float)).state[0] < 0.05
    state = (np.arange(GENES) < 3) * rng.gamma(1.0, size=(CELLS, 1))
    assert common_correlation(*sums(state + 1e-3 * rng.normal(size=state.shape)))[0] > 0.9


def test_of_one_gene_nothing_tells_state_from_noise():
    z = (np.arange(GENES) == 4) * np.random.default_rng(7).gamma(1.0, size=(CELLS, 1))
    found = split(z)
    assert np.isnan([found.state[0], found.rest[0], found.score[0]]).all()
    assert 0 < found.gene[0] < 1
    assert np.isnan(common_correlation(np.zeros(2), np.zeros((2, 5)))).all()
