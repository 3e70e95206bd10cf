import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.formula.api import ols

from cellprism.equations.variance import VarianceShares, group_squares, pooled_shares, two_way_shares

CELLS, GENES, QUANTITIES = 17, 29, 3


def _table(seed: int = 0) -> np.ndarray:
    """Cells x genes x quantities with all three parts, and a mean far from zero."""
    rng = np.random.default_rng(seed)
    gene = rng.normal(size=(1, GENES, QUANTITIES)) * [3, 1, 0.2]
    cell = rng.normal(size=(CELLS, 1, QUANTITIES)) * [0.3, 1, 2]
    return 50 + gene + cell + rng.normal(size=(CELLS, GENES, QUANTITIES))


def _sums(x: np.ndarray) -> tuple:
    cells, genes = x.shape[:2]
    by_gene = group_squares(x.sum(0), np.full(genes, cells))
    by_cell = group_squares(x.sum(1), np.full(cells, genes))
    return cells * genes, x.sum((0, 1)), (x**2).sum((0, 1)), by_gene, by_cell


def test_shares_agree_with_an_analysis_of_variance_in_statsmodels():
    x = _table()
    shares = two_way_shares(*_sums(x))
    for q in range(QUANTITIES):
        frame = pd.DataFrame(
            {
                "value": x[..., q].ravel(),
                "cell": np.repeat(np.arange(CELLS), GENES),
                "gene": np.tile(np.arange(GENES), CELLS),
            }
        )
        table = sm.stats.anova_lm(ols("value ~ C(gene) + C(cell)", data=frame).fit())["sum_sq"]
        expected = table / table.sum()
        found = (shares.gene[q], shares.cell[q], shares.gene_by_cell[q])
        assert found == pytest.approx(tuple(expected), rel=1e-8)


def test_group_squares_equal_a_loop_and_skip_empty_groups():
    rng = np.random.default_rng(0)
    group, x = rng.integers(0, 5, 31), rng.normal(size=(31, QUANTITIES))
    group[group == 3] = 4
    total, count = np.zeros((5, QUANTITIES)), np.bincount(group, minlength=5)
    expected = np.zeros(QUANTITIES)
    for g in range(5):
        total[g] = x[group == g].sum(0)
        if g != 3:
            expected += len(x[group == g]) * x[group == g].mean(0) ** 2
    assert count[3] == 0
    np.testing.assert_allclose(group_squares(total, count), expected)


def test_a_table_of_gene_vectors_is_all_gene_and_one_of_cell_vectors_all_cell():
    rng = np.random.default_rng(0)
    gene = np.broadcast_to(rng.normal(size=(1, GENES, 1)), (CELLS, GENES, 1))
    cell = np.broadcast_to(rng.normal(size=(CELLS, 1, 1)), (CELLS, GENES, 1))
    assert _flat(two_way_shares(*_sums(gene))) == pytest.approx((1, 0, 0), abs=1e-9)
    assert _flat(two_way_shares(*_sums(cell))) == pytest.approx((0, 1, 0), abs=1e-9)


def test_what_does_not_vary_has_no_shares():
    constant = np.full((CELLS, GENES, 1), 7.3)
    assert np.isnan(_flat(two_way_shares(*_sums(constant)))).all()


def test_pooled_shares_add_squares_over_dimensions_before_dividing():
    x = _table()
    mean, gene, cell = x.mean((0, 1)), x.mean(0), x.mean(1)
    whole = ((x - mean) ** 2).sum()
    shares = pooled_shares(*_sums(x))
    assert shares.gene[0] == pytest.approx(CELLS * ((gene - mean) ** 2).sum() / whole)
    assert shares.cell[0] == pytest.approx(GENES * ((cell - mean) ** 2).sum() / whole)


def test_state_is_everything_but_gene():
    shares = two_way_shares(*_sums(_table()))
    np.testing.assert_allclose(shares.state, 1 - shares.gene)


def _flat(shares: VarianceShares) -> tuple[float, ...]:
    return tuple(float(part[0]) for part in shares)
