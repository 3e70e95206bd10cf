"""Autoencoders of any architecture at the same sparsity, so that only the architecture differs.

Notable choices

- L0, features that fire per vector, is measured on held-out vectors: thresholds learned from batches need not keep what
  they kept in training.
- The first fit aims at L0 by itself. While it is off, the penalty's weight is searched: by the ratio of L0 to the
  target until the target lies between two tries, then by halving the interval in logarithms.
- What counts features of a batch has one threshold afterwards, a number that training only estimates from its own
  vectors. It is set on the held-out vectors, without another training; what is hidden behind them plays no part.
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.equations.sparse import preactivations
from cellprism.errors import ConfigError
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.config import SaeConfig
from cellprism.sae.evaluate import evaluate
from cellprism.sae.fit import fit_sae

PENALISED = ("l1", "gated", "jumprelu")
SAMPLE = 10_000  # vectors that a threshold is set on
LARGEST_MOVE = 4.0  # factor by which a weight changes between two tries before the target is bracketed


@dataclass(frozen=True)
class Fitted:
    """An autoencoder and how sparse it came out."""

    sae: SparseAutoencoder
    l0: float
    """Features that fire per held-out vector."""
    within: bool
    """Whether L0 is as close to the target as asked."""
    tries: int
    """Trainings it took; each saw the same number of vectors."""


def fit_at_l0(
    train: Float[Tensor, "sample d_model"],
    held: Float[Tensor, "other d_model"],
    config: SaeConfig,
    target: float,
    steps: int,
    seed: int,
    tolerance: float = 0.1,
    tries: int = 6,
) -> Fitted:
    """Fit an autoencoder whose L0 on held-out vectors is within ``tolerance`` of ``target``; the nearest of all tries.

    Args:
        train: vectors in random order; gone through in batches of ``config.batch_size`` until the steps are done.
        held: vectors to measure L0 on.
        config: settings; ``k`` and ``sparsity`` are set here.
        target: L0.
        steps: optimiser steps of each try.
        seed: of the initial directions.
        tolerance: largest share by which L0 may be off.
        tries: most trainings.

    Raises:
        ConfigError: a target below 1, or no tries.
    """
    if target < 1 or tries < 1:
        raise ConfigError(f"target is {target} and tries {tries}: expected at least 1 feature and 1 training")
    batches = list(train.split(config.batch_size))
    config = replace(config, k=round(target), sparsity=None)
    bracket: dict[bool, float] = {}
    best: Fitted | None = None
    for number in range(1, tries + 1):
        sae = fit_sae(batches, config, train.shape[1], steps, seed)
        if config.architecture not in PENALISED and sae.threshold is not None:
            sae = with_threshold(sae, held[:SAMPLE], target)
        l0 = evaluate(sae, [held]).l0
        off = abs(l0 / target - 1)
        if best is None or off < abs(best.l0 / target - 1):
            best = Fitted(sae, l0, off <= tolerance, number)
        best = replace(best, tries=number)
        if off <= tolerance or config.architecture not in PENALISED:
            break
        weight = _weight(config, sae)
        bracket[l0 > target] = weight
        config = replace(config, sparsity=_next(weight, l0, target, bracket))
    assert best is not None, "there is at least one try"
    return best


def with_threshold(sae: SparseAutoencoder, x: Float[Tensor, "sample d_model"], target: float) -> SparseAutoencoder:
    """The same autoencoder with the one threshold above which ``target`` features fire per vector of ``x``.

    It is not set below zero: features that would have negative values do not fire.
    """
    h = preactivations(sae.centred(x) - sae.b_dec, sae.W_enc, sae.b_enc).flatten()
    kept = min(len(h) - 1, round(target * len(x)))
    least = float(h.kthvalue(len(h) - kept).values.clamp_min(0))
    return replace(sae, threshold=torch.full_like(sae.b_enc, least))


def _weight(config: SaeConfig, sae: SparseAutoencoder) -> float:
    """The penalty's weight as training left it."""
    if config.sparsity is not None:
        return config.sparsity
    assert sae.history is not None, "it was fitted here"
    return float(sae.history["sparsity"].iloc[-1])


def _next(weight: float, l0: float, target: float, bracket: dict[bool, float]) -> float:
    """The next try: between too sparse and not sparse enough where both are known."""
    if len(bracket) == 2:
        return math.sqrt(bracket[True] * bracket[False])
    return weight * min(LARGEST_MOVE, max(1 / LARGEST_MOVE, l0 / target))
