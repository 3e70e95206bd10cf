"""Matching pursuit on a processor, several times faster than plain torch.

Notable choices

- Products with all atoms are made once, a slice of tokens at a time; after that a step reads and writes one row of
  them and one of the atoms' own products, while they are in cache.
- What is computed is ``equations.pursuit``.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.sae.kernels.pursuit_rows import pursue
from cellprism.sae.kernels.threads import run, shares
from cellprism.types import SparseCode

SLICE = 1 << 18  # inner products made at once: few enough to stay in a processor's own cache


def pursuit(
    x: Float[Tensor, "token d_model"],
    atoms: Float[Tensor, "feature d_model"],
    k: int,
    gram: Float[Tensor, "feature feature"],
) -> SparseCode:
    """``equations.pursuit.pursuit`` of vectors and atoms in float32, by any number of threads to the same bits.

    Args:
        x: vectors.
        atoms: rows of norm 1.
        k: atoms a vector; at most as many as there are.
        gram: ``equations.pursuit.products`` of the atoms.
    """
    values, features = torch.empty(len(x), k), torch.empty(len(x), k, dtype=torch.int64)
    loose, products = atoms.detach().T, gram.detach().contiguous().numpy()
    outputs, rows = (values.numpy(), features.numpy()), max(1, SLICE // len(atoms))

    @torch.no_grad()
    def piece(some: slice) -> None:
        for start in range(some.start, some.stop, rows):
            part = slice(start, min(start + rows, some.stop))
            inner = x[part].detach() @ loose
            pursue(inner.numpy(), products, outputs[0][part], outputs[1][part])

    run(piece, shares(len(x), x.numel() * len(atoms)), with_torch=True)
    return SparseCode(values, features, len(atoms))
