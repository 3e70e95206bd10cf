"""The claim that features differ between conditions, with the donor as the unit."""

import numpy as np
import pandas as pd
import scipy.sparse as sp

from calibration.world import World
from cellprism.report.context import Context
from cellprism.studies.compare.donors import donors_of
from cellprism.studies.compare.page import claims
from cellprism.studies.compare.settings import CompareSettings
from cellprism.studies.compare.work import compared

DONORS, CELLS, FEATURES, SHARED = 10, 23, 31, 3
NOWHERE = Context("", {}, None, None, None)


def compare(seed: int, size: float, within: bool = False) -> dict[str, str]:
    """Features that differ between donors, some of them together, and by ``size`` between conditions in a fifth."""
    rng = np.random.default_rng([seed, 79])
    donor = np.repeat(np.arange(DONORS), CELLS)
    case = rng.random(len(donor)) < 0.5 if within else rng.permutation(np.arange(DONORS) % 2 == 0)[donor]
    of_unit = donor * 2 + case if within else donor
    units = 2 * DONORS
    apart = rng.standard_normal((units, FEATURES)) + rng.standard_normal((units, SHARED)) @ rng.standard_normal(
        (SHARED, FEATURES)
    )
    z = 3 + 0.5 * apart[of_unit] + rng.standard_normal((len(donor), FEATURES))
    z[:, : FEATURES // 5] += size * case[:, None]
    obs = pd.DataFrame({"donor": donor.astype(str), "condition": np.where(case, "treated", "untreated")})
    settings = CompareSettings(condition="condition", case="treated", cells=3, permutations=199)
    features = pd.DataFrame({"feature": np.arange(FEATURES), "best_term": "", "sign": "", "top_genes": ""})
    found = compared(donors_of(obs, sp.csc_matrix(z.clip(0)), settings), settings, features, seed)
    return {"paired" if within else "donors": claims(found, NOWHERE)[0].verdict}


def within(seed: int, size: float) -> dict[str, str]:
    """The same where each donor has cells of both conditions."""
    return compare(seed, size, within=True)


WORLDS = [
    World(
        "donors alike", {"donors": "compare: features differ between conditions, over donors"},
        "Ten donors differ by themselves, features together; five of them drawn at random are called treated.",
        compare, (1.0, 2.0, 4.0), "shift of a fifth of the features, in standard deviations over cells of a donor",
        1000, 100,
    ),
    World(
        "donors alike, both conditions", {"paired": "compare: features differ between conditions, within donors"},
        "Ten donors have cells of both conditions, whose means differ at random in each.",
        within, (1.0, 2.0, 4.0), "shift of a fifth of the features, in standard deviations over cells of a donor",
        1000, 100,
    ),
]  # fmt: skip
