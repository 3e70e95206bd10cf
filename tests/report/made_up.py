"""A run folder made up from a seed, with every file that a page reads: shapes as in a real run, sizes prime
and unequal."""

import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

N_CELLS, N_GENES, N_FEATURES, LAYER = 331, 211, 127, 1
TYPES = ["CD4 T", "CD14 monocyte", "B", "CD8 T", "NK", "Dendritic", "Megakaryocyte"]
TYPE_SHARES = [0.33, 0.22, 0.14, 0.13, 0.1, 0.05, 0.03]
PROGRAMS = {
    "B cell receptor signalling": ("B", "CD79A CD79B MS4A1 TCL1A CD19 BANK1 HLA-DRA"),
    "Cytotoxic granules": ("NK", "NKG7 GZMB PRF1 GNLY GZMA CST7 FGFBP2"),
    "Interferon response, type I": ("CD14 monocyte", "ISG15 IFI6 MX1 IFIT3 LY6E ISG20 IFITM3"),
    "Monocyte lysosome": ("CD14 monocyte", "LYZ S100A9 S100A8 CST3 FCN1 CTSS TYROBP"),
    "T cell receptor complex": ("CD4 T", "CD3D CD3E IL32 LTB IL7R TRAC CD2"),
    "MHC class II presentation": ("Dendritic", "HLA-DPA1 HLA-DPB1 HLA-DRB1 CD74 HLA-DQA1 CD1C FCER1A"),
    "Platelet degranulation": ("Megakaryocyte", "PPBP PF4 SDPR GP9 ITGA2B TUBB1 CLU"),
    "Cytosolic ribosome": ("CD4 T", "RPL13 RPS27 RPL32 RPS6 RPL10 RPS12 RPLP1"),
    "CD8 T cell effector": ("CD8 T", "CD8A CD8B GZMK KLRG1 CCL5 GZMH LAG3"),
}
STEERED = (12, 40)


def make_run(folder: Path, seed: int = 3) -> Path:
    """Write the whole run folder and return it."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(TYPES, size=N_CELLS, p=TYPE_SHARES)
    labels[: len(TYPES)] = TYPES
    names = gene_names()
    _json(folder / "run.json", {"seed": seed, "versions": {"cellprism": "0.1.0"}, "steps": {"train": "done"}})
    obs = pd.DataFrame({"cell_type": pd.Categorical(labels)}, index=[f"cell{i}" for i in range(N_CELLS)])
    counts = rng.poisson(0.7, size=(N_CELLS, N_GENES)).astype(np.float32)
    cells = anndata.AnnData(
        counts, obs=obs, var=pd.DataFrame(index=names), uns={"cellprism": {"source": "bundled:made-up"}}
    )
    _h5ad(folder / "cells.h5ad", cells)
    _json(folder / "model.json", _model())
    _sae(folder / "sae" / f"L{LAYER}", rng)
    _features(folder / "features" / f"L{LAYER}", labels, obs, rng)
    _json(folder / "terms" / f"L{LAYER}" / "rates.json", _rates())
    _steer(folder / "steer" / "programs", names, rng)
    for objective in ("latent", "expression"):
        _contrast(folder / "contrast" / objective, objective, rng)
    return folder


WORDS = {"revision", "licence", "data", "program", "source", "target", "collection", "family"}
COLUMNS = {"gene", "top_genes", "best_term", "top_cell_type", "term", "cell"}


def poison(folder: Path, text: str) -> Path:
    """Add ``text`` to every name in a run folder that a page prints, and return the folder."""
    for path in folder.rglob("*.json"):
        path.write_text(json.dumps(_poisoned(json.loads(path.read_text()), text)))
    for path in folder.rglob("*.parquet"):
        table = pd.read_parquet(path)
        _table(path, table.assign(**{c: table[c].astype(str) + text for c in table.columns if c in COLUMNS}))
    for path in folder.rglob("*.h5ad"):
        cells = anndata.read_h5ad(path)
        cells.obs["cell_type"] = pd.Categorical(cells.obs["cell_type"].astype(str) + text)
        cells.uns["cellprism"] = {"source": "made up" + text}
        _h5ad(path, cells)
    return folder


def _poisoned(value: object, text: str) -> object:
    if isinstance(value, dict):
        return {k: v + text if k in WORDS and isinstance(v, str) else _poisoned(v, text) for k, v in value.items()}
    if isinstance(value, list):
        return [v + text if isinstance(v, str) else _poisoned(v, text) for v in value]
    return value


def gene_names() -> list[str]:
    """The programs' genes, then made-up ones."""
    named = [gene for _, genes in PROGRAMS.values() for gene in genes.split()] + ["CD4", "MALAT1", "B2M"]
    return named + [f"GENE{i}" for i in range(N_GENES - len(named))]


