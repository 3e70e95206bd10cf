"""Footprints of features on genes: pooling over cells, participation ratio, gene-set size and overlap.

Notable choices

- Everything is float64: a fourth power of float32 activations loses the small genes that decide a set's size.
- The participation ratio is computed on rows divided by their largest value. It is scale-free, so nothing
  changes but that the fourth power neither overflows nor vanishes.
"""

import numpy as np
from jaxtyping import Float, Int


def pooled_mean(
    total: Float[np.ndarray, "feature gene"], cells: Int[np.ndarray, " gene"]
) -> Float[np.ndarray, "feature gene"]:
    """Feature x gene matrix: mean activation at each gene's token, cells where the feature is silent
    included.

    Formula: F[f, g] = (1 / n_g) sum_c z_f(c, g), with z zero where f is not among the k kept.

    Args:
        total: sum of activations over cells.
        cells: n_g, how many cells carry gene g's token. A gene that no cell carries gets 0.

    Source: Yanovsky and Chernomoretz 2026.
    """
    return np.divide(total, cells, out=np.zeros(total.shape), where=cells > 0)


def participation_ratio(F: Float[np.ndarray, "feature gene"]) -> Float[np.ndarray, " feature"]:
    """How many genes a feature spreads over: n for n equal values, 1 for a single one, 0 for a row of zeros.

    Formula: PR_f = (sum_g F_fg^2)^2 / sum_g F_fg^4.
    Source: Yanovsky and Chernomoretz 2026; the inverse participation ratio of physics.
    """
    peak = np.abs(F).max(axis=1, keepdims=True, initial=0)
    square = np.divide(F, peak, out=np.zeros(F.shape), where=peak > 0) ** 2
    fourth = (square**2).sum(axis=1)
    return np.divide(square.sum(axis=1) ** 2, fourth, out=np.zeros(len(F)), where=fourth > 0)


def gene_set_size(
    ratio: Float[np.ndarray, " feature"], clamp: tuple[int, int] | None = None
) -> Int[np.ndarray, " feature"]:
    """How many top genes make up a feature's gene set: round(PR), ties to even; 0 stays 0.

    Args:
        ratio: participation ratios.
        clamp: smallest and largest size; the public code of Yanovsky and Chernomoretz 2026 uses (10, 100),
            which the paper does not mention.
    """
    size = np.rint(ratio).astype(np.int64)
    return size if clamp is None else np.where(size > 0, np.clip(size, *clamp), 0)


def overlap_coefficient(
    shared: Int[np.ndarray, "*pair"], size_a: Int[np.ndarray, "*pair"], size_b: Int[np.ndarray, "*pair"]
) -> Float[np.ndarray, "*pair"]:
    """How alike two gene sets are: 1 the same, 0 nothing shared or a set empty.

    Formula: |A n B| / sqrt(|A| |B|).
    Source: Yanovsky and Chernomoretz 2026, there the weight of an edge between features.
    """
    return np.divide(shared, np.sqrt(size_a * size_b), out=np.zeros(shared.shape), where=shared > 0)
