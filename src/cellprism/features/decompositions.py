"""Directions that other methods than an autoencoder find in the same vectors or counts, read as features are.

- ``linear_features``: neurons, principal and independent components. Both tails of each direction are kept apart, as
  two features, and neither is sparse: high and low mean different things.
- ``cluster_features``: k-means. A token belongs to one cluster, whose feature has the value 1 there.
- ``count_programs``: non-negative matrix factorisation of the cells' log counts, without any model.
"""

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from anndata import AnnData
from jaxtyping import Float, Int
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import NMF, FastICA
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from cellprism.cells.expression import log1p_cp10k
from cellprism.errors import InputError
from cellprism.features.dictionaries import TokenSample, component_dictionary, eigenvalues
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.types import SparseCode

FLAT = 1e-6  # of the largest variance: directions with less are rounding
ITERATIONS = 300  # of ICA and NMF; what has not converged by then is taken as it is


@dataclass(frozen=True, eq=False)
class LinearFeatures(SparseAutoencoder):
    """max(x W_enc, 0) of vectors without centre and mean: every feature fires wherever it is positive."""

    def encode(self, x: Float[Tensor, "token d_model"], group: Int[Tensor, " token"] | None = None) -> SparseCode:
        """All values; arguments and errors are those of ``SparseAutoencoder.encode``."""
        values = ((self.centred(x.to(self.W_enc.dtype), group) - self.b_dec) @ self.W_enc).relu()
        features = torch.arange(self.n_features, device=x.device).expand(values.shape)
        return SparseCode(values, features, self.n_features)


@dataclass(frozen=True, eq=False)
class ClusterFeatures(SparseAutoencoder):
    """The nearest of the rows of ``W_dec`` to a vector without centre and mean, with the value 1."""

    def encode(self, x: Float[Tensor, "token d_model"], group: Int[Tensor, " token"] | None = None) -> SparseCode:
        """One feature a token; arguments and errors are those of ``SparseAutoencoder.encode``."""
        x = self.centred(x.to(self.W_enc.dtype), group) - self.b_dec
        near = (self.W_dec.square().sum(dim=1) / 2 - x @ self.W_enc).argmin(dim=1, keepdim=True)
        return SparseCode(torch.ones_like(near, dtype=x.dtype), near, self.n_features)


def neuron_features(sample: TokenSample, sae: SparseAutoencoder) -> LinearFeatures:
    """Both tails of every axis of the stream, an autoencoder's centre and the mean over a sample of tokens taken
    off."""
    axes = torch.eye(sample.x.shape[1], dtype=sample.x.dtype, device=sample.x.device)
    return _linear(axes, sample, sae)


def principal_features(sample: TokenSample, sae: SparseAutoencoder) -> LinearFeatures:
    """Both tails of the principal components of a sample of tokens."""
    rows = component_dictionary(sample, sae).W_dec
    return _linear(rows[: len(rows) // 2], sample, sae)


def independent_features(sample: TokenSample, sae: SparseAutoencoder, components: int, seed: int) -> LinearFeatures:
    """Both tails of independent components (FastICA) of a sample of tokens, at most ``components`` and as many as vary.

    Raises:
        InputError: the tokens do not vary.
    """
    variances = eigenvalues(sample)
    n = min(components, int((variances > FLAT * variances.max()).sum()))
    if not n:
        raise InputError("these tokens do not vary, so they have no independent components")
    method = FastICA(n, whiten="unit-variance", random_state=seed, max_iter=ITERATIONS, tol=1e-3)
    rows = _unconverged(method, sample.x.double().cpu().numpy()).components_
    return _linear(torch.from_numpy(rows).to(sample.x), sample, sae)


def cluster_features(sample: TokenSample, sae: SparseAutoencoder, seed: int) -> ClusterFeatures:
    """As many clusters of a sample of tokens as the autoencoder has features, or as there are tokens for."""
    mean = sample.x.mean(dim=0)
    n = min(sae.n_features, max(1, len(sample.x) // 2))
    method = MiniBatchKMeans(n, random_state=seed, n_init=1)  # pyright: ignore[reportArgumentType]
    centres = _unconverged(method, (sample.x - mean).cpu().numpy()).cluster_centers_
    rows = torch.from_numpy(centres).to(sample.x)
    return ClusterFeatures(rows.T.contiguous(), rows.new_zeros(n), rows, mean, **_common(1, sae))


def _linear(axes: Float[Tensor, "axis d_model"], sample: TokenSample, sae: SparseAutoencoder) -> LinearFeatures:
    """Features + and - of each axis in turn."""
    rows = torch.stack([axes, -axes], dim=1).flatten(0, 1)
    return LinearFeatures(
        rows.T.contiguous(), rows.new_zeros(len(rows)), rows, sample.x.mean(dim=0), **_common(len(rows), sae)
    )


def _common(k: int, sae: SparseAutoencoder) -> dict[str, Any]:
    return {"k": k, "centre": sae.centre, "metadata": {"untrained": True}}


class Programs(NamedTuple):
    """A factorisation of the cells' log counts."""

    cells: Float[np.ndarray, "cell program"]
    genes: Float[np.ndarray, "program gene"]
    """Rows of norm 1, or 0."""


def count_programs(cells: AnnData, genes: tuple[str, ...], components: int, seed: int) -> Programs:
    """Non-negative programs of log1p counts per ten thousand, from a random start.

    Args:
        cells: raw counts.
        genes: those that take part, in the order of the result.
        components: programs, at most; fewer where there are fewer cells or genes.
        seed: of the start.
    """
    expression = log1p_cp10k(cells)[:, cells.var_names.get_indexer(list(genes))]
    n = min(components, *expression.shape)
    method = NMF(n, init="random", random_state=seed, max_iter=ITERATIONS)  # pyright: ignore[reportArgumentType]
    found = _unconverged(method, expression)
    loadings, norm = found.components_, np.linalg.norm(found.components_, axis=1, keepdims=True)
    return Programs(found.transform(expression), np.divide(loadings, norm, out=np.zeros_like(loadings), where=norm > 0))


def _unconverged(method: Any, x: Any) -> Any:
    """A method fitted, said or not to have converged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return method.fit(x)
