"""Over how many genes features spread, beside directions that know less (Fig. 1a of Yanovsky and Chernomoretz 2026)."""

from collections.abc import Mapping

import numpy as np

from cellprism.enrich.list_rules import Directions, ranked_lists
from cellprism.features.dictionaries import control_dictionary, with_centre
from cellprism.studies.ladder.rungs import Site
from cellprism.studies.ladder.tables import Ratios
from cellprism.studies.ladder.trained import directions
from cellprism.studies.workbench import Workbench

BESIDE = ("untrained", "permuted")
"""Rungs whose ratios are shown."""
SHOWN = ("features", "untrained", "tokens", "permuted")
EDGES = np.geomspace(1, 4096, 37).tolist()
"""Three bins from a number of genes to its double."""


def token_directions(bench: Workbench, site: Site) -> Directions:
    """Vectors of the stream as directions, used as sparsely as the autoencoder uses its own."""
    dictionary = control_dictionary("tokens", site.sample, site.own, bench.config.seed)
    return directions(bench, with_centre(dictionary, site.own))


def ratios(found: Mapping[str, Directions], background: tuple[str, ...]) -> list[Ratios]:
    """Participation ratios over the genes that may be in a list, of directions that fire."""
    rows = []
    for name in (name for name in SHOWN if name in found):
        values = np.array(list(ranked_lists(found[name], "mean", background, 1)[1].values()))
        values = values[values > 0]
        if len(values):
            counts, _ = np.histogram(np.clip(values, EDGES[0], EDGES[-1]), EDGES)
            rows.append(Ratios(name, counts.tolist(), float(np.median(values))))
    return rows
