"""A cell model whose right recipe is known in closed form.

A cell's expression y is a level and a sum of programs, y = b + z P. The model reads it as one vector x = y E, with
orthonormal rows of E, and says y_hat = x E^T: it is linear from the residual stream to expression and knows everything.
The features of its autoencoder are the programs as directions, W = P E scaled to norm 1, not orthogonal to each other;
the encoder is the pseudo-inverse, so that codes are exact. A recipe then has a least-squares problem with a penalty
behind it, whose solution with given signs is a linear system.
"""

from collections.abc import Iterator
from types import MappingProxyType
from typing import Literal

import numpy as np
import scipy.sparse as sp
import torch
from anndata import AnnData
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.types import CellBatch, CellOutput

LAYER = 0  # the only site
LEVEL = 10.0  # b, of every gene: expression stays positive whatever is turned around
NOISE = 0.01  # standard deviation of a gene within a type
COUNTS_OF_ONE = 1 << 14  # counts that stand for an expression of 1, since cells hold whole counts


class LinearCell:
    """The model; see the module's docstring."""

    name, revision, licence = "linear", "1", "none"
    tokens, predicts = "cells", "expression"
    card = MappingProxyType({})
    n_layers = 1
    gene_table = None
    tokens: Literal["cells"] = "cells"
    predicts: Literal["expression"] = "expression"
    trained_at: Literal["visible"] = "visible"

    def __init__(self, genes: int = 29, d_model: int = 37, seed: int = 0):
        self.genes = tuple(f"G{i}" for i in range(genes))
        self.d_model = d_model
        square = np.random.default_rng([seed, 23]).standard_normal((d_model, d_model))
        self.rows = torch.from_numpy(np.linalg.qr(square)[0][:genes]).float()

    def batches(self, adata: AnnData, size: int) -> Iterator[CellBatch]:
        """One token a cell; its expression is in ``inputs``."""
        columns, counts = [self.genes.index(name) for name in adata.var_names], sp.csr_matrix(adata.X)
        for start in range(0, adata.n_obs, size):
            values = torch.from_numpy(counts[start : start + size].toarray()).float() / COUNTS_OF_ONE
            inputs = torch.zeros(len(values), len(self.genes)).index_copy_(1, torch.tensor(columns), values)
            cell = torch.arange(start, start + len(values))
            one = torch.ones(len(values), 1, dtype=torch.bool)
            yield CellBatch(torch.zeros(len(values), 1), torch.tensor([-1]), one, cell, inputs)

    def residual(self, batch: CellBatch, layer: int) -> Float[Tensor, "cell token d_model"]:
        """x = y E."""
        assert batch.inputs is not None, "its batches have inputs"
        return (batch.inputs @ self.rows)[:, None]

    def resume(self, batch: CellBatch, layer: int, x: Float[Tensor, "cell token d_model"]) -> CellOutput:
        """y_hat = x E^T; the embedding is x."""
        z = x[:, 0]
        return CellOutput(z @ self.rows.T.to(z), z)


def linear_sae(model: LinearCell, programs: Float[np.ndarray, "feature gene"]) -> SparseAutoencoder:
    """The autoencoder whose features are these programs, exactly; there may not be more than genes."""
    W_dec = normalize(torch.from_numpy(programs).float() @ model.rows, dim=1)
    W_enc = torch.linalg.pinv(W_dec.double()).float()
    level = torch.full((len(model.genes),), LEVEL) @ model.rows
    return SparseAutoencoder(W_enc, torch.zeros(len(programs)), W_dec, level, k=len(programs))


def linear_cells(
    programs: Float[np.ndarray, "feature gene"], recipe: dict[int, float], cells: int = 53, seed: int = 0
) -> AnnData:
    """``cells`` source cells and as many target cells, in which program f is ``recipe[f]`` times as active.

    Cells of a type differ a little, at right angles to all programs: codes are the same in all of them, so that the
    published objective and the one on centroids agree, and no variance is 0.
    """
    activity = np.random.default_rng([seed, 29]).uniform(1, 3, len(programs))
    turned = activity * np.array([recipe.get(f, 1.0) for f in range(len(programs))])
    rng = np.random.default_rng([seed, 31])
    apart = NOISE * rng.standard_normal((2 * cells, programs.shape[1]))
    apart -= apart @ np.linalg.pinv(programs) @ programs
    y = LEVEL + np.repeat([activity @ programs, turned @ programs], cells, axis=0) + apart
    adata = AnnData(as_counts(y))
    adata.var_names = [f"G{i}" for i in range(programs.shape[1])]
    adata.obs_names = [f"cell{i}" for i in range(2 * cells)]
    adata.obs["cell_type"] = ["source"] * cells + ["target"] * cells
    return adata


def as_counts(expression: Float[np.ndarray, "cell gene"]) -> sp.csr_matrix:
    """Whole counts that the model reads as some expression."""
    return sp.csr_matrix(np.rint(expression * COUNTS_OF_ONE).astype(np.float32))


def penalised_recipe(
    edits: Float[np.ndarray, "row feature"],
    gap: Float[np.ndarray, " row"],
    signs: Float[np.ndarray, " feature"],
    penalty: float,
) -> Float[np.ndarray, " feature"]:
    """Strengths that minimise |gap - edits (alpha - 1)|^2 / |gap|^2 + penalty |alpha - 1|_1, given their signs.

    Formula: alpha_A = 1 + (E_A^T E_A)^-1 (E_A^T gap - penalty |gap|^2 s_A / 2) on the features A whose sign s is not 0,
    1 elsewhere.

    Args:
        edits: change of the embedding (or of weighted expression) per unit of each strength.
        gap: what is to be reached, minus where the cells stand.
        signs: of alpha - 1; 0 for strengths that stay neutral.
        penalty: weight of the penalty against the loss in units of the neutral loss.
    """  # fmt: skip
    moving = np.flatnonzero(signs)
    chosen = edits[:, moving]
    pull = chosen.T @ gap - penalty * (gap @ gap) * signs[moving] / 2
    strengths = np.ones(len(signs))
    strengths[moving] += np.linalg.solve(chosen.T @ chosen, pull)
    return strengths
