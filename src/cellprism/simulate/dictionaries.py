"""What a sparse autoencoder's features are compared with: other ways to make features of the same vectors.

Notable choices

- A dictionary that was not trained keeps the autoencoder's rule, the k largest positive projections: isotropic random
  directions, directions with the covariance of the vectors, and directions of sampled vectors.
- Dense ones have no rule: the axes, PCA, ICA, NMF (of vectors shifted to be positive). Their features are signed,
  except NMF's; recovery is unsigned, so that one axis serves both tails.
- The supervised ones are told the answers on the samples that they are fitted on: a ridge direction per variable, which
  says what is there to be found by a linear reader, and the axis that follows each variable best, which says what
  selection among axes finds. Attribution is told the programs' genes, and no answer of any sample.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from sklearn.decomposition import NMF, PCA, FastICA
from sklearn.linear_model import Ridge
from torch import Tensor
from torch.autograd.functional import jvp
from torch.nn.functional import normalize

from cellprism.equations.recovery import correlations
from cellprism.errors import ConfigError
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.initial import random_directions
from cellprism.simulate.autoencoders import DenseAutoencoder

Encode = Callable[[Float[Tensor, "_ latent"]], Float[np.ndarray, "_ feature"]]
UNTRAINED = ("untrained", "covariance-matched", "sampled vectors")
DENSE = ("axes", "PCA", "ICA", "NMF")
PENALTY = 1e-3  # of the ridge, per sample and on standardised vectors


def sae_encoder(sae: SparseAutoencoder) -> Encode:
    """Activations of an autoencoder's features, as a dense array."""

    def encode(x: Float[Tensor, "_ latent"]) -> Float[np.ndarray, "_ feature"]:
        code = sae.encode(x)
        dense = x.new_zeros(len(x), sae.n_features)
        return dense.scatter_add_(1, code.features, code.values).numpy()

    return encode


def untrained_dictionary(
    kind: str, x: Float[Tensor, "sample latent"], n_features: int, k: int, seed: int
) -> SparseAutoencoder:
    """A dictionary of the autoencoder's size and rule that has learned nothing but what its kind says.

    Args:
        kind: ``untrained`` (isotropic directions), ``covariance-matched`` (directions drawn with the vectors'
            covariance) or ``sampled vectors`` (directions of vectors drawn from ``x``, repeated where they run out).
        x: vectors.
        n_features: directions.
        k: features kept of each vector.
        seed: decides the draws.

    Raises:
        ConfigError: no such kind.
    """
    mean = x.mean(dim=0)
    generator = torch.Generator().manual_seed(seed)
    if kind == "untrained":
        rows = random_directions(n_features, x.shape[1], seed)
    elif kind == "covariance-matched":
        weights = torch.randn(n_features, len(x), generator=generator)  # sums of vectors have their covariance
        rows = normalize(weights @ (x - mean), dim=1)
    elif kind == "sampled vectors":
        drawn = torch.cat([torch.randperm(len(x), generator=generator) for _ in range(1 + n_features // len(x))])
        rows = normalize((x - mean)[drawn[:n_features]], dim=1)
    else:
        raise ConfigError(f"kind is {kind!r}: expected one of {', '.join(map(repr, UNTRAINED))}")
    return SparseAutoencoder(rows.T.contiguous(), torch.zeros(n_features), rows, mean, k=k)


def dense_dictionary(kind: str, x: Float[Tensor, "sample latent"], n_features: int, seed: int) -> Encode:
    """Features without a rule of sparsity, at most one a dimension: ``axes``, ``PCA``, ``ICA`` or ``NMF``.

    Raises:
        ConfigError: no such kind.
    """
    low, n = x.amin(dim=0), min(n_features, *x.shape)
    if kind == "axes":
        return lambda vectors: vectors.numpy()
    if kind not in DENSE:
        raise ConfigError(f"kind is {kind!r}: expected one of {', '.join(map(repr, DENSE))}")
    if kind == "NMF":
        parts: Any = n  # scikit-learn takes a number; its annotations say otherwise
        positive = NMF(parts, init="nndsvda", max_iter=1000, tol=1e-3, random_state=seed)
        positive.fit((x - low).double().numpy())
        return lambda vectors: positive.transform((vectors - low).clamp_min(0).double().numpy())
    known = PCA(n, random_state=seed) if kind == "PCA" else FastICA(n, random_state=seed, max_iter=2000, tol=1e-3)
    known.fit(x.double().numpy())
    return lambda vectors: known.transform(vectors.double().numpy())


def supervised_dictionary(x: Float[Tensor, "sample latent"], answers: Float[np.ndarray, "sample variable"]) -> Encode:
    """One feature a variable: what a ridge regression, told the answers on these samples, reads off a vector."""
    mean, spread = x.mean(dim=0), float((x - x.mean(dim=0)).square().mean().sqrt()) or 1.0
    ridge = Ridge(alpha=PENALTY * len(x)).fit(((x - mean) / spread).double().numpy(), answers)
    return lambda vectors: ridge.predict(((vectors - mean) / spread).double().numpy()).reshape(len(vectors), -1)


def selected_axes(x: Float[Tensor, "sample latent"], answers: Float[np.ndarray, "sample variable"]) -> Encode:
    """One feature a variable: the axis whose correlation with it, on these samples, is the largest in size."""
    chosen = np.abs(correlations(x.numpy(), answers)).argmax(axis=0)
    return lambda vectors: vectors.numpy()[:, chosen]


def attribution(
    network: DenseAutoencoder, members: Float[np.ndarray, "program gene"], mean: Float[Tensor, " latent"]
) -> Encode:
    """One feature a program: what a cell's latent vector adds to the program's genes, by gradient times input.

    Formula: sum_g m_pg sum_j (z_j - mean_j) dy_g / dz_j, where m_pg is program p's share in gene g less the mean over
    programs.
    """
    weights = torch.from_numpy(members - members.mean(axis=0)).float()

    def encode(vectors: Float[Tensor, "_ latent"]) -> Float[np.ndarray, "_ feature"]:
        added = []
        for part in vectors.split(1000):
            _, change = jvp(network.decoder, part, part - mean)
            assert isinstance(change, Tensor), "one input gives one change"
            added.append(change @ weights.T)
        return torch.cat(added).numpy()

    return encode
