"""Features of one dictionary matched with those of another by what they say of the same genes or cells."""

import numpy as np
from jaxtyping import Float


def standardised(values: Float[np.ndarray, "feature thing"]) -> Float[np.ndarray, "feature thing"]:
    """Rows that say only what is a feature's own, of length 1.

    Formula: u_ft = (v_ft - m_t) / s_t, with m_t and s_t mean and standard deviation of the column over features; then
    each row minus its mean, over its length. A gene at which every feature is strong, or a cell in which every feature
    is, tells no feature from another and is taken off so. Columns and rows that do not vary become 0.
    """
    values = np.asarray(values, dtype=np.float64)
    found = values - values.mean(axis=0)
    spread = found.std(axis=0)
    found = np.divide(found, spread, out=np.zeros_like(found), where=spread > 1e-12)
    found -= found.mean(axis=1, keepdims=True)
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return np.divide(found, length, out=np.zeros_like(found), where=length > 1e-12)


def similarities(
    ours: Float[np.ndarray, "feature thing"], others: Float[np.ndarray, "other thing"]
) -> Float[np.ndarray, "feature other"]:
    """Correlation of every feature of one dictionary with every feature of another.

    Formula: r_fg = sum_t u_ft w_gt of rows as ``standardised`` leaves them, each within its own dictionary.
    """
    return ours @ others.T
