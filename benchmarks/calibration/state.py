"""Claims about what goes with features."""

import numpy as np

from calibration.world import World
from cellprism.report.claims import Null, judgement
from cellprism.report.verdict import SHARE_MATTERS
from cellprism.studies.state.covariates import Covariate
from cellprism.studies.state.following import follow
from cellprism.studies.state.tables import Followers

FAMILIES, FEATURES, TYPES, GROUPS, PERMUTATIONS = 8, 64, (31, 19, 11), 4, 399


def following(seed: int, size: float) -> dict[str, str]:
    """The share of features that go with a number within types, and with groups of cells over all."""
    rng = np.random.default_rng([seed, 10])
    kind = rng.permutation(np.repeat(np.arange(len(TYPES)), TYPES))
    of_type = rng.normal(size=(len(TYPES), FAMILIES))
    family = rng.normal(size=(len(kind), FAMILIES))
    number = kind + rng.normal(size=len(kind))  # differs between types, as depth does
    group = rng.integers(GROUPS, size=len(kind))
    noise = 0.1 * rng.normal(size=(len(kind), FEATURES))
    half = np.arange(FEATURES)[None, :] < FEATURES // 2
    of_number = size * half * (number - kind)[:, None]
    of_group = size * half * rng.permutation(np.linspace(-1.3, 1.3, GROUPS))[group][:, None]
    place = np.arange(FEATURES) % FAMILIES
    cells = np.maximum((family + of_type[kind])[:, place] + noise + of_number, 0)  # features are silent in many cells
    plain = np.maximum(family[:, place] + noise + of_group, 0)
    within = follow(cells, Covariate("", "", number, None), kind, PERMUTATIONS, [seed, 11])
    over = follow(plain, Covariate("", "", None, group), np.zeros(len(kind), dtype=int), PERMUTATIONS, [seed, 12])
    return {"within": _verdict(within.followers), "groups": _verdict(over.followers)}


def _verdict(found: Followers) -> str:
    null = Null("", found.null, found.interval, found.p, PERMUTATIONS)
    return judgement(found.share, None, null, ".0%", SHARE_MATTERS).verdict


WORLDS = [
    World(
        "covariate at random",
        {
            "within": "state: features go with a number known of the cells, within cell types",
            "groups": "state: features go with groups of cells, over all cells",
        },
        "Features in eight families of near copies, silent in many cells, that differ between types; a number that "
        "differs between types too and is drawn within each without regard to them, and groups drawn without regard to "
        "anything: what is known of the cells is one permutation among the others.",
        following, (0.25, 0.5, 1.0), "shift of half the features by a standard deviation of the number, or of the "
        "groups' means, in their own standard deviations", 1000, 200,
    ),
]  # fmt: skip
