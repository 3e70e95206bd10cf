"""In parts, an autoencoder gives the codes that it gives as a whole."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cellprism.errors import ConfigError, InputError
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.sharded import ShardedAutoencoder
from cellprism.types import SparseCode
from sae.together import together

D, N, K, TOKENS, GROUPS = 13, 41, 5, 29, 7


def grid(*shape: int, step: float, seed: int, most: int = 15) -> torch.Tensor:
    """Multiples of ``step``; sums of products of a few are exact in float32, in whatever order."""
    return torch.randint(-most, most + 1, shape, generator=torch.Generator().manual_seed(seed)) * step


def made(kind: str) -> SparseAutoencoder:
    """Weights whose pre-activations have no rounding and, by ``b_enc``, no ties."""
    ties = torch.arange(N) * 2.0**-20
    weights = grid(D, N, step=2**-6, seed=0), ties, grid(N, D, step=2**-6, seed=1), grid(D, step=2**-3, seed=2)
    positive = grid(N, step=2**-3, seed=3).abs()
    match kind:
        case "topk":
            return SparseAutoencoder(*weights, k=K)
        case "topk without relu":
            return SparseAutoencoder(*weights, k=31, relu=False)
        case "threshold":
            return SparseAutoencoder(*weights, threshold=positive, architecture="jumprelu")
        case "none fires":
            return SparseAutoencoder(*weights, threshold=positive + 99, architecture="batchtopk")
        case "gated":
            return SparseAutoencoder(
                *weights, threshold=0 * positive, slope=positive, shift=-positive, architecture="gated"
            )
        case "transcoder":
            weights = *weights[:2], grid(N, 11, step=2**-6, seed=1), grid(11, step=2**-3, seed=2)
            centres = grid(GROUPS, D, step=2**-3, seed=4), grid(GROUPS, 11, step=2**-3, seed=5)
            return SparseAutoencoder(*weights, k=K, centre=centres[0], target_centre=centres[1], is_transcoder=True)
        case _:
            return SparseAutoencoder(*weights, k=K, centre=grid(GROUPS, D, step=2**-3, seed=4))


KINDS = ("topk", "topk without relu", "threshold", "none fires", "gated", "transcoder", "centred")
X, GROUP = grid(TOKENS, D, step=2**-3, seed=6), torch.arange(TOKENS) % GROUPS


def in_order(code: SparseCode) -> tuple[torch.Tensor, torch.Tensor]:
    """Values and features that fire, in ascending order of features; behind a token's last one value 0 of feature N."""
    values, features = code.values, torch.where(code.values == 0, N, code.features)
    order = features.argsort(dim=1)[:, : int((values != 0).sum(dim=1).amax())]
    return values.gather(1, order), features.gather(1, order)


def assert_same(code: SparseCode, whole: SparseCode) -> None:
    assert code.n_features == whole.n_features
    for mine, other in zip(in_order(code), in_order(whole), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("parts", [1, 2, 3, 13])
@pytest.mark.parametrize("kind", KINDS)
def test_parts_give_the_code_of_the_whole_bit_for_bit(kind, parts):
    sae = made(kind)
    sharded = ShardedAutoencoder(sae, ["cpu"] * parts)
    whole, code = sae.encode(X, GROUP), sharded.encode(X, GROUP)
    assert_same(code, whole)
    assert ((code.features.diff(dim=1) > 0) | (code.values[:, 1:] == 0)).all()
    torch.testing.assert_close(sharded.decode(whole, GROUP), sae.decode(whole, GROUP), rtol=1e-6, atol=1e-6)
    assert (whole.values != 0).any() == (kind != "none fires")


def test_with_values_that_round_they_are_the_same_features_and_values(vectors):
    """The product that pre-activations come from may round otherwise in parts."""
    shapes = [(D, N), (N,), (N, D), (D,)]
    generator = torch.Generator().manual_seed(0)
    sae = SparseAutoencoder(*(torch.randn(s, generator=generator) for s in shapes), k=K)
    thresholds = replace(sae, k=None, threshold=torch.rand(N, generator=generator))
    for whole in (sae, thresholds):
        values, features = in_order(ShardedAutoencoder(whole, ["cpu"] * 3).encode(vectors))
        expected, expected_features = in_order(whole.encode(vectors))
        assert torch.equal(features, expected_features)
        torch.testing.assert_close(values, expected, rtol=1e-6, atol=1e-6)


def test_a_part_keeps_nothing_of_the_whole_alive():
    sharded = ShardedAutoencoder(made("topk"), ["cpu"] * 3)
    assert sharded.starts == [0, 13, 27]
    assert [part.n_features for part in sharded.parts] == [13, 14, 14]
    for part in sharded.parts:
        for name in ("W_enc", "b_enc", "W_dec"):
            tensor = getattr(part, name)
            assert tensor.untyped_storage().nbytes() == tensor.numel() * 4


def test_one_token_and_none(unchecked):
    for kind in ("topk", "threshold"):
        sae = made(kind)
        sharded = ShardedAutoencoder(sae, ["cpu"] * 2)
        assert_same(sharded.encode(X[:1]), sae.encode(X[:1]))
        assert sharded.encode(X[:0]).values.shape[0] == 0
        assert sharded.decode(sharded.encode(X[:0])).shape == (0, D)


def test_more_parts_than_features_are_refused():
    with pytest.raises(ConfigError, match="41 features, this process' share of 41, cannot be spread over 42 devices"):
        ShardedAutoencoder(made("topk"), ["cpu"] * 42)


def test_vectors_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="the vectors have 12 dimensions but this autoencoder was fitted on 13"):
        ShardedAutoencoder(made("topk")).encode(X[:, 1:])
    with pytest.raises(InputError, match="centred per group"):
        ShardedAutoencoder(made("centred"), ["cpu"] * 2).encode(X)


def by_processes(parts: int) -> dict[str, tuple[np.ndarray, ...]]:
    """Code and reconstruction of every kind, by each process of a group."""
    results = {}
    for kind in KINDS:
        sharded = ShardedAutoencoder(made(kind), ["cpu"] * parts)
        code = sharded.encode(X, GROUP)
        results[kind] = tuple(t.numpy() for t in (code.values, code.features, sharded.decode(code, GROUP)))
    return results


@pytest.mark.parametrize(("world", "parts"), [(2, 1), (3, 2)])
def test_processes_give_the_code_of_the_whole_bit_for_bit(world, parts):
    for results in together(by_processes, parts, world=world):
        for kind, arrays in results.items():
            values, features, x_hat = map(torch.from_numpy, arrays)
            sae = made(kind)
            whole = sae.encode(X, GROUP)
            assert_same(SparseCode(values, features, N), whole)
            torch.testing.assert_close(x_hat, sae.decode(whole, GROUP), rtol=1e-6, atol=1e-6)
