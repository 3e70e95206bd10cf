"""How well an autoencoder describes vectors that it is shown: one pass over a stream, flat memory."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.equations.sparse import explained_variance
from cellprism.errors import InputError
from cellprism.sae.autoencoder import SparseAutoencoder, centre_of
from cellprism.sae.stream import Batch, Vectors, as_vectors

DENSE = 0.1  # a feature that fires at more than this share of tokens is called dense


@dataclass(frozen=True, eq=False)
class SaeMeasures:
    """What one pass over some vectors says of an autoencoder."""

    tokens: int
    """Vectors seen."""
    mse: float
    """Mean squared error per dimension."""
    explained_variance: float
    """1 - FVU, against the mean vector."""
    explained_within: float | None
    """1 - FVU against each group's own mean; None for an autoencoder that is not centred per group."""
    l0: float
    """Features that fire per token."""
    dead_share: float
    """Share of features that never fired."""
    dense_share: float
    """Share of features that fired at more than 10 % of tokens."""
    firing_rate: Float[Tensor, " feature"]
    """Share of tokens at which each feature fired."""
    forced: str = ""
    """What it was trained on that these vectors are not of, in words, where it was measured all the same."""

    def summary(self) -> dict[str, float | int | str | None]:
        """Everything but the firing rates, as plain JSON values; None where a number is not defined."""
        numbers = {name: value for name, value in vars(self).items() if name not in ("firing_rate", "forced")}
        plain = {n: None if v is None or not math.isfinite(v) else v for n, v in numbers.items()}
        return plain | ({"forced": self.forced} if self.forced else {})


class _Moments:
    """Sums that a total variance is made of."""

    def __init__(self, d_model: int, device: torch.device):
        self.squares = torch.zeros((), dtype=torch.float64, device=device)
        self.total = torch.zeros(d_model, dtype=torch.float64, device=device)

    def add(self, x: Float[Tensor, "token d_model"]) -> None:
        wide = x.double()
        self.squares += wide.square().sum()
        self.total += wide.sum(dim=0)


def _goal(vectors: Vectors, sae: SparseAutoencoder) -> Float[Tensor, "token d_target"]:
    """What should come out."""
    if not sae.is_transcoder:
        return vectors.x.float()
    if vectors.target is None:
        raise InputError("a transcoder is measured on its targets; give Vectors(x, target=...)")
    return vectors.target.float()


@torch.no_grad()
def evaluate(sae: SparseAutoencoder, batches: Iterable[Batch]) -> SaeMeasures:
    """Measure an autoencoder on a stream of vectors, of pairs of vectors and their groups, or of ``Vectors``.

    Raises:
        InputError: the stream is empty, or its vectors do not fit the autoencoder.
    """
    device = sae.W_dec.device
    plain, within = (_Moments(sae.W_dec.shape[1], device) for _ in range(2))
    squared = torch.zeros((), dtype=torch.float64, device=device)
    fired = torch.zeros(sae.n_features, dtype=torch.long, device=device)
    size = torch.zeros_like(squared)
    count = 0
    centre = sae.target_centre if sae.is_transcoder else sae.centre
    for batch in batches:
        vectors = as_vectors(batch)
        goal = _goal(vectors, sae)
        code = sae.encode(vectors.x.float(), vectors.group)
        squared += (sae.decode(code, vectors.group) - goal).double().square().sum()
        fired += torch.bincount(code.features[code.values != 0], minlength=sae.n_features)
        size += goal.double().square().sum()
        plain.add(goal - sae.b_dec)  # variances do not change; the sums lose fewer digits near zero
        if centre is not None:
            within.add(goal - centre_of(centre, vectors.group))
        count += len(goal)
    if not count:
        raise InputError("there are no vectors to measure the autoencoder on; the stream of batches is empty")
    rate = fired.double().cpu() / count
    explained = explained_variance(squared, plain.squares, plain.total, count, size)
    zero = torch.zeros_like(within.total)  # the groups' means are already off, so nothing more is subtracted
    return SaeMeasures(
        tokens=count,
        mse=float(squared) / (count * sae.W_dec.shape[1]),
        explained_variance=float(explained),
        explained_within=None
        if centre is None
        else float(explained_variance(squared, within.squares, zero, count, size)),
        l0=float(fired.sum()) / count,
        dead_share=float((fired == 0).double().mean()),
        dense_share=float((rate > DENSE).double().mean()),
        firing_rate=rate.float(),
    )
