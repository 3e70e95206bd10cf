"""The made-up run's screen of all features."""

import numpy as np
import pandas as pd

from cellprism.steering.screen.derivatives import BACKWARD, FORWARD, PLACES
from cellprism.studies.screen.summary import apart, quadrants
from cellprism.studies.screen.tables import (
    FROZEN,
    GRADIENT,
    OWN_TOKENS,
    Agreement,
    Cost,
    Others,
    Screen,
    Standing,
    Summary,
    score_of,
)
from studies.made_up_features import N_FEATURES, N_GENES, PROGRAMS

AXIS = "CD4 T cells to CD8 T cells"
LIVE, EXACT = 53, 6


def screen() -> Screen:
    """53 features that fire, six of which were passed exactly; they move their genes beyond five random
    dictionaries."""
    cards = _cards(np.random.default_rng(17))
    random = [0.021, 0.034, 0.025, 0.029, 0.018]
    moves = Standing("random directions", 0.113, 0.0254, (0.0074, 0.0434), (0.095, 0.131), 2e-4, 5)
    describes = [
        Standing("random directions", 0.21, 0.05, (-0.2, 0.3), (-0.04, 0.46), 0.12, 5),
        Standing("tokens of the inner state", 0.21, 0.24, (-0.06, 0.54), (-0.09, 0.51), 0.8, 5),
    ]
    agreement = [
        Agreement(AXIS, kind, features, n, strength, r, (r - 0.1, min(1.0, r + 0.05)))
        for kind, r in ((GRADIENT, 0.91), (FROZEN, 0.94), (OWN_TOKENS, 0.97))
        for features, n in (("random", 3), ("top and random", 6))
        for strength in (0.0, 5.0)
    ]
    summary = Summary(
        200, {"CD4 T cells": 100, "CD8 T cells": 100}, N_GENES, N_FEATURES, LIVE, "hidden", 4, PLACES,
        {FORWARD: 4e13, BACKWARD: 9e13, PLACES: 7e11}, {AXIS: "way from CD4 T cells to CD8 T cells"}, agreement,
        [Cost("reading the cells", 31.2, 29.0), Cost("all genes by derivatives", 88.0, 81.5, 7e11)], 1e-3,
        int((cards["q"] < 0.05).sum()),
        [Others("random directions", [0.01, 0.1, 0.05, None, 0.04], random),
         Others("tokens of the inner state", [0.2, 0.3, 0.25, 0.2, 0.25])],
        moves, describes, 0.21, (-0.05, 0.44),
        {str(k): int(n) for k, n in cards["quadrant"].value_counts().sort_index().items()},
    )  # fmt: skip
    return Screen("", summary, cards)


def _cards(rng: np.random.Generator) -> pd.DataFrame:
    described, effect = rng.gamma(1.0, 3.0, LIVE), rng.gamma(2.0, 0.01, LIVE)
    passed = np.array(["random"] * (EXACT // 2) + ["top"] * (EXACT // 2) + [""] * (LIVE - EXACT))
    slope, told = rng.normal(0, 0.01, LIVE), passed != ""
    terms = list(PROGRAMS)

    def where_passed(values: np.ndarray | float) -> np.ndarray:
        return np.where(told, values, np.nan)

    return pd.DataFrame({
        "feature": np.arange(LIVE), "program": [terms[i % len(terms)] if i % 3 else "" for i in range(LIVE)],
        "sign": "high", "described": described, "firing_rate": rng.uniform(0.001, 0.03, LIVE), "cells": 97,
        "edit_size": rng.gamma(3.0, 0.3, LIVE), "edit_ratio": rng.uniform(0.02, 0.2, LIVE), "genes_own": 17,
        "effect": effect, "reach": rng.integers(0, N_GENES, LIVE), "specificity": rng.uniform(0.05, 0.4, LIVE),
        "specificity_expected": 0.02, "response": rng.normal(0.02, 0.02, LIVE), "control": 0.01,
        "control_low": -0.02, "control_high": 0.04, "p": rng.uniform(0.01, 1, LIVE),
        "q": np.append(rng.uniform(0.06, 1, LIVE - 5), [0.001, 0.01, 0.02, 0.04, 0.049]), "passed": passed,
        "mirror": where_passed(0.9), "linear_genes": where_passed(0.97), "plausible_low": where_passed(-3.0),
        "plausible_high": where_passed(rng.choice([3.0, 5.0, 10.0], LIVE)), "percentile_at_5": where_passed(0.8),
        "misfit_at_5": where_passed(0.6), "quadrant": quadrants(described, effect), "apart": apart(described, effect),
        f"gradient: {AXIS}": slope, f"frozen: {AXIS}": slope * 1.1, f"{score_of(OWN_TOKENS, 0)}: {AXIS}": slope,
        f"{score_of(OWN_TOKENS, 5)}: {AXIS}": slope,
        f"exact 0: {AXIS}": where_passed(-slope), f"exact 5: {AXIS}": where_passed(4.2 * slope),
    })  # fmt: skip
