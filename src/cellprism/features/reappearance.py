"""Whether another training finds a feature again, and what chance finds again.

Notable choices

- A feature is its direction and where it fires: a pair of features is as much alike as the smaller of two numbers, the
  cosine of their decoder rows and the correlation of their gene profiles. Pairs are one to one.
- Chance is another dictionary that nobody trained, with the covariance of the same tokens. Where the inner state fills
  few dimensions two such dictionaries are much alike, and a large cosine says little.
- A feature is found again where its match in the other training is better than in nearly all of the dictionaries drawn.
  Were trainings such draws themselves, any of them could change places with a draw: that is the test.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch.nn.functional import normalize

from cellprism.equations.pursuit import products, pursuit
from cellprism.equations.recovery import correlations, one_to_one


class Portrait(NamedTuple):
    """A dictionary as it is compared."""

    directions: Float[np.ndarray, "feature d_model"]
    """Rows of norm 1."""
    profiles: Float[np.ndarray, "feature gene"]
    """Mean activation at each gene; constant for a feature that is silent."""


class Match(NamedTuple):
    """Each feature of a dictionary beside its match in another."""

    other: Int[np.ndarray, " feature"]
    """The other dictionary's feature; -1 where it has none left."""
    cosine: Float[np.ndarray, " feature"]
    """Of decoder rows; 0 without a match."""
    profile: Float[np.ndarray, " feature"]
    """Correlation of gene profiles; 0 without a match."""

    @property
    def likeness(self) -> Float[np.ndarray, " feature"]:
        """The smaller of the two."""
        return np.minimum(self.cosine, self.profile)


def matched(own: Portrait, other: Portrait) -> Match:
    """The one-to-one match with the largest summed likeness."""
    cosine = own.directions @ other.directions.T
    profile = correlations(own.profiles.T, other.profiles.T).astype(cosine.dtype)
    place = one_to_one(np.minimum(cosine, profile).T)
    rows, there = np.arange(len(place)), place >= 0
    return Match(place, np.where(there, cosine[rows, place], 0), np.where(there, profile[rows, place], 0))


def mean_cosine(own: Portrait, other: Portrait) -> float:
    """PW-MCC: the mean cosine of decoder rows under the one-to-one match that makes it largest.

    Source: Song et al. 2025, arXiv 2505.20254; .80 for TopK autoencoders of language models.
    """
    cosine = own.directions @ other.directions.T
    place = one_to_one(cosine.T)
    return float(cosine[np.arange(len(place)), place][place >= 0].mean())


def rebuilt(
    directions: Float[np.ndarray, "feature d_model"], other: Float[np.ndarray, "atom d_model"], atoms: int
) -> Float[np.ndarray, " feature"]:
    """Share of each direction that a few of another dictionary's rebuild by matching pursuit, 1 - |w - w_hat|^2."""
    w, rows = torch.from_numpy(directions), torch.from_numpy(other)
    code = pursuit(w, rows, min(atoms, len(rows)), products(rows))
    rest = w - (code.values[:, :, None] * rows[code.features]).sum(dim=1)
    return 1 - rest.double().square().sum(dim=1).numpy()


def exceeds(
    values: Float[np.ndarray, "training feature"], drawn: Float[np.ndarray, "draw feature"], level: float
) -> Bool[np.ndarray, "training feature"]:
    """Where a training's value is among the largest: (1 + draws that reach it) / (1 + draws) <= level."""
    m = int(level * (len(drawn) + 1) + 1e-9)
    if m < 1:
        return np.zeros(values.shape, dtype=bool)
    return values > -np.partition(-drawn, m - 1, axis=0)[m - 1]


def exchanged_shares(
    values: Float[np.ndarray, "training feature"],
    drawn: Float[np.ndarray, "draw feature"],
    level: float,
    permutations: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, " permutation"]:
    """Share of features that ``exceeds`` finds when as many random ones of all dictionaries pass for trainings."""
    pool, n = np.concatenate([values, drawn]), len(values)
    found = []
    for _ in range(permutations):
        order = rng.permutation(len(pool))
        found.append(exceeds(pool[order[:n]], pool[order[n:]], level).mean())
    return np.array(found)


def consensus(
    own: Portrait, others: list[Portrait], matches: list[Match], again: Bool[np.ndarray, "training feature"]
) -> Float[np.ndarray, "feature d_model"]:
    """Each direction with those that found it again: their mean, of norm 1."""
    total = own.directions.copy()
    for other, match, found in zip(others, matches, again, strict=True):
        total[found] += other.directions[match.other[found]]
    return normalize(torch.from_numpy(total), dim=1).numpy()
