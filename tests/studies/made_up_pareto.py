"""The made-up run's trade of the inner state against expression."""

import numpy as np
import pandas as pd

from cellprism.studies.pareto.tables import (
    GENE_COLUMNS,
    OURS,
    PERMUTED_SCALED,
    PLANE_COLUMNS,
    RECIPE_COLUMNS,
    SMALL,
    Aimed,
    Both,
    Condition,
    Drawn,
    Gaps,
    Judge,
    Likeness,
    Pareto,
    Recruited,
    Response,
    Spread,
    Summary,
)
from studies.made_up_features import PROGRAMS

UNITS = ["autoencoder 0", "autoencoder 1"]
SIZES = {part: {"source": 12 + i, "target": 11 + i} for i, part in enumerate(("train", "validation", "test"))}


def pareto() -> Pareto:
    """Two autoencoders, three weights, and a recipe for both that does not move one gene far enough."""
    rng = np.random.default_rng(29)
    conditions = [Condition("features", 23.0, 40.0, True, ".0f"), Condition("way of CD8A", 0.21, 0.5, False, ".2f"),
                  Condition("way of CD8B", None, 0.5, False, ".2f")]  # fmt: skip
    summary = Summary(
        "CD4 T cells", "CD8 T cells", "multiply", "gap", "all", SIZES, 97, 103, 53, "hidden", 4, UNITS, 141, 8, 3.1e11,
        Aimed(conditions, 0, 42), Both(0.62, 0.05, -0.3, 0.31, 0.05, 39), Gaps(0.61, 0.4, 0.7, 97),
        [Spread("gain in the inner state of the recipe for it alone", [0.7, 0.6], 0.65, (0.1, 1.2)),
         Spread("cosine of the gradients, common mode left in", [0.5, 0.4], 0.45, (-0.2, 1.1))],
        [Judge("the outside judge", 0.93, True), Judge("a classifier of other donors", 0.71, False)],
        [Response("the recipe for both", 0.31, 0.2, 0.4, 0.28, 89)],
        [Recruited("latent", 0.6, 31, 7, 43, 0.71, 59), Recruited("expression", 0.6, None, 7, 37, 0.81, 61)],
        [Likeness("for both, and the way back", 13, 47, -0.6)], Drawn(0.55, 0.43, 0.3, 0.6, 99),
    )  # fmt: skip
    tables = {"front": _front(rng), "cosines": _cosines(rng), "beside": _beside(rng), "recipes": _recipes(rng),
              "genes": _genes(rng), "plane": _plane(rng)}  # fmt: skip
    return Pareto("", summary, tables)


def _front(rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for number, unit in enumerate(UNITS):
        for weight, kind in ((0.0, "latent"), (0.5, "both"), (1.0, "expression")):
            for step in range(7):
                gains = [step / 8 * (1 - weight / 2), step / 8 * (0.5 + weight / 2)]
                rows.append({
                    "unit": unit, "autoencoder": number, "donor": "", "weight": weight, "lambda": 0.1 / (step + 1),
                    "features": 9 * step, "features_above_0.3": 4 * step, "loss": 1 - step / 8, "evaluations": 1 + step,
                    "norm": 0.2 * step, "validation_latent_gain": gains[0], "validation_expression_gain": gains[1],
                    "latent_gain": gains[0] - 0.03, "latent_low": gains[0] - 0.1, "latent_high": gains[0] + 0.05,
                    "expression_gain": gains[1] - 0.02, "expression_low": gains[1] - 0.1,
                    "expression_high": gains[1] + 0.04, "latent_progress": gains[0], "drift": 0.3,
                    "variance_kept": rng.uniform(0.8, 1.1), "on_front": step == 6, "chosen": kind if step == 6 else "",
                    "way of CD8A": rng.uniform(0, 0.3),
                })  # fmt: skip
    return pd.DataFrame(rows)


def _cosines(rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for at, weight, penalty in [
        ("neutral", np.nan, np.nan),
        *(("path", w, 0.1 / s) for w in (0.0, 1.0) for s in (2, 3)),
    ]:
        for place, pooling in (("final", "all genes"), ("site", "gene by gene"))[: 2 if at == "neutral" else 1]:
            for common, value in (("left in", 0.5), ("taken out", 0.1)):
                value += float(rng.normal(0, 0.03))
                rows.append({
                    "unit": UNITS[0], "at": at, "weight": weight, "lambda": penalty, "place": place, "pooling": pooling,
                    "weighting": "gap", "common": common, "cosine": value, "low": value - 0.1, "high": value + 0.1,
                })  # fmt: skip
    return pd.DataFrame(rows)


def _beside(rng: np.random.Generator) -> pd.DataFrame:
    kinds = [SMALL, OURS, "difference of means per gene", *[PERMUTED_SCALED] * 3]
    return pd.DataFrame({
        "kind": kinds, "replicate": [0, 0, 0, 0, 1, 2], "features": [23, 41, 0, 19, 17, 29], "norm": 0.8,
        "latent_gain": [0.5, 0.55, 0.6, -0.1, 0.0, 0.1], "expression_gain": [0.4, 0.5, 0.6, 0.0, -0.1, 0.1],
        "latent_progress": 0.3, "expression_progress": 0.3, "balanced_correct": rng.uniform(0.4, 0.8, len(kinds)),
        "drift": 0.3, "variance_kept": 0.97, "way of CD8A": rng.uniform(0, 0.3, len(kinds)),
    })  # fmt: skip


def _recipes(rng: np.random.Generator) -> pd.DataFrame:
    terms, rows = list(PROGRAMS), []
    for kind in ("latent", "expression", "both"):
        for i in range(7):
            cost = (0.03, 0.02, i if i < 3 else -1) if kind == "both" else (np.nan, np.nan, -1)
            row = (kind, 7 * i + 1, float(rng.normal(1, 1)), terms[i % len(terms)] if i % 2 else "", 0.02, 1 / 7, *cost)
            rows.append(dict(zip(RECIPE_COLUMNS, row, strict=True)))
    return pd.DataFrame(rows)


def _genes(rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for kind in ("latent", "expression", "both"):
        for i in range(23):
            gap, fraction = float(rng.normal(0, 0.2)), float(rng.normal(0.5, 0.5))
            row = (
                kind,
                f"G{i}",
                "up" if i % 2 else "down",
                0.3 if i % 2 else -0.3,
                gap,
                gap * (1 - fraction),
                fraction,
            )
            rows.append(dict(zip(GENE_COLUMNS, row, strict=True)))
    return pd.DataFrame(rows)


def _plane(rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame([
        (space, kind, x, y, share)
        for space in ("final", "site")
        for kind, at, share in (("source", 0, np.nan), ("target", 5, np.nan), ("latent", 4, 0.75), ("both", 3, 0.5),
                                ("expression", 1, 0.25))
        for x, y in rng.normal(at, 1, (7, 2))
    ], columns=pd.Index(PLANE_COLUMNS))  # fmt: skip
