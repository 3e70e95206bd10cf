"""Claims about factors and their targets, and about effects beside measured ones."""

import numpy as np

from calibration.world import UNTOLD, World
from cellprism.equations.regulation import balanced
from cellprism.regulation.inference import (
    DIRECTION,
    FORWARD,
    beside_relabelled,
    of_measure,
    overall,
    specific_beside_relabelled,
    surplus,
)
from cellprism.regulation.measured import agreement
from cellprism.regulation.pools import GeneFacts, regulon, relabelled
from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.simulate.wired_model import planted_wiring, wired_cells
from cellprism.studies.regulation.answers import factor_alone
from cellprism.studies.regulation.claims import IDS, claims
from cellprism.studies.regulation.tables import DOSE, MODEL, Design, Facts, Regulation

GENES, FACTORS, TARGETS, CELLS, MATCHES, DRAWS = 97, 8, 11, 60, 3, 39
SCREENED = 150
KEYS = {
    "directed": IDS[DIRECTION], "beyond": IDS[FORWARD], "specific": IDS["specific"],
    "one directed": "regulator-g0-direction", "one beyond": "regulator-g0-forward",
}  # fmt: skip


def factors(seed: int, size: float) -> dict[str, str]:
    """All claims about the factors of a wired model, whose effects are its weights times the doses."""
    wiring, targets = planted_wiring(GENES, FACTORS, TARGETS, size, 0.0, seed)
    facts = GeneFacts.of(wired_cells(GENES, CELLS, seed))
    regulons = []
    for factor, own in enumerate(targets):
        open_to = np.ones(GENES, dtype=bool)
        open_to[[factor, *own]] = False
        regulons.append(regulon(facts, factor, np.array(own), np.zeros(TARGETS), open_to, MATCHES))
    np.fill_diagonal(wiring, np.nan)
    even, rng = balanced(wiring), np.random.default_rng([seed, 7])
    drawn = [relabelled(facts, regulons, MATCHES, rng) for _ in range(DRAWS)]
    found, beside, one = [], [], []
    for measure in (FORWARD, DIRECTION):
        true, chance = of_measure(measure, even, regulons), [of_measure(measure, even, each) for each in drawn]
        found.append(overall(measure, MODEL, DOSE, true, seed))
        beside.append(beside_relabelled(true, chance, measure, seed))
        if measure == FORWARD:
            beside.append(specific_beside_relabelled(true, chance))
        first = regulons[0]
        ahead, back = even[0], even[:, 0]
        values = np.abs(ahead) if measure == FORWARD else surplus(ahead, back)
        one.append(factor_alone("G0", measure, values[first.targets], values[first.matched], seed))
    design = Design([f"G{i}" for i in range(FACTORS)], {}, {}, FACTORS * TARGETS, GENES, 0, {"one": 1}, [0.9], 0, 0.0)
    said = {claim.id: claim for claim in _claims(Facts(design=design, overall=found, relabelled=beside, one=one))}
    return {key: said[name].verdict if name in said else UNTOLD for key, name in KEYS.items()}


def experiment(seed: int, size: float) -> dict[str, str]:
    """Effects that follow the expression of genes, as the measured ones do, and beyond it by ``size``."""
    rng = np.random.default_rng([seed, 8])
    level = rng.gamma(2, 0.5, SCREENED)
    truth = level + rng.standard_normal(SCREENED)
    effect = level + size * (truth - level) + rng.standard_normal(SCREENED)
    found = agreement("screen", truth, {MODEL: effect}, level, 99, seed)
    (claim,) = (c for c in _claims(Facts(measured=found)) if c.id.startswith("measured-"))
    return {"measured": claim.verdict}


def _claims(facts: Facts) -> list[Claim]:
    return claims(Regulation(facts), Context("", {}, None, None, None))


WORLDS = [
    World(
        "measured effects that follow expression alone",
        {"measured": "regulation: effects beside measured ones, against like genes"},
        "Effects and measured effects both follow the mean expression of a gene, and have nothing else in common.",
        experiment, (0.2, 0.4, 0.8), "share of the measured effect beyond expression, beside noise of equal size", 1000,
        200,
    ),
    World(
        "symmetric wiring",
        {
            "directed": "regulation: direction over factors, sign flips by factor",
            "beyond": "regulation: targets beyond matched genes over factors, sign flips by factor",
            "specific": "regulation: share of specific factors, against relabelled regulons",
            "one directed": "regulation: direction of one factor, by permutation within matched sets",
            "one beyond": "regulation: targets of one factor beyond matched genes, by permutation within sets",
        },
        "Every gene moves every other as much as it is moved by it, but for noise and for hubs of either kind; "
        "targets are drawn at random.",
        factors, (0.5, 1.5, 4.0), "weight added from factor to target, in standard deviations of the others", 200, 25,
    ),
]  # fmt: skip
