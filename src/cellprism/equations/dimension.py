"""How many dimensions vectors fill: participation ratios of covariances, as a penalty and without the noise.

Notable choices

- A covariance of vectors counts noise as dimension. The cross-covariance between two readings of the same things, whose
  noise is independent, does not.
"""

from jaxtyping import Bool, Float
from torch import Tensor


def inverse_participation(centred: Float[Tensor, "row d_model"]) -> Float[Tensor, ""]:
    """One over the participation ratio of the covariance's eigenvalues: 1 where one direction varies, 1/d where all do.

    Formula: tr(C^2) / tr(C)^2 with C = X^T X; X has its means off.
    """
    covariance = centred.T @ centred
    return covariance.square().sum() / covariance.trace().square()


def shared_participation(
    one: Float[Tensor, "row d_model"], other: Float[Tensor, "row d_model"], first: Bool[Tensor, " row"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Participation ratio of what recurs in two readings of the same things, and the share of the variance that does.

    Formula: C_h = (X_h^T Y_h + Y_h^T X_h) / 2 n_h over each half h of the rows; tr(C_1) tr(C_2) / tr(C_1 C_2), and
    (tr(C_1) + tr(C_2)) / 2 over the mean of the two readings' variances. What few rows say of a cross-covariance is
    mostly noise, whose square adds up over all pairs of dimensions; the halves have it each for itself.

    Args:
        one: X, means off.
        other: Y, its rows readings of the same things as those of X, means off.
        first: rows of the first half; the halves are of different cells.
    """
    halves = [_cross(one[some], other[some]) for some in (first, ~first)]
    traces = [cross.trace() for cross in halves]
    whole = (one.square().sum() + other.square().sum()) / (2 * len(one))
    return traces[0] * traces[1] / (halves[0] * halves[1]).sum(), (traces[0] + traces[1]) / 2 / whole


def _cross(one: Float[Tensor, "row d_model"], other: Float[Tensor, "row d_model"]) -> Float[Tensor, "d_model d_model"]:
    return (one.T @ other + other.T @ one) / (2 * len(one))
