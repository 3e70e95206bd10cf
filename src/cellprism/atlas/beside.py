"""Another run beside this one: which of its features match ours, by genes and by cells, and what chance alone gives.

Notable choices

- Two features are alike where they say the same of the same genes (mean activation), or of the same cells where both
  runs read them: the correlation of ``equations.matches``.
- The best of many is high by chance. Beside each best match stands what the best match reaches when the other run's
  genes trade places among ``ALIKE`` genes expressed in as many cells, or its cells among those of the same type:
  ``DRAWS`` times, all features together.
- That is chance alone. Features of any two dictionaries of such cells follow the same co-expression, so a match beyond
  chance does not say that training found the same twice; the study ``stability`` asks that.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from cellprism.atlas.feature_pages import FeaturePages
from cellprism.atlas.feature_table import labels_of
from cellprism.atlas.shards import SiteWriter, packed, packed_text, plain
from cellprism.atlas.tables import RunTables
from cellprism.equations.locality import permuted_within
from cellprism.equations.matches import similarities, standardised

DRAWS, ALIKE, FEWEST, MOST = 39, 20, 20, 5000
"""Draws of chance; genes of like expression; as few genes or cells as say anything; as many cells as are read."""
NEAR = 3


@dataclass(frozen=True)
class Matches:
    """The features of another run that are most like each of ours."""

    shared: int
    """Genes or cells of both."""
    best: Int[np.ndarray, "feature near"]
    r: Float[np.ndarray, "feature near"]
    back: Int[np.ndarray, " other"]
    """Of each feature of the other run, ours that is most like it."""
    limit: Float[np.ndarray, " feature"]
    """What the best match exceeds in one of twenty draws."""
    chance: Float[np.ndarray, " draw"]
    """Share of features whose best match in a draw lies beyond the limit that the other draws give."""

    @property
    def beyond(self) -> float:
        """Share of features whose best match lies beyond its limit."""
        return float((self.r[:, 0] > self.limit).mean())


def matched(
    ours: Float[np.ndarray, "feature thing"],
    others: Float[np.ndarray, "other thing"],
    groups: Int[np.ndarray, " thing"],
    seed: int = 0,
) -> Matches:
    """Match the features of two runs by what they say of the same things (genes or cells).

    Args:
        ours: of this run.
        others: of the other.
        groups: things of one group trade places in a draw.
        seed: of the draws.
    """
    u, w = standardised(ours), standardised(others)
    seen = similarities(u, w)
    best = np.argsort(-seen, axis=1, kind="stable")[:, :NEAR]
    rng = np.random.default_rng([seed, 113])
    drawn = np.stack([similarities(u, w[:, permuted_within(groups, rng)]).max(axis=1) for _ in range(DRAWS)])
    place = DRAWS - 2  # of 39 draws one in twenty, rounded down, lies beyond the second largest
    ordered = np.sort(drawn, axis=0)
    without = [np.sort(np.delete(drawn, i, axis=0), axis=0)[place - 1] for i in range(DRAWS)]
    return Matches(
        ours.shape[1], best, np.take_along_axis(seen, best, axis=1), seen.argmax(axis=0), ordered[place],
        np.array([(drawn[i] > limit).mean() for i, limit in enumerate(without)]),
    )  # fmt: skip


def by_genes(ours: RunTables, other: RunTables) -> Matches | None:
    """Match by genes that both runs have; None where these are too few."""
    a, b = ours.genes, other.genes
    if a is None or b is None:
        return None
    shared = a.var_names.intersection(b.var_names)
    if len(shared) < FEWEST:
        return None
    name = "n_cells" if "n_cells" in a.var else None
    mine, theirs = a[:, shared].to_df().to_numpy(), b[:, shared].to_df().to_numpy()
    level = np.asarray(a[:, shared].var[name], dtype=float) if name else mine.mean(axis=0)
    groups = np.argsort(np.argsort(level, kind="stable"), kind="stable") // ALIKE
    return matched(mine, theirs, groups)


def by_cells(ours: RunTables, other: RunTables) -> Matches | None:
    """Match by cells that both runs read, by their names; None where these are too few."""
    a, b = ours.cells, other.cells
    if a is None or b is None or not (a.obs_names.is_unique and b.obs_names.is_unique):
        return None
    shared = a.obs_names.intersection(b.obs_names)
    if len(shared) < FEWEST:
        return None
    if len(shared) > MOST:
        shared = shared[np.sort(np.random.default_rng([0, 127]).permutation(len(shared))[:MOST])]
    rows, theirs = a.obs_names.get_indexer(shared), b.obs_names.get_indexer(shared)
    kinds = ours.types.iloc[rows] if ours.types is not None else pd.Series("", index=shared)
    groups = np.asarray(pd.factorize(kinds)[0])
    return matched(ours.activation[rows].toarray().T, other.activation[theirs].toarray().T, groups)


def write_beside(site: SiteWriter, ours: RunTables, other: RunTables) -> dict[str, Any]:
    """Write the shard ``beside`` and a page's data for every feature of the other run; returns what it is, in words."""
    found = {"genes": by_genes(ours, other), "cells": by_cells(ours, other)}
    site.shard("beside", {
        "labels": packed_text(labels_of(other)),
        "types": packed_text([str(kind) for kind in other.programs.features["top_cell_type"]]),
        **{name: _packed(one) if one else None for name, one in found.items()},
    })  # fmt: skip
    FeaturePages(other).write(site, range(other.n_features), under="beside/")
    context = other.context
    return plain({
        "run": context.name, "model": context.model.name if context.model else "", "place": context.place,
        "source": context.cells.source if context.cells else "", "features": other.n_features,
        "cells": context.cells.n_cells if context.cells else 0, "draws": DRAWS,
    })  # fmt: skip


def _packed(found: Matches) -> dict[str, Any]:
    return plain({
        "shared": found.shared, "beyond": found.beyond, "chance": float(found.chance.mean()),
        "chance_high": float(np.quantile(found.chance, 0.975)),
    }) | {
        "best": packed(found.best.astype(np.uint32)), "r": packed(found.r.astype(np.float32)),
        "back": packed(found.back.astype(np.uint32)), "limit": packed(found.limit.astype(np.float32)),
    }  # fmt: skip
