"""How one feature is active over cells: quantised for the map, by quantile, by cell type, and its strongest cells."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from cellprism.atlas.shards import packed

TOP, BINS = 12, 24
LARGE = 60_000  # bytes in base 64 above which fewer steps are kept
EDGES = (1.0, 0.99, 0.95, 0.75, 0.5, 0.0)
"""Quantiles, of the cells in which it is active at all, between which it is described."""


@dataclass(frozen=True)
class CellActivity:
    """What a page shows of a feature over cells."""

    values: dict[str, Any]
    """largest (one step above 0 is largest / steps), steps, and the packed steps of all cells."""
    histogram: dict[str, Any]
    quantiles: list[dict[str, Any]]
    types: list[list[Any]]
    """name, cells, share in which it is active, mean, standard deviations from the mean cell."""
    top: list[list[Any]]
    """row, type, activation."""


@dataclass(frozen=True)
class Labels:
    """Cell types of all cells."""

    names: list[str]
    codes: Int[np.ndarray, " cell"]

    @classmethod
    def of(cls, types: pd.Series) -> "Labels":
        """From a type for each cell."""
        codes, names = pd.factorize(types)
        return cls([str(name) for name in names], codes)

    @cached_property
    def counts(self) -> Int[np.ndarray, " type"]:
        """Cells of each."""
        return np.bincount(self.codes, minlength=len(self.names))


def activity(value: Float[np.ndarray, " cell"], labels: Labels | None) -> CellActivity:
    """Describe a feature by its mean activation in every cell; without ``labels``, types are left out."""
    order = np.argsort(-value, kind="stable")
    active = order[: int((value > 0).sum())]
    top = [[int(i), labels.names[labels.codes[i]] if labels else "", float(value[i])] for i in active[:TOP]]
    quantiles, types = _quantiles(value, active, labels), _types(value, labels) if labels else []
    return CellActivity(steps_of(value), _histogram(value), quantiles, types, top)


def steps_of(value: Float[np.ndarray, " cell"]) -> dict[str, Any]:
    """Activation in 255 steps of its largest value; in 15 where that would be large."""
    largest = float(value.max(initial=0))
    for steps in (255, 15):
        whole = np.round(value / max(largest, 1e-12) * steps).astype(np.uint8)
        found = packed(np.maximum(whole, value > 0).astype(np.uint8))  # what is active stays so
        if len(found["z"]) <= LARGE:
            break
    return {"largest": largest, "steps": steps, "values": found}


def _histogram(value: Float[np.ndarray, " cell"]) -> dict[str, Any]:
    some = value[value > 0]
    counts, edges = np.histogram(some, BINS) if some.size else (np.zeros(0, dtype=int), np.zeros(0))
    return {"silent": int((value <= 0).sum()), "counts": counts.tolist(), "edges": edges.tolist()}


def _quantiles(
    value: Float[np.ndarray, " cell"], active: Int[np.ndarray, " some"], labels: Labels | None
) -> list[dict[str, Any]]:
    """Rows from the strongest cells to the silent ones, each with its most frequent types."""
    n, rows = len(active), []
    for high, low in pairwise(EDGES):
        part = active[round(n * (1 - high)) : round(n * (1 - low))]
        if len(part):
            rows.append(_row(f"{_per_cent(low)} to {_per_cent(high)}", value, part, labels))
    silent = np.flatnonzero(value <= 0)
    return [*rows, _row("silent", value, silent, labels)] if len(silent) else rows


def _per_cent(share: float) -> str:
    return f"{100 * share:g} %"


def _row(
    name: str, value: Float[np.ndarray, " cell"], part: Int[np.ndarray, " some"], labels: Labels | None
) -> dict[str, Any]:
    """Its cells, their mean, and the three most frequent types with their share here and among all cells."""
    row: dict[str, Any] = {"name": name, "cells": len(part), "mean": float(value[part].mean()), "types": []}
    if labels is not None:
        here = np.bincount(labels.codes[part], minlength=len(labels.names))
        best = [int(i) for i in np.argsort(-here, kind="stable")[:3] if here[i]]
        row["types"] = [
            [labels.names[i], float(here[i] / len(part)), float(labels.counts[i] / len(value))] for i in best
        ]
    return row


def _types(value: Float[np.ndarray, " cell"], labels: Labels) -> list[list[Any]]:
    n = labels.counts
    mean, share = np.bincount(labels.codes, value) / n, np.bincount(labels.codes, value > 0) / n
    spread = max(float(value.std()), 1e-12)
    rows = [
        [name, int(n[i]), float(share[i]), float(mean[i]), float((mean[i] - value.mean()) / spread)]
        for i, name in enumerate(labels.names)
    ]
    return sorted(rows, key=lambda row: -row[4])
