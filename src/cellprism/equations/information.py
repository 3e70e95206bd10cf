"""Information content: how specific a term is, and how much of it two terms share."""

import numpy as np
from jaxtyping import Float, Int


def information_content(
    count: Int[np.ndarray, " *term"], total: Int[np.ndarray, " *term"]
) -> Float[np.ndarray, " *term"]:
    """How specific terms are, in nats: 0 for one that holds all annotated genes, ln N for one gene of N.

    Formula: IC(t) = -ln(n_t / N).

    Args:
        count: n_t, genes annotated with the term or with one below it.
        total: N, genes annotated with anything under the root of the term's namespace.

    Returns:
        NaN for a term without genes.

    Source: Resnik 1995; genes as the unit, as in goatools.
    """
    share = np.divide(count, total, out=np.full(count.shape, np.nan), where=count > 0)
    return np.abs(np.log(share))  # the sign of a zero goes too


def lin_similarity(
    shared: Float[np.ndarray, " *pair"], one: Float[np.ndarray, " *pair"], other: Float[np.ndarray, " *pair"]
) -> Float[np.ndarray, " *pair"]:
    """Share of two terms' information that they have in common: 1 the same, 0 nothing, or nothing to share.

    Formula: 2 IC(most informative common ancestor) / (IC(t1) + IC(t2)).
    Source: Lin 1998.
    """
    total = one + other
    return np.divide(2 * shared, total, out=np.zeros(total.shape), where=total > 0)