def _model() -> dict:
    def error(value: float, behind: float) -> dict:
        edges = [0.27 * (behind - 0.004), 0.27 * (behind + 0.004)]
        return {
            "mse": 0.27 * value,
            "of_gene_mean": value,
            "interval": [value - 0.006, value + 0.006],
            "minus_model": edges,
        }

    def read(value: float, half: float) -> dict:
        return {"accuracy": value, "interval": [value - half, value + half]}

    methods = {
        "model": error(0.858, 0.0),
        "ridge": error(0.871, 0.013),
        "gene_mean": error(1.0, 0.142),
        "type mean": error(0.861, 0.003),
    }
    readout = {
        "residuals": read(0.92, 0.02),
        "raw expression": read(0.94, 0.02),
        "untrained network": read(0.44, 0.04),
    }
    neighbours = {
        "CD8A": ["CD8B", "GZMK", "KLRG1"],
        "GNLY": ["PRF1", "GZMB", "NKG7"],
        "CD79A": ["MS4A1", "CD79B", "TCL1A"],
        "LYZ": ["S100A9", "CST3", "S100A8"],
    }
    return {
        "name": "mini",
        "revision": "2026-11",
        "licence": "BSD-3-Clause",
        "n_layers": 3,
        "d_model": 64,
        "n_genes": 1600,
        "card": {
            "data": "PBMC3K, 2,160 cells of one donor",
            "limits": ["It has seen one donor's blood and nothing else."],
            "assessment": {
                "masked": {"methods": methods, "test_cells": 521},
                "cell_types": {"layer": 1, "readout": readout, "largest_type": 0.43, "test_cells": 521},
                "neighbours": neighbours,
            },
        },
    }


def _sae(folder: Path, rng: np.random.Generator) -> None:
    _json(folder / "cfg.json", {"architecture": "topk", "d_in": 64, "d_sae": N_FEATURES, "k": 12})
    metrics = {
        "tokens": 101_000,
        "mse": 0.021,
        "explained_variance": 0.968,
        "explained_within": 0.88,
        "l0": 11.8,
        "dead_share": 0.03,
        "dense_share": 0.05,
        "controls": {"untrained": 0.41},
    }
    _json(folder / "metrics.json", metrics)
    counts = rng.integers(0, 9, size=24)
    names = ["ribosomal", "others, low", "others, high"]
    columns = ("variance_share", "error_share", "explained_variance")
    classes = [
        {"class": c, "genes": 70, "tokens": 23_170, **dict.fromkeys(columns, value)}
        for c, value in zip(names, (0.2, 0.5, 0.3), strict=True)
    ]
    measured = {
        "tokens": "genes",
        "firing": {"log10_edges": np.linspace(-6, 0, 25).tolist(), "features": counts.tolist(), "never": 4},
        "classes": classes,
        "loss_recovered": {
            "trained": {
                "cells": 101,
                "share_hidden": 0.3,
                "recovered": {"gene_mean": 0.95},
                "interval": {"gene_mean": [0.93, 0.97]},
            },
            "untrained": {
                "cells": 101,
                "share_hidden": 0.3,
                "recovered": {"gene_mean": 0.61},
                "interval": {"gene_mean": [0.57, 0.65]},
            },
        },
        "other": None,
    }
    _json(folder / "measures.json", measured)
    step = np.arange(1, 402, 10)
    mse = 0.02 + 0.7 * np.exp(-step / 60) + rng.normal(0, 0.0008, step.size) ** 2
    _table(folder / "history.parquet", pd.DataFrame({"step": step, "mse": mse}))


def _features(folder: Path, labels: np.ndarray, obs: pd.DataFrame, rng: np.random.Generator) -> None:
    activation = rng.gamma(1.2, 0.2, size=(N_CELLS, N_FEATURES)).astype(np.float32)
    rows = []
    for feature in range(N_FEATURES):
        term, (kind, genes) = list(PROGRAMS.items())[feature % len(PROGRAMS)]
        strong = rng.random() < 0.6
        if strong:
            activation[:, feature] += (labels == kind) * rng.gamma(2, 0.35)
        top = (
            genes.split()[:5] + [f"GENE{i}" for i in rng.integers(0, 140, 5)]
            if strong
            else [f"GENE{i}" for i in rng.integers(0, 140, 10)]
        )
        dead = feature in (5, 71, 113)
        q = float(10 ** -rng.uniform(1.4, 11)) if strong else float(rng.uniform(0.05, 1))
        rows.append(
            {
                "feature": feature,
                "firing_rate": 0.0 if dead else float(rng.beta(1, 9)),
                "participation_ratio": float(np.exp(rng.normal(2.9, 0.8))),
                "set_size": int(rng.integers(4, 90)),
                "top_genes": ", ".join(top),
                "best_term": term if strong else "",
                "best_padj": q,
                "n_terms": int(strong) * int(rng.integers(1, 6)),
                "gene_share": float(rng.beta(5, 2)),
                "state_share": float(rng.beta(2, 5)),
                "top_cell_type": kind if strong else "",
            }
        )
        if dead:
            activation[:, feature] = 0
    _table(folder / "features.parquet", pd.DataFrame(rows))
    names = pd.DataFrame(index=[f"f{i}" for i in range(N_FEATURES)])
    _h5ad(
        folder / "cells.h5ad",
        anndata.AnnData(activation, obs=obs.copy(), var=names, uns={"cellprism": {"tokens": "genes"}}),
    )


