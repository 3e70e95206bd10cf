"""Matching pursuit: sparse codes over any dictionary, one atom after the other.

One-shot selection (the k largest projections) takes near copies of one atom where atoms are alike, and counts what they
share k times. Pursuit takes off what an atom explains before it looks for the next, so that dictionaries with and
without alike atoms can be compared.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.types import SparseCode

GRAM = 8192  # atoms whose products with each other are kept; of more they are made as they are needed


def products(atoms: Float[Tensor, "feature d_model"]) -> Float[Tensor, "feature feature"] | None:
    """Products of all pairs of atoms; None of too many."""
    return atoms @ atoms.T if len(atoms) <= GRAM else None


def pursuit(
    x: Float[Tensor, "token d_model"],
    atoms: Float[Tensor, "feature d_model"],
    k: int,
    gram: Float[Tensor, "feature feature"] | None = None,
) -> SparseCode:
    """Sparse code of vectors by positive matching pursuit, no atom twice.

    Formula: r_0 = x; f_i = argmax_{f not yet taken} <r_i, a_f>; z_i = max(<r_i, a_{f_i}>, 0);
    r_{i+1} = r_i - z_i a_{f_i}.
    Source: Mallat and Zhang 1993, restricted to positive coefficients as an autoencoder with ReLU is.

    Args:
        x: vectors.
        atoms: rows of norm 1.
        k: atoms a vector; at most as many as there are.
        gram: ``products(atoms)``.
    """
    h = x @ atoms.T
    taken, values = [], []
    for step in range(k):
        value, feature = h.max(dim=1)
        value = value.relu()
        taken.append(feature)
        values.append(value)
        if step + 1 < k:
            h.scatter_(1, feature[:, None], -torch.inf)
            h.addcmul_(gram[feature] if gram is not None else atoms[feature] @ atoms.T, value[:, None], value=-1)
    return SparseCode(torch.stack(values, dim=1), torch.stack(taken, dim=1), len(atoms))
