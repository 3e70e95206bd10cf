"""The features nearest to each: by the direction that they write, by their genes, by the cells they are active in.

Notable choices

- Only features that fire are neighbours and have any.
- A feature is a duplicate where another one that fires more often writes nearly the same direction.
- Similarities are made for some features at a time: there may be tens of thousands.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from cellprism.report.frames import where

DECODER, GENES, ACTIVITY = "decoder", "genes", "activity"
SHOWN = 10
DUPLICATE = 0.95
"""Cosine between decoder rows from which one feature is a duplicate of the other."""
AT_ONCE = 256


class Near(NamedTuple):
    """The nearest features of each."""

    index: Int[np.ndarray, "feature near"]
    value: Float[np.ndarray, "feature near"]


def nearest(rows: Callable[[slice], Any], features: int, count: int) -> Near:
    """The ``count`` most similar others of each feature, the nearest first; of equal ones the first.

    Args:
        rows: of a stretch of features, similarity to all [some feature].
        features: how many there are.
        count: at most one fewer than features.
    """
    found = []
    for start in range(0, features, AT_ONCE):
        block = np.array(rows(slice(start, start + AT_ONCE)), dtype=np.float32)
        block[np.arange(len(block)), start + np.arange(len(block))] = -np.inf
        top = np.argsort(-block, axis=1, kind="stable")[:, :count]
        found.append((top, np.take_along_axis(block, top, axis=1)))
    return Near(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def neighbour_table(names: Int[np.ndarray, " feature"], by: str, near: Near) -> pd.DataFrame:
    """feature, by, rank, neighbour, value; pairs that share nothing are left out.

    Args:
        names: number of each feature.
        by: kind of similarity.
        near: places among ``names``.
    """
    index, value = near.index[:, :SHOWN], near.value[:, :SHOWN]
    table = pd.DataFrame({
        "feature": np.repeat(names, index.shape[1]), "by": by, "rank": np.tile(np.arange(index.shape[1]), len(names)),
        "neighbour": names[index.ravel()], "value": value.ravel().astype(float),
    })  # fmt: skip
    return where(table, table["value"] > 0)


def duplicates(near: Near, rate: Float[np.ndarray, " feature"]) -> Int[np.ndarray, " feature"]:
    """Place of the feature that each is a duplicate of, -1 where it is none: among the nearest by decoder that are as
    near as ``DUPLICATE``, the one that fires most often, if it does so more often than the feature itself.

    Args:
        near: by decoder.
        rate: how often each fires; of equal ones the first counts as more often.
    """
    place = np.empty(len(rate), dtype=np.int64)
    place[np.argsort(-rate, kind="stable")] = np.arange(len(rate))
    theirs = np.where(near.value >= DUPLICATE, place[near.index], len(rate))
    best = theirs.argmin(axis=1)
    row = np.arange(len(rate))
    found: Bool[np.ndarray, " feature"] = theirs[row, best] < place
    return np.where(found, near.index[row, best], -1)
