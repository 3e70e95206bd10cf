"""Directions in the residual stream that need no search: what plain statistics say leads from one type to the other.

All are one vector for all tokens, but for the difference of means per gene. They are learned from training cells and
come without a size of their own.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.stats import rankdata
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from cellprism.features.decompositions import LinearFeatures, independent_features
from cellprism.features.dictionaries import TokenSample
from cellprism.features.tokens.residuals import genes_of
from cellprism.steering.contrast.cell_split import Pair
from cellprism.steering.nulls import difference_of_means, shared_vector
from cellprism.steering.settings import DIFFERENCE, DIFFERENCE_PER_GENE
from cellprism.steering.site_cache import SiteCache

LOGISTIC, DISCRIMINANT, PRINCIPAL = "logistic direction", "LDA direction", "principal component"
COMPONENTS = 16  # principal components among which the one that parts the types best is taken, and independent ones
TOKENS = 20_000  # from which independent components are learned


def directions(cache: SiteCache, train: Pair) -> dict[str, Float[Tensor, "place d_model"]]:
    """Vectors by name, one a place."""
    per_gene = difference_of_means(cache, train.source, train.target)
    shared = shared_vector(cache, per_gene, train.source)
    found = {DIFFERENCE_PER_GENE: per_gene, DIFFERENCE: shared} if cache.n_places > 1 else {DIFFERENCE: shared}
    cells = np.concatenate([train.source, train.target])
    pooled, target = pooled_residuals(cache, cells), np.arange(len(cells)) >= len(train.source)
    for name, vector in linear_directions(pooled, target).items():
        found[name] = torch.ones_like(shared) * torch.from_numpy(vector).to(shared)
    return found


def linear_directions(
    pooled: Float[np.ndarray, "cell d_model"], target: np.ndarray
) -> dict[str, Float[np.ndarray, " d_model"]]:
    """Directions that part target cells from others, each pointing to the target."""
    logistic: Any = LogisticRegression(C=1.0, max_iter=1000)
    scale = pooled.std(axis=0) + 1e-12  # a direction of the stream itself, found on axes of equal spread
    found = {LOGISTIC: logistic.fit(pooled / scale, target).coef_[0] / scale}
    found[DISCRIMINANT] = (
        LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(pooled, target).coef_[0].astype(float)
    )
    method: Any = PCA(min(COMPONENTS, *pooled.shape), svd_solver="full").fit(pooled)
    ranks = rankdata(method.transform(pooled), axis=0)
    parts = ranks[target].mean(axis=0) - ranks[~target].mean(axis=0)
    most = int(np.abs(parts).argmax())
    found[PRINCIPAL] = np.sign(parts[most]) * method.components_[most]
    return {name: np.asarray(vector, dtype=np.float32) for name, vector in found.items()}


def pooled_residuals(cache: SiteCache, cells: Int[np.ndarray, " some"]) -> Float[np.ndarray, "cell d_model"]:
    """Mean residual over the present tokens of each cell, one pass of each."""
    parts = []
    for part in cache.take_rows(cache.one_row_each(cells)):
        weight = part.batch.present.to(part.x.dtype)[..., None]
        parts.append(((part.x * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1)).double().cpu().numpy())
    return np.concatenate(parts)


def independent_dictionary(cache: SiteCache, cells: Int[np.ndarray, " some"], seed: int) -> LinearFeatures:
    """Independent components of some cells' tokens, read as features are."""
    parts = list(cache.take_rows(cache.one_row_each(cells)))
    present = [part.batch.present for part in parts]
    x = torch.cat([part.x[there] for part, there in zip(parts, present, strict=True)])
    gene = torch.cat([genes_of(part.batch)[there] for part, there in zip(parts, present, strict=True)])
    cell = torch.cat([
        part.batch.cell[:, None].expand(there.shape)[there] for part, there in zip(parts, present, strict=True)
    ])  # fmt: skip
    some = np.sort(np.random.default_rng([seed, 71]).permutation(len(x))[:TOKENS])
    rows = torch.from_numpy(some).to(x.device)
    x, gene, cell = x[rows], gene[rows], cell[rows]
    sae = cache.sae
    centred = sae.centred(x, gene if sae.centre is not None else None)
    return independent_features(TokenSample(centred, gene, cell, x - centred), sae, COMPONENTS, seed)
