"""Vectors with a known dictionary behind them."""

from typing import NamedTuple

import jaxtyping
import pytest
import torch
from torch.nn.functional import embedding_bag, normalize

from cellprism.sae.autoencoder import SparseAutoencoder

D_MODEL, FEATURES, K = 13, 41, 5


class Planted(NamedTuple):
    x: torch.Tensor
    dictionary: torch.Tensor


def planted(tokens: int, d_model: int, atoms: int, active: int, seed: int = 0) -> Planted:
    """Sums of a few of ``atoms`` directions with weights in 0.5..1.5, off centre, with a little noise."""
    fixed = torch.Generator().manual_seed(99)
    dictionary = normalize(torch.randn(atoms, d_model, generator=fixed), dim=1)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.rand(tokens, atoms, generator=generator).topk(active, dim=1).indices
    weights = torch.rand(tokens, active, generator=generator) + 0.5
    x = embedding_bag(chosen, dictionary, per_sample_weights=weights, mode="sum")
    return Planted(x + 1 + 0.02 * torch.randn(x.shape, generator=generator), dictionary)


@pytest.fixture
def sae() -> SparseAutoencoder:
    """Random weights; nothing is zero, so that no term can be left out unseen."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(D_MODEL, FEATURES), (FEATURES,), (FEATURES, D_MODEL), (D_MODEL,)]
    return SparseAutoencoder(*(torch.randn(s, generator=generator) for s in shapes), k=K)


@pytest.fixture
def unchecked(monkeypatch):
    """Without the checks of shapes and types that only the tests have: users meet our own messages."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def vectors() -> torch.Tensor:
    """29 vectors."""
    return torch.randn(29, D_MODEL, generator=torch.Generator().manual_seed(1))
