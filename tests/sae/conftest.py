"""Vectors with a known dictionary behind them."""

from pathlib import Path
from typing import NamedTuple

import jaxtyping
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import embedding_bag, normalize

from cellprism.sae.autoencoder import SparseAutoencoder

D_MODEL, FEATURES, K = 13, 41, 5


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    """Products this small only lose time to threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Planted(NamedTuple):
    x: torch.Tensor
    dictionary: torch.Tensor
    activity: torch.Tensor


def planted(tokens: int, d_model: int, atoms: int, active: int, seed: int = 0) -> Planted:
    """Sums of a few of ``atoms`` directions with weights in 0.5..1.5, off centre, with a little noise."""
    fixed = torch.Generator().manual_seed(99)
    dictionary = normalize(torch.randn(atoms, d_model, generator=fixed), dim=1)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.rand(tokens, atoms, generator=generator).topk(active, dim=1).indices
    weights = torch.rand(tokens, active, generator=generator) + 0.5
    x = embedding_bag(chosen, dictionary, per_sample_weights=weights, mode="sum")
    activity = torch.zeros(tokens, atoms).scatter_(1, chosen, weights)
    return Planted(x + 1 + 0.02 * torch.randn(x.shape, generator=generator), dictionary, activity)


@pytest.fixture
def sae() -> SparseAutoencoder:
    """Random weights; nothing is zero, so that no term can be left out unseen."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(D_MODEL, FEATURES), (FEATURES,), (FEATURES, D_MODEL), (D_MODEL,)]
    return SparseAutoencoder(*(torch.randn(s, generator=generator) for s in shapes), k=K)


@pytest.fixture(params=["17 residuals", "all residuals"])
def reference(request) -> dict[str, torch.Tensor]:
    """Weights, residuals ``x``, codes and reconstructions of a reference implementation."""
    if request.param == "17 residuals":
        return load_file(Path(__file__).parent / "golden" / "topk.safetensors")
    path = request.getfixturevalue("test_data").parent / "golden" / "aido_tiny_layernorm_io.safetensors"
    if not path.is_file():
        pytest.skip(f"no reference values at {path}; the 17 residuals beside this file are checked all the same")
    tensors = load_file(path)
    flat = {name: tensors[name].flatten(0, 1) for name in ("sae.codes", "sae.recon")}
    return tensors | flat | {"x": tensors["plain.resid_post.2"].flatten(0, 1)}


@pytest.fixture
def unchecked(monkeypatch):
    """Without the checks of shapes and types that only the tests have: users meet our own messages."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def vectors() -> torch.Tensor:
    """29 vectors."""
    return torch.randn(29, D_MODEL, generator=torch.Generator().manual_seed(1))
