"""The made-up run's steered features and recipes."""

from typing import Any

import numpy as np
import pandas as pd

from cellprism.steering.settings import CONTROL, LIST
from cellprism.studies.contrast.tables import Contrasts, Recipe
from cellprism.studies.steer.tables import PROGRAMS as OWN
from cellprism.studies.steer.tables import Experiment, Steering
from cellprism.studies.steer.work import together
from studies.made_up_features import N_FEATURES, PROGRAMS, gene_names

STEERED = (12, 40)
STRENGTHS = (-3.0, -1.0, 0.0, 1.0, 2.0, 3.0, 5.0)
N_TEST, N_MOVED = 43, 61


def steering(rng: np.random.Generator) -> Steering:
    """Two features, one of which moves its genes beyond control features, and one that fires nowhere."""
    return Steering([experiment(OWN, rng)])


def experiment(name: str, rng: np.random.Generator) -> Experiment:
    """Both features turned up and down."""
    doses, effects, terms, rows = [], [], [], []
    for feature, term, strength in zip(STEERED, PROGRAMS, (0.055, 0.004), strict=False):
        own = np.isin(gene_names(), PROGRAMS[term][1].split()[:5])
        swept = _effects(feature, own, strength, rng)
        effects.append(swept)
        for alpha, part in swept.groupby("alpha"):
            on, off = (float(part["effect"][side].mean()) for side in (part["on_target"], ~part["on_target"]))
            doses.append({"feature": feature, "alpha": alpha, "on_target": on, "off_target": off, "response": on - off})
        terms += [
            {"feature": feature, "alpha": 5.0, "direction": "up", "genes": 20, "term": term, "padj": 2e-6},
            {"feature": feature, "alpha": 5.0, "direction": "down", "genes": 13, "term": "Cytosolic ribosome",
             "padj": 0.03},
        ]  # fmt: skip
        rows.append(_judged(feature, term, 4 * strength))
    rows.append({"feature": 71, "program": "Erythrocyte", "status": "no effect possible", "firing_rate": 0.0})
    nulls = drawn(rows[:2])
    return Experiment(
        name, {"n_cells": 97, "read": "hidden", "passes": 4, "features": rows, "together": together(rows, nulls)},
        pd.concat(effects, ignore_index=True), pd.DataFrame(doses), _by_type(doses), _said(rng), nulls,
        pd.DataFrame(terms),
    )  # fmt: skip


