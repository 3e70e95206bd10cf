"""What a contrastive recipe minimises: how far steered cells are from the target type, and how many strengths
move.

Notable choices

- The penalty is on alpha - 1, the distance from doing nothing.
- Objectives are divided by their value without steering (by the caller), so one penalty scale serves all.
- The published objectives are means over cells of a squared distance, which holds the cells' own variance: mean_c
  |z_c - mu|^2 = |mean_c z_c - mu|^2 + variance. It falls when cells merely shrink. ``centroid_objective`` is its first
  part alone, written with moves, so that a few cells can stand for all: their own place cancels.

Departs from Yanovsky and Chernomoretz 2026: the paper prints the penalty as |alpha|_1 where its text and code
mean alpha - 1, and its code takes the un-squared norm where the paper prints the square; here alpha - 1 and
the square.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def latent_objective(embedding: Float[Tensor, "cell d_model"], target: Float[Tensor, " d_model"]) -> Float[Tensor, ""]:
    """Mean over cells of the squared distance to the target centroid, mean_c |emb_c - mu_target|^2.

    Source: Yanovsky and Chernomoretz 2026, latent objective.
    """
    return (embedding - target).square().sum(dim=1).mean()


def unsquared_objective(
    embedding: Float[Tensor, "cell d_model"], target: Float[Tensor, " d_model"]
) -> Float[Tensor, ""]:
    """Mean over cells of the distance to the target centroid, mean_c |emb_c - mu_target|.

    Source: the public code of Yanovsky and Chernomoretz 2026, whose paper prints the square.
    """
    return _lengths(embedding - target).mean()


def energy_distance(one: Float[Tensor, "cell value"], other: Float[Tensor, "_ value"]) -> Float[Tensor, ""]:
    """How far two samples of cells are apart as a whole, not in their means alone: 2 E|X - Y| - E|X - X'| - E|Y - Y'|.

    It is 0 for equal samples and, unlike a distance to a centroid, does not fall when cells shrink onto it.
    Source: Szekely and Rizzo 2013, Energy statistics.
    """
    between, own, others = (
        _lengths(a[:, None] - b[None]).mean() for a, b in ((one, other), (one, one), (other, other))
    )
    return 2 * between - own - others


def _lengths(x: Float[Tensor, "*some value"]) -> Float[Tensor, "*some"]:
    """Euclidean norms, with a gradient of 0 where they are 0."""
    squares = x.square().sum(dim=-1)
    return torch.where(squares > 0, squares, 1.0).sqrt() * (squares > 0)


def expression_objective(
    expression: Float[Tensor, "cell gene"], target: Float[Tensor, " gene"], weight: Float[Tensor, " gene"]
) -> Float[Tensor, ""]:
    """Mean over cells of the weighted squared distance to the target's mean, mean_c sum_g w_g (y_cg -
    ybar_g)^2, over the genes that are read in each cell (NaN elsewhere).

    Source: Yanovsky and Chernomoretz 2026, expression objective.
    """
    apart = torch.where(expression.isnan(), 0.0, expression - target)
    return (apart.square() * weight).sum(dim=1).mean()


def centroid_objective(
    move: Float[Tensor, " value"], gap: Float[Tensor, " value"], weight: Float[Tensor, " value"]
) -> Float[Tensor, ""]:
    """How much of the gap between two types the mean move of the cells leaves: sum_j w_j (mean_c m_cj - gap_j)^2.

    Where the cells are all those of the source type this is the squared distance of their mean to the target's.

    Departs from Yanovsky and Chernomoretz 2026: there the distance is each cell's own, and can be lowered by shrinking.
    """
    return ((move - gap).square() * weight).sum()


def gap_weights(source: Float[Tensor, " gene"], target: Float[Tensor, " gene"], n_genes: int) -> Float[Tensor, " gene"]:
    """w_g = |ybar_target,g - ybar_source,g| on the most differential genes of either sign, 0 elsewhere.

    Half of the ``n_genes`` places go to genes higher in the target and half to genes lower in it; a side with
    fewer genes than places takes those it has.

    Departs from Yanovsky and Chernomoretz 2026: there the genes are the top of one list, where one sign can
    take all places.
    """
    gap = target - source
    weight = torch.zeros_like(gap)
    for side in (gap, -gap):
        rows = side.topk(min(n_genes // 2, side.numel())).indices
        rows = rows[side[rows] > 0]
        weight[rows] = side[rows]
    return weight


def strength_penalty(strengths: Float[Tensor, " feature"]) -> Float[Tensor, ""]:
    """|alpha - 1|_1: how much a recipe asks for."""
    return (strengths - 1).abs().sum()


def proximal_strengths(
    strengths: Float[Tensor, " feature"], threshold: Float[Tensor, " feature"], bound: float = float("inf")
) -> Float[Tensor, " feature"]:
    """Proximal step of the penalty: soft-threshold alpha - 1, so that small changes become exactly none.

    Formula: 1 + sign(a - 1) min(max(|a - 1| - threshold, 0), bound), per feature; also exact for the penalty
    with the constraint |alpha - 1| <= bound.
    Source: Parikh and Boyd 2014, Proximal algorithms, section 6.5.2.
    """
    change = strengths - 1
    return 1 + change.sign() * (change.abs() - threshold).clamp(0, bound)
