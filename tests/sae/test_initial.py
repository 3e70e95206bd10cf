import pytest
import torch

from cellprism.equations.sparse import decode, preactivations, top_k
from cellprism.sae.config import SaeConfig
from cellprism.sae.initial import (
    SAMPLED_SCALE,
    filled,
    geometric_median,
    linear_start,
    random_directions,
    sampled_directions,
    spread,
    start,
)
from sae.conftest import planted


def test_random_directions_have_norm_one_and_depend_on_the_seed():
    directions = random_directions(41, 13, 0)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(41))
    assert torch.equal(directions, random_directions(41, 13, 0))
    assert not torch.equal(directions, random_directions(41, 13, 1))


def test_sampled_directions_point_along_vectors_of_the_sample():
    x = planted(101, 13, 31, 3).x
    centred = x - x.mean(0)
    directions = sampled_directions(centred, 41, 0)
    cosine = directions @ torch.nn.functional.normalize(centred, dim=1).T
    best = cosine.max(dim=1)
    assert best.values.min() > 0.9
    assert len(set(best.indices.tolist())) == 41
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(41))


def test_equal_vectors_and_too_few_vectors_still_give_different_directions():
    directions = sampled_directions(torch.zeros(7, 13), 41, 0)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(41))
    assert (directions @ directions.T - torch.eye(41)).max() < 0.95


def test_spread_is_the_root_of_the_mean_variance():
    x = planted(101, 13, 31, 3).x
    torch.testing.assert_close(torch.tensor(spread(x)), x.var(dim=0, unbiased=False).mean().sqrt())
    assert spread(torch.ones(5, 13)) == 1


def test_no_other_scale_of_the_encoder_would_start_with_less_error():
    x = planted(499, 13, 31, 3).x
    weights = start(x, None, SaeConfig(k=5, start="data"), 41, seed=0)

    def error(scale: float) -> float:
        h = preactivations(x, weights["encoder"].T * scale, weights["b_enc"], weights["b_dec"])
        return float((decode(top_k(h, 5), weights["decoder"], weights["b_dec"]) - x).square().sum())

    best = error(1 / SAMPLED_SCALE)
    assert all(best < error(scale / SAMPLED_SCALE) for scale in (0.5, 0.9, 1.1, 2))
    torch.testing.assert_close(weights["b_dec"], x.mean(0))


def test_the_geometric_median_has_the_least_summed_distance_and_ignores_outliers():
    x = planted(499, 13, 31, 3).x.double()
    x[:7] += 1000
    median = geometric_median(x)

    def distance(point: torch.Tensor) -> float:
        return float((x - point).norm(dim=1).sum())

    generator = torch.Generator().manual_seed(0)
    for _ in range(29):
        step = torch.randn(13, generator=generator, dtype=torch.float64)
        assert distance(median) < distance(median + 0.05 * step)
    assert distance(median) < distance(x.mean(dim=0))
    assert (median - x[7:].mean(dim=0)).norm() < 1


@pytest.mark.parametrize("null", ["untrained", "frozen-decoder", "frozen-encoder"])
def test_a_control_starts_without_a_look_at_the_data(null):
    x = planted(499, 13, 31, 3).x
    weights = start(x, None, SaeConfig(k=5, null=null), 41, seed=3)
    torch.testing.assert_close(weights["decoder"], random_directions(41, 13, 3))


def test_linear_layers_start_as_torch_starts_them():
    torch.manual_seed(0)
    theirs = torch.nn.Linear(130, 410).weight.detach(), torch.nn.Linear(410, 130).weight.detach().T
    ours = linear_start(410, 130, 130, seed=0)
    for found, expected in zip(ours, theirs, strict=True):
        assert found.shape == expected.shape
        assert found.abs().max() == pytest.approx(float(expected.abs().max()), rel=1e-2)
        assert found.std() == pytest.approx(float(expected.std()), rel=2e-2)


def test_the_share_of_dimensions_filled_is_that_of_the_eigenvalues():
    x = planted(499, 13, 31, 3).x
    eigenvalues = torch.linalg.eigvalsh(x.T.cov().double())
    expected = eigenvalues.sum() ** 2 / eigenvalues.square().sum() / 13
    assert filled(x) == pytest.approx(float(expected), rel=1e-4)
    assert filled(torch.randn(101, 1) * torch.randn(13)) == pytest.approx(1 / 13)
    assert filled(torch.ones(5, 13)) == 0


def test_vectors_that_fill_few_dimensions_are_sampled_and_others_are_not():
    wide = torch.randn(499, 13, generator=torch.Generator().manual_seed(0))
    flat = wide[:, :2] @ torch.randn(2, 13, generator=torch.Generator().manual_seed(1))
    for x, like in ((wide, "random"), (flat, "data")):
        auto, named = (start(x, None, SaeConfig(k=5, start=name), 41, seed=0) for name in ("auto", like))
        assert all(torch.equal(auto[name], named[name]) for name in auto)
