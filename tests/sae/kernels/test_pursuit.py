"""Matching pursuit on a processor against the plain equation."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from cellprism.equations.pursuit import products
from cellprism.equations.pursuit import pursuit as plain
from cellprism.sae.kernels.pursuit import pursuit


def problem(tokens: int, features: int, d_model: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    atoms = normalize(torch.randn(features, d_model, generator=generator), dim=1)
    return torch.randn(tokens, d_model, generator=generator), atoms


@settings(max_examples=40)
@given(st.integers(1, 150), st.integers(1, 150), st.integers(1, 9), st.integers(1, 9), st.integers(0, 999))
def test_atoms_and_values_are_those_of_the_equation(tokens, features, d_model, k, seed):
    x, atoms = problem(tokens, features, d_model, seed)
    k = min(k, features)
    gram = products(atoms)
    found, expected = pursuit(x, atoms, k, gram), plain(x, atoms, k, gram)
    torch.testing.assert_close(found.values, expected.values, atol=1e-5, rtol=1e-5)
    used = expected.values > 1e-4  # of atoms that add nothing the order is that of rounding
    assert torch.equal(found.features[used], expected.features[used])
    assert (found.features.sort(dim=1).values.diff(dim=1) > 0).all(), "no atom twice"


@pytest.mark.usefixtures("many_pieces")
def test_the_number_of_threads_alters_no_bit(torch_threads):
    x, atoms = problem(1_009, 517, 29, 0)
    codes = []
    for threads in (1, 2):
        torch_threads(threads)
        codes.append(pursuit(x, atoms, 5, products(atoms)))
    assert torch.equal(codes[0].values, codes[1].values)
    assert torch.equal(codes[0].features, codes[1].features)


@pytest.mark.parametrize("odd", [torch.nan, torch.inf, -torch.inf])
def test_vectors_that_are_not_finite_leave_the_others_alone(odd):
    x, atoms = problem(11, 7, 5, 1)
    clean = pursuit(x, atoms, 3, products(atoms))
    x[4, 2] = odd
    found = pursuit(x, atoms, 3, products(atoms))
    others = torch.arange(11) != 4
    assert torch.equal(found.values[others], clean.values[others])
    assert torch.equal(found.features[others], clean.features[others])
    assert ((found.features >= 0) & (found.features < 7)).all()


def test_no_vector_has_no_code():
    code = pursuit(torch.empty(0, 5), problem(1, 7, 5, 1)[1], 3, torch.zeros(7, 7))
    assert code.values.shape == code.features.shape == (0, 3)
