import numpy as np
import pytest
import torch

from cellprism.errors import ConfigError
from cellprism.features.tokens.token_policy import TokenPolicy, systematic
from features.conftest import CELLS, GENES
from features.latent import LatentModel


def _whole(policy: str, model, cells):
    policy, batch = TokenPolicy(policy, model, cells), next(model.batches(cells, 100))
    return policy.used(batch, cells), policy.times(batch, cells), batch


def _by_column(model, cells, batch, tokens) -> np.ndarray:
    """A property of tokens as [cell, column of the AnnData]."""
    place = [batch.gene.tolist().index(model.genes.index(name)) for name in cells.var_names]
    return tokens[:, place].numpy()


def test_present_tokens_are_those_of_every_measured_gene(model, cells):
    used, times, batch = _whole("present", model, cells)
    assert times is None
    assert torch.equal(used, batch.present)
    assert used.sum() == CELLS * GENES


def test_expressed_tokens_are_those_with_counts(model, cells):
    used, times, batch = _whole("expressed", model, cells)
    assert times is None
    assert (_by_column(model, cells, batch, used) == (cells.X.toarray() > 0)).all()
    assert used.sum() == (cells.X.toarray() > 0).sum()


@pytest.mark.parametrize("declared", [True, False], ids=["declared totals", "totals of the matrix"])
def test_weighted_tokens_come_in_proportion_to_their_value_as_many_as_are_expressed(model, cells, declared):
    cells = cells.copy()
    if not declared:
        del cells.obs["total_counts"]
    used, times, batch = _whole("weighted", model, cells)
    counts = cells.X.toarray().astype(np.float64)
    total = np.asarray(cells.obs["total_counts"]) if declared else counts.sum(1)
    expected = np.zeros_like(counts)
    for cell in range(CELLS):
        value = np.log1p(1e4 * counts[cell] / total[cell])
        expected[cell] = (counts[cell] > 0).sum() * value / value.sum()
    np.testing.assert_allclose(_by_column(model, cells, batch, times), expected, rtol=1e-5)
    assert (_by_column(model, cells, batch, used) == (counts > 0)).all()


def test_counts_cannot_choose_among_tokens_that_are_no_genes(cells):
    model = LatentModel(cells)
    assert _whole("present", model, cells)[0].sum() == CELLS
    with pytest.raises(ConfigError, match="tokens is 'expressed'.* the tokens of 'latent' are no genes; use tokens = "):
        _whole("expressed", model, cells)


def test_systematic_draws_are_as_expected_within_one_and_right_on_average():
    rng = np.random.default_rng(0)
    times = rng.gamma(0.5, size=41)
    times *= 29 / times.sum()
    drawn = np.array([np.bincount(systematic(times, 29, rng.random()), minlength=41) for _ in range(4001)])
    assert (drawn.sum(1) == 29).all()
    assert (np.abs(drawn - times) < 1 + 1e-9).all()
    np.testing.assert_allclose(drawn.mean(0), times, atol=0.03)


def test_systematic_draws_add_up_however_sums_are_rounded():
    times = np.full(300_003, 1 / 3, dtype=np.float32).astype(np.float64)
    for at in (0.0, 0.5, float(np.nextafter(1.0, 0.0))):
        assert len(systematic(times, 100_001, at)) == 100_001


def test_a_token_expected_once_is_drawn_once():
    assert systematic(np.ones(7), 7, 0.3).tolist() == list(range(7))
