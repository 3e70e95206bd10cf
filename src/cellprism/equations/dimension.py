"""How many dimensions vectors fill: participation ratios of covariances, as a penalty and without the noise.

Notable choices

- A covariance of vectors counts noise as dimension. The cross-covariance between two readings of the same things, whose
  noise is independent, does not.
"""

from jaxtyping import Float
from torch import Tensor


def inverse_participation(centred: Float[Tensor, "row d_model"]) -> Float[Tensor, ""]:
    """One over the participation ratio of the covariance's eigenvalues: 1 where one direction varies, 1/d where all do.

    Formula: tr(C^2) / tr(C)^2 with C = X^T X; X has its means off.
    """
    covariance = centred.T @ centred
    return covariance.square().sum() / covariance.trace().square()


def shared_participation(
    one: Float[Tensor, "row d_model"], other: Float[Tensor, "row d_model"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Participation ratio of what recurs in two readings of the same things, and the share of the variance that does.

    Formula: C = (X^T Y + Y^T X) / 2; tr(C)^2 / tr(C^2), and 2 tr(C) / (tr(X^T X) + tr(Y^T Y)).

    Args:
        one: X, means off.
        other: Y, its rows readings of the same things as those of X, means off.
    """
    cross = (one.T @ other + other.T @ one) / 2
    whole = (one.square().sum() + other.square().sum()) / 2
    return cross.trace().square() / cross.square().sum(), cross.trace() / whole
