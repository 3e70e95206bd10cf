"""Two objectives at once: how much of each is reached, which solutions no other beats in both, and whether the two pull
the same way."""

import numpy as np
from jaxtyping import Bool, Float


def share_closed(
    move: Float[np.ndarray, " value"], gap: Float[np.ndarray, " value"], weight: Float[np.ndarray, " value"]
) -> float:
    """How much of a squared distance a move takes away: 1 all, 0 none, negative where it leads away.

    Formula: 1 - sum_j w_j (m_j - gap_j)^2 / sum_j w_j gap_j^2. NaN without a gap.
    """
    neutral = float((weight * gap**2).sum())
    return 1 - float((weight * (move - gap) ** 2).sum()) / neutral if neutral > 0 else np.nan


def front(gains: Float[np.ndarray, "point objective"]) -> Bool[np.ndarray, " point"]:
    """Points that no other equals or beats in all objectives at once while beating it in one; higher is better.

    A point without a gain in some objective (NaN) is not on it.
    """
    known = np.asarray(np.isfinite(gains).all(axis=1))
    there = np.where(known[:, None], gains, -np.inf)
    as_good = (there[None] >= there[:, None]).all(axis=2)
    better = (there[None] > there[:, None]).any(axis=2)
    return np.asarray(known & ~np.any(as_good & better, axis=1))


def edit_cosine(
    one: Float[np.ndarray, " feature"],
    other: Float[np.ndarray, " feature"],
    squared_norm: Float[np.ndarray, " feature"],
) -> float:
    """Cosine of two gradients with respect to strengths, each strength in units of the edit that it makes.

    Formula: sum_f a_f b_f / E_f over the root of the same of each with itself, with E_f the squared edit per unit of
    strength: what the gradients say of edits of equal size. Features that make no edit are left out; NaN where a
    gradient is 0.
    """
    made = squared_norm > 0
    a, b = (gradient[made] / np.sqrt(squared_norm[made]) for gradient in (one, other))
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else np.nan
