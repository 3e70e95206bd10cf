"""Claims about factors and their targets, and about effects beside measured ones."""

import numpy as np

from calibration.world import UNTOLD, World
from cellprism.equations.regulation import balanced
from cellprism.regulation.inference import (
    DIRECTION,
    FORWARD,
    beside_relabelled,
    of_measure,
    over_networks,
    overall,
    specific_beside_relabelled,
    surplus,
)
from cellprism.regulation.measured import agreement
from cellprism.regulation.pools import GeneFacts, regulon, relabelled
from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.simulate.wired_model import linked_cells, planted_wiring
from cellprism.studies.regulation.answers import factor_alone
from cellprism.studies.regulation.claims import IDS, claims
from cellprism.studies.regulation.tables import DOSE, MODEL, UNTRAINED, Design, Facts, Regulation

GENES, FACTORS, TARGETS, CELLS, MATCHES, DRAWS, NETWORKS = 200, 8, 11, 300, 3, 39, 6
SCREENED = 150
DESIGN = Design([f"G{i}" for i in range(FACTORS)], {}, {}, FACTORS * TARGETS, GENES, 0, {"one": 1}, [0.9], 0, 0.0)
KEYS = {
    "directed": IDS[DIRECTION], "beyond": IDS[FORWARD], "specific": IDS["specific"],
    "one directed": "regulator-g0-direction", "one beyond": "regulator-g0-forward",
}  # fmt: skip


def factors(seed: int, size: float) -> dict[str, str]:
    """All claims about the factors of a model whose effects follow co-expression, and otherwise random wiring."""
    cells, targets = linked_cells(GENES, FACTORS, TARGETS, CELLS, seed)
    facts, rng = GeneFacts.of(cells), np.random.default_rng([seed, 7])
    model, *untrained = (_following(facts, seed, network) for network in range(NETWORKS + 1))
    effects, regulons = model, []
    for factor, own in enumerate(targets):
        open_to = np.ones(GENES, dtype=bool)
        open_to[[factor, *own]] = False
        effects[factor, own] += size * rng.choice([-1.0, 1.0], TARGETS)
        regulons.append(regulon(facts, factor, np.array(own), np.zeros(TARGETS), open_to, MATCHES))
    even = balanced(effects)
    drawn = [relabelled(facts, regulons, MATCHES, rng) for _ in range(DRAWS)]
    found, beside, one = [], [], []
    for measure in (FORWARD, DIRECTION):
        true, chance = of_measure(measure, even, regulons), [of_measure(measure, even, each) for each in drawn]
        found.append(overall(measure, MODEL, DOSE, true, seed))
        each = [of_measure(measure, balanced(one), regulons) for one in untrained]
        found.append(over_networks(measure, UNTRAINED, DOSE, each, seed))
        beside.append(beside_relabelled(true, chance, measure, seed))
        if measure == FORWARD:
            beside.append(specific_beside_relabelled(true, chance))
        first = regulons[0]
        ahead, back = even[0], even[:, 0]
        values = np.abs(ahead) if measure == FORWARD else surplus(ahead, back)
        one.append(factor_alone("G0", measure, values[first.targets], values[first.matched], seed))
    said = {claim.id: claim for claim in _claims(Facts(DESIGN, overall=found, relabelled=beside, one=one))}
    return {key: said[name].verdict if name in said else UNTOLD for key, name in KEYS.items()}


def _following(facts: GeneFacts, seed: int, network: int) -> np.ndarray:
    """Effects of random wiring that is mostly symmetric, and of co-expression."""
    wiring, _ = planted_wiring(GENES, FACTORS, TARGETS, 0.0, 0.0, seed * (NETWORKS + 1) + network)
    return balanced(wiring) + facts.coexpression


def experiment(seed: int, size: float) -> dict[str, str]:
    """Effects that follow the expression of genes, as the measured ones do, and beyond it by ``size``."""
    rng = np.random.default_rng([seed, 8])
    level = rng.gamma(2, 0.5, SCREENED)
    truth = level + rng.standard_normal(SCREENED)
    effect = level + size * (truth - level) + rng.standard_normal(SCREENED)
    found = agreement("screen", truth, {MODEL: effect}, level, 99, seed)
    (claim,) = (c for c in _claims(Facts(DESIGN, measured=found)) if c.id.startswith("measured-"))
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
        "wiring that follows co-expression",
        {
            "directed": "regulation: direction over factors, sign flips by factor",
            "beyond": "regulation: targets beyond matched genes over factors, sign flips by factor",
            "specific": "regulation: share of specific factors, against relabelled regulons",
            "one directed": "regulation: direction of one factor, by permutation within matched sets",
            "one beyond": "regulation: targets of one factor beyond matched genes, by permutation within sets",
        },
        "Every gene moves every other as much as it is moved by it, but for noise, and the more the more they are "
        "co-expressed; targets are drawn at random among genes that go with everything.",
        factors, (0.5, 1.5, 4.0), "weight added from factor to target, in standard deviations of the others", 200, 25,
    ),
]  # fmt: skip