def _rates() -> dict:
    fields = ("name", "rate", "interval", "replicates", "n_lists", "mean_set_size", "distinct_terms")
    rows = [
        ("features", 0.59, [0.55, 0.63], 1, 541, 21.3, 41),
        ("uniform", 0.012, [0.0, 0.03], 100, 541, 21.3, 1.6),
        ("popularity", 0.41, [0.38, 0.44], 100, 541, 21.3, 22.4),
        ("gene_use", 0.36, [0.33, 0.39], 100, 541, 21.3, 19.1),
        ("coexpression", 0.57, [0.53, 0.61], 100, 541, 21.3, 24.1),
        ("untrained", 0.30, [0.26, 0.34], 1, 523, 19.8, 15),
        ("neurons", 0.73, [0.65, 0.80], 1, 128, 189.0, 18),
        ("features, 20 genes each", 0.61, [0.57, 0.65], 1, 541, 20.0, 43),
    ]
    named = [dict(zip(fields, row, strict=True)) for row in rows]
    named[2] |= {"excess": 0.18, "excess_interval": [0.13, 0.23], "p_value": 0.0099}
    settings = {"family": "all-terms", "alpha": 0.05, "collection": "blood", "n_terms": 73}
    return {"rows": named, "background_size": N_GENES, **settings}


def _steer(folder: Path, names: list[str], rng: np.random.Generator) -> None:
    doses, effects, terms, summary = [], [], [], []
    for feature, (term, (_, genes)), strength in zip(STEERED, list(PROGRAMS.items()), (0.055, 0.004), strict=False):
        own = np.isin(names, genes.split()[:5])
        baseline = rng.gamma(1.5, 0.5, len(names))
        slope = np.where(own, strength, 0) * rng.uniform(0.6, 1.4, len(names)) + rng.normal(0, 0.003, len(names))
        for alpha in (-3.0, -1.0, 0.0, 1.0, 2.0, 3.0, 5.0):
            effect = (alpha - 1) * slope * (1 - 0.03 * (alpha - 1))
            effects.append(
                pd.DataFrame(
                    {
                        "feature": feature,
                        "alpha": alpha,
                        "gene": names,
                        "effect": effect,
                        "baseline": baseline,
                        "on_target": own,
                    }
                )
            )
            on, off = float(effect[own].mean()), float(effect[~own].mean())
            doses.append({"feature": feature, "alpha": alpha, "on_target": on, "off_target": off, "response": on - off})
        value = 4 * strength
        terms += [
            {"feature": feature, "alpha": 5.0, "direction": "up", "genes": 20, "term": term, "padj": 2e-6},
            {
                "feature": feature,
                "alpha": 5.0,
                "direction": "down",
                "genes": 13,
                "term": "Cytosolic ribosome",
                "padj": 0.03,
            },
        ]
        null = {"mean": 0.002, "low": -0.02, "high": 0.031, "p": 1 / 21 if value > 0.04 else 0.38, "n": 20}
        entry = {
            "value": value,
            "random_feature": null,
            "random_direction": {**null, "high": 0.012},
            "difference_of_means": 0.12,
        }
        mirror = {
            "value": 0.91,
            "random_feature": {**null, "low": 0.55, "mean": 0.8, "high": 0.95},
            "random_direction": null,
        }
        summary.append(
            {
                "feature": feature,
                "program": term,
                "status": "judged",
                "judged_at": 4.0,
                "edit_ratio": 0.083,
                "response": {**entry, "its_own": {**null, "low": 0.01, "mean": 0.09, "high": 0.2}},
                "held_out": {**entry, "value": value / 4},
                "antisymmetry": {**mirror, "difference_of_means": None},
            }
        )
    summary.append({"feature": 71, "program": "Erythrocyte", "status": "no effect possible", "firing_rate": 0.0})
    _table(folder / "dose.parquet", pd.concat(effects, ignore_index=True))
    _table(folder / "doses.parquet", pd.DataFrame(doses))
    _table(folder / "terms.parquet", pd.DataFrame(terms))
    _json(folder / "summary.json", {"n_cells": 97, "output_kind": "expression", "features": summary})


