"""How much of what is hidden a set of features recovers.

Notable choices

- A feature that falls where a variable rises has found it: strength is unsigned, the sign is reported beside it.
- AUROCs of many features and many groups are one matrix product of ranks.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.stats import rankdata

from cellprism.equations.ratio import share


def correlations(
    a: Float[np.ndarray, "sample feature"], b: Float[np.ndarray, "sample variable"]
) -> Float[np.ndarray, "feature variable"]:
    """Pearson correlation of every column of ``a`` with every column of ``b``, in float64; 0 for a constant column."""
    standard = []
    for values in (a, b):
        centred = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
        norm = np.linalg.norm(centred, axis=0)
        floor = 1e-7 * np.sqrt(len(values)) * np.abs(values).max(axis=0, initial=0)  # what is left of a constant column
        standard.append(np.divide(centred, norm, out=np.zeros_like(centred), where=norm > floor))
    return np.clip(standard[0].T @ standard[1], -1, 1)


def one_to_one(strength: Float[np.ndarray, "feature variable"]) -> Int[np.ndarray, " variable"]:
    """Feature of each variable, no feature serving two, with the largest summed strength; -1 where none is left.

    Formula: the assignment f that maximises sum_v strength[f(v), v].
    """
    feature, variable = linear_sum_assignment(strength, maximize=True)
    chosen = np.full(strength.shape[1], -1)
    chosen[variable] = feature
    return chosen


def auroc(
    values: Float[np.ndarray, "sample feature"], positive: Bool[np.ndarray, "sample group"]
) -> Float[np.ndarray, "feature group"]:
    """Chance that a member of a group has a larger value than another sample, ties counted half.

    Formula: (sum of the members' mid-ranks - m (m + 1) / 2) / (m (n - m)) for m members among n samples; NaN for a
    group with no members or no others.
    """
    ranks = rankdata(values, axis=0).T @ positive.astype(np.float64)
    return auroc_of_ranks(ranks, positive.sum(axis=0).astype(np.float64), len(positive))


def auroc_of_sets(values: Float[np.ndarray, "feature sample"], member: csr_array) -> Float[np.ndarray, "feature set"]:
    """The same for sets given as a sparse table [set sample], 1 where the sample is in the set: of thousands of sets of
    few samples each."""
    ranks = (member.astype(np.float64) @ rankdata(values, axis=1).T).T
    return auroc_of_ranks(ranks, np.asarray(member.sum(axis=1), dtype=np.float64).ravel(), values.shape[1])


def auroc_of_ranks(
    ranks: Float[np.ndarray, "*feature group"], members: Float[np.ndarray, " group"], samples: int
) -> Float[np.ndarray, "*feature group"]:
    """AUROC from the summed mid-ranks of the members of each group; NaN for a group with no members or no others."""
    pairs = members * (samples - members)
    above = ranks - members * (members + 1) / 2
    return np.divide(above, pairs, out=np.full(above.shape, np.nan), where=pairs > 0)


def f1(predicted: Bool[np.ndarray, "*some"], actual: Bool[np.ndarray, "*some"]) -> float:
    """Harmonic mean of precision and recall, 2 |P and A| / (|P| + |A|); 0 where both are empty."""
    size = int(predicted.sum()) + int(actual.sum())
    return 2 * int((predicted & actual).sum()) / size if size else 0.0


def f1_cut(values: Float[np.ndarray, " sample"], actual: Bool[np.ndarray, " sample"]) -> float:
    """Value from which on predicting membership has the largest F1; infinity where there are no members.

    Every value that occurs is tried: F1 at a cut is 2 (members at or above it) / (samples at or above it + members).
    """
    if not actual.any():
        return np.inf
    order = np.argsort(-values, kind="stable")
    ordered = values[order]
    hits = np.cumsum(actual[order])
    score = 2 * hits / (np.arange(1, len(values) + 1) + hits[-1])
    last_of_ties = np.append(ordered[1:] != ordered[:-1], True)
    return float(ordered[np.argmax(np.where(last_of_ties, score, -1))])


def explained(
    actual: Float[np.ndarray, "sample variable"], predicted: Float[np.ndarray, "sample variable"]
) -> Float[np.ndarray, " variable"]:
    """R^2 of each column, 1 - sum (y - y_hat)^2 / sum (y - mean y)^2; NaN for a column that does not vary."""
    left = np.square(actual - predicted).sum(axis=0, dtype=np.float64)
    total = np.square(actual - actual.mean(axis=0)).sum(axis=0, dtype=np.float64)
    return 1 - share(left, total, np.square(actual).sum(axis=0, dtype=np.float64))
