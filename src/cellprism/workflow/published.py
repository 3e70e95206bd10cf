"""Whole runs as published: everything that a paper sets, and that the run's own keys may change again."""

from typing import Any

from cellprism.errors import ConfigError
from cellprism.sae.config import preset

PUBLISHED: dict[str, dict[str, Any]] = {
    "yc2026": {
        "layer": 12,
        "train": preset("yc2026"),
        "programs": {
            "collection": "GO_Biological_Process_2021", "gene_filter": "paper", "rule": "participation",
            "family": "hit-terms", "alpha": 0.05,
        },
    }
}  # fmt: skip
"""Settings of published work by name. yc2026: Yanovsky and Chernomoretz 2026. Their layer 12 is the output of the 13th
of 18 blocks. Terms without a hit leave before the correction there, which random lists pass too: the study ``ladder``
says how often. Recipes are searched here by another optimiser, to the objectives that the paper prints."""


def published(name: object) -> dict[str, Any]:
    """Settings of a whole run by the name of the work that published them.

    Raises:
        ConfigError: there is no such preset.
    """
    if name not in PUBLISHED:
        raise ConfigError(f"there is no preset {name!r}: expected one of {', '.join(PUBLISHED)}")
    return PUBLISHED[str(name)]