def _contrast(folder: Path, objective: str, rng: np.random.Generator) -> None:
    n_test, reach = 43, 0.42 if objective == "latent" else 0.11
    before = rng.normal(0, 0.33, n_test)
    after = before * 0.9 + reach + rng.normal(0, 0.12, n_test)
    closer = np.abs(1 - after) < np.abs(1 - before)
    cells = pd.DataFrame(
        {
            "cell": [f"cell{i}" for i in range(n_test)],
            "projection_before": before,
            "projection_after": after,
            "distance_before": np.abs(1 - before),
            "distance_after": np.abs(1 - after),
            "closer": closer,
        }
    )
    _table(folder / "cells.parquet", cells)
    penalties = np.geomspace(0.4, 0.0012, 13)
    size = np.round(61 * (1 - penalties / 0.4) ** 3).astype(int)
    path = pd.DataFrame(
        {
            "lambda": penalties,
            "n_above_0": size,
            "n_above_0.1": (size * 0.8).astype(int),
            "n_above_0.3": (size * 0.4).astype(int),
            "n_above_0.5": size // 5,
            "train_loss": 1 - reach * size / 61,
            "validation_loss": 1 - reach * size / 66,
        }
    )
    _table(folder / "path.parquet", path)
    moved = rng.choice(N_FEATURES, 61, replace=False)
    _table(folder / "recipe.parquet", pd.DataFrame({"feature": moved, "strength": 1 + rng.laplace(0, 0.35, 61)}))
    _table(folder / "genes.parquet", _contrast_genes(reach, rng))
    _json(folder / "summary.json", _contrast_summary(objective, reach, float(closer.mean()), n_test))


def _contrast_genes(reach: float, rng: np.random.Generator) -> pd.DataFrame:
    names = ["CD8A", "CD8B", *[f"GENE{i}" for i in range(59)]]
    gap = np.concatenate([[0.31, 0.28], rng.choice([-1, 1], 59) * rng.gamma(2, 0.11, 59) + 0.001])
    source = rng.gamma(2, 0.4, len(names))
    fraction = np.concatenate([[0.04, 0.11], rng.normal(reach, 0.3, 59)])
    return pd.DataFrame(
        {
            "gene": names,
            "source_mean": source,
            "target_mean": source + gap,
            "steered_mean": source + gap * fraction,
            "gap_fraction": fraction,
            "direction": np.where(gap > 0, "up", "down"),
        }
    )


def _contrast_summary(objective: str, reach: float, closer: float, n_test: int) -> dict:
    def score(value: float, half: float, null: float, spread: float) -> dict:
        drawn = {"mean": null, "low": null - spread, "high": null + spread, "p": 0.1, "n": 20}
        shuffled = {**drawn, "n": 5, "observed": value - 0.01}
        return {
            "value": value,
            "low": value - half,
            "high": value + half,
            "shuffled_labels": shuffled,
            "random_recipe": drawn,
            "random_direction": {**drawn, "mean": 0.0, "low": -spread, "high": spread},
            "difference_of_means": value * 0.7,
            "difference_of_means_per_gene": value * 0.9,
        }

    latent = objective == "latent"
    named = {
        "measured": True,
        "direction": "up",
        "gap": 0.31,
        "gap_fraction": 0.04,
        "low": 0.02,
        "high": 0.07,
        "moved": False,
    }
    random = {"mean": 0.01, "low": -0.04, "high": 0.06, "p": 0.4, "n": 40}
    return {
        "objective": objective,
        "output_kind": "expression",
        "source": "CD4 T",
        "target": "CD8 T",
        "lambda": 0.0048,
        "seed": 0,
        "n_cells": {
            name: {"source": n, "target": n - 6} for name, n in (("train", 131), ("validation", 41), ("test", n_test))
        },
        "scores": {
            "fraction_closer": score(closer, 0.0 if closer == 1 else min(0.09, 1 - closer), 0.55, 0.13),
            "latent_progress": score(reach if latent else 0.09, 0.05, 0.06, 0.05),
            "expression_progress": score(0.08 if latent else 0.37, 0.06, 0.03, 0.06),
            "up_correct": score(0.68, 0.06, 0.52, 0.09),
            "down_correct": score(0.61, 0.09, 0.5, 0.12),
            "drift": {**score(0.31, 0, 0.29, 0.05), "low": None, "high": None},
            "variance_kept": {**score(0.82, 0, 0.85, 0.06), "low": None, "high": None},
        },
        "named": {
            "CD8A": {**named, "random": random},
            "CD8B": {**named, "gap_fraction": 0.11, "high": 0.15, "random": random},
        },
    }


def _json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def _table(path: Path, table: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(path, index=False)


def _h5ad(path: Path, cells: anndata.AnnData) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells.write_h5ad(path)