def drawn(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Control features and lists beside each feature: 39 evenly spread draws of each."""
    spread = np.linspace(-1, 1, 39)
    response = 0.0055 + 0.0255 * spread / 0.95  # 95 % of them from -.02 to .031
    parts = [
        {"feature": row["feature"], "kind": kind, "replicate": np.arange(39), "response": response * scale,
         "propagated": np.nan, "held_out": response, "antisymmetry": 0.75 + 0.2 * spread}
        for row in rows
        for kind, scale in ((CONTROL, 1), (LIST, 0.4))
    ]  # fmt: skip
    return pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True)


def _effects(feature: int, own: np.ndarray, strength: float, rng: np.random.Generator) -> pd.DataFrame:
    n = len(own)
    baseline = rng.gamma(1.5, 0.5, n)
    slope = np.where(own, strength, 0) * rng.uniform(0.6, 1.4, n) + rng.normal(0, 0.003, n)
    parts = [
        {"feature": feature, "alpha": alpha, "gene": gene_names(), "baseline": baseline, "on_target": own,
         "effect": (alpha - 1) * slope * (1.03 - 0.03 * alpha), "direct": -(alpha - 1) * slope, "rises": 0.75,
         "falls": 0.125}
        for alpha in STRENGTHS
    ]  # fmt: skip
    return pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True)


def _by_type(doses: list[dict[str, Any]]) -> pd.DataFrame:
    """Two types, in one of which genes move twice as far."""
    return pd.concat([
        pd.DataFrame(doses).assign(cell_type=kind, cells=cells, response=lambda d, by=by: by * d["response"])
        for kind, cells, by in (("B cells", 41, 1.0), ("NK cells", 56, 2.0))
    ], ignore_index=True)  # fmt: skip


def _said(rng: np.random.Generator) -> pd.DataFrame:
    """Hidden genes go with their counts, visible ones against them."""
    counts = rng.gamma(1.5, 0.5, len(gene_names()))
    return pd.DataFrame({"gene": gene_names(), "cells": 97, "counts": counts, "read": 0.8 * counts + 0.1,
                         "seen": 0.2 - counts})  # fmt: skip


def _judged(feature: int, term: str, value: float) -> dict[str, Any]:
    return {
        "feature": feature, "program": term, "status": "judged", "no_effect": "", "direction": 1, "judged_at": 4.0,
        "edit_ratio": 0.083, "plausible": [-1.0, 3.0], "direct": -value,
        "effect_edited": 0.02, "effect_elsewhere": 0.005,
        "response": {"value": value, "difference_of_means": 0.12},
        "held_out": {"value": value / 4, "difference_of_means": 0.12},
        "antisymmetry": {"value": 0.91, "difference_of_means": None},
    }  # fmt: skip


def contrasts(rng: np.random.Generator) -> Contrasts:
    """Both recipes, from CD4 to CD8 T cells; the first goes far in the inner state."""
    return Contrasts([recipe(objective, rng) for objective in ("latent", "expression")])


def recipe(objective: str, rng: np.random.Generator) -> Recipe:
    """One recipe and what became of it."""
    reach = 0.42 if objective == "latent" else 0.11
    before = rng.normal(0, 0.33, N_TEST)
    after = before * 0.9 + reach + rng.normal(0, 0.12, N_TEST)
    closer = np.abs(1 - after) < np.abs(1 - before)
    cells = pd.DataFrame({
        "cell": [f"cell{i}" for i in range(N_TEST)], "projection_before": before, "projection_after": after,
        "distance_before": np.abs(1 - before), "distance_after": np.abs(1 - after), "closer": closer,
    })  # fmt: skip
    penalties = np.geomspace(0.4, 0.0012, 13)
    size = np.round(N_MOVED * (1 - penalties / 0.4) ** 3).astype(int)
    path = pd.DataFrame({
        "lambda": penalties, "n_above_0": size, "n_above_0.1": (size * 0.8).astype(int),
        "n_above_0.3": (size * 0.4).astype(int), "n_above_0.5": size // 5, "train_loss": 1 - reach * size / 61,
        "validation_loss": 1 - reach * size / 66,
    })  # fmt: skip
    strengths = 1 + rng.laplace(0, 0.35, N_MOVED)
    moved = pd.DataFrame({"feature": rng.choice(N_FEATURES, N_MOVED, replace=False), "strength": strengths})
    doses = np.array([0.25, 0.5, 1.0, 2.0])
    trials = pd.concat([
        pd.DataFrame({
            "kind": kind, "replicate": 0, "dose": doses, "latent_progress": reach * share * doses,
            "expression_progress": 0.08 * share * doses,
        })
        for kind, share in (("recipe", 1.0), ("difference of means per gene", 0.9), ("difference of means", 0.7))
    ], ignore_index=True)  # fmt: skip
    sizes = {f"{limit:g}": int((np.abs(strengths - 1) > limit).sum()) for limit in (0, 0.1, 0.3, 0.5)}
    summary = _summary(objective, reach, float(closer.mean()), sizes)
    return Recipe(summary, path, _genes(reach, rng), cells, moved, trials)


def _genes(reach: float, rng: np.random.Generator) -> pd.DataFrame:
    names = ["CD8A", "CD8B", *(f"GENE{i}" for i in range(59))]
    gap = np.concatenate([[0.31, 0.28], rng.choice([-1, 1], 59) * rng.gamma(2, 0.11, 59) + 0.001])
    source = rng.gamma(2, 0.4, len(names))
    fraction = np.concatenate([[0.04, 0.11], rng.normal(reach, 0.3, 59)])
    return pd.DataFrame({
        "gene": names, "source_mean": source, "target_mean": source + gap, "steered_mean": source + gap * fraction,
        "gap_fraction": fraction, "direction": np.where(gap > 0, "up", "down"),
    })  # fmt: skip


def _summary(objective: str, reach: float, closer: float, sizes: dict[str, int]) -> dict[str, Any]:
    latent = objective == "latent"
    counts = (("train", 131), ("validation", 41), ("test", N_TEST))
    random = {"mean": 0.01, "low": -0.04, "high": 0.06, "p": 0.4, "n": 39}
    named = {
        "measured": True, "direction": "up", "gap": 0.31, "gap_fraction": 0.04, "low": 0.02, "high": 0.07,
        "moved": False, "permuted_labels": random, "random_recipe": random,
    }  # fmt: skip
    return {
        "objective": objective, "quantity": "expression", "source": "CD4 T", "target": "CD8 T", "lambda": 0.0048,
        "read": "hidden", "passes": 4, "gaps": {"correlation": 0.71, "low": 0.6, "high": 0.8, "sign_right": 0.9,
        "genes": 61, "cells": {"source": N_TEST, "target": 37}}, "gaps_direct": None,
        "seed": 0, "n_cells": {name: {"source": n, "target": n - 6} for name, n in counts}, "recipe_sizes": sizes,
        "scores": {
            "nearer_target": _score(0.6, 0.1, 0.3, 0.13),
            "fraction_closer": _score(closer, 0.0 if closer == 1 else min(0.09, 1 - closer), 0.55, 0.13),
            "latent_progress": _score(reach if latent else 0.09, 0.05, 0.06, 0.05),
            "expression_progress": _score(0.08 if latent else 0.37, 0.06, 0.03, 0.06),
            "balanced_correct": _score(0.65, 0.05, 0.5, 0.07),
            "up_correct": _score(0.68, 0.06, 0.52, 0.09),
            "down_correct": _score(0.61, 0.09, 0.5, 0.12),
            "drift": {**_score(0.31, 0, 0.29, 0.05), "low": None, "high": None},
            "variance_kept": {**_score(0.82, 0, 0.85, 0.06), "low": None, "high": None},
        },
        "named": {"CD8A": named, "CD8B": {**named, "gap_fraction": 0.11, "high": 0.15}},
    }  # fmt: skip


def _score(value: float, half: float, null: float, spread: float) -> dict[str, Any]:
    p = 0.05 if abs(value - null) > spread else 0.4
    drawn = {"mean": null, "low": null - spread, "high": null + spread, "p": p, "n": 39}
    return {
        "value": value, "low": value - half, "high": value + half, "permuted_labels": drawn, "random_recipe": drawn,
        "difference_of_means": value * 0.7, "difference_of_means_per_gene": value * 0.9,
    }  # fmt: skip
