"""What the made-up run says of genes, states and the map of its features, and what it calls them."""

import numpy as np
import pandas as pd

from cellprism.studies.map.tables import COMPONENTS, MODULES, Alike, Graph, Modules, Summary
from cellprism.studies.map.tables import Found as Mapped
from cellprism.studies.naming.tables import FEATURE_COLUMNS, KINDS, Labels
from cellprism.studies.naming.tables import Found as Named
from cellprism.studies.state.tables import DEPTH, FOLLOWED, MITOCHONDRIAL, Followed, Followers, Found, State
from studies.made_up_features import DEAD, N_FEATURES, PROGRAMS, TYPES

CELLS = 83


def state() -> Found:
    """Features that go with depth within types, and not with mitochondrial counts."""
    rng = np.random.default_rng(31)
    gene, common = rng.beta(1, 6, N_FEATURES), rng.beta(2, 3, N_FEATURES)
    gene[list(DEAD)] = np.nan
    features = pd.DataFrame({
        "feature": np.arange(N_FEATURES), "firing_rate": np.where(np.isnan(gene), 0, 0.02), "of_gene": gene,
        "of_state": (1 - gene) * common, "of_rest": (1 - gene) * (1 - common), "score": (1 - gene) * common - gene,
        "common": common,
    })  # fmt: skip
    followed = [
        Followed(DEPTH, "counts of each cell over all genes that were read", 0, _followers(0.71, 0.001),
                 _followers(0.42, 0.001)),
        Followed(MITOCHONDRIAL, "share of counts in 11 genes", 0, _followers(0.23, 0.02), _followers(0.06, 0.7)),
    ]  # fmt: skip
    for row in followed:
        for kind in FOLLOWED:
            features[f"{row.name}_{kind}"] = rng.uniform(0, 1, N_FEATURES)
    absent = {"S phase": "these cells have 3 of its genes in the model, fewer than 10"}
    residual = {"gene": 0.91, "cell": 0.03, "gene_by_cell": 0.06}
    return Found(State(CELLS, N_FEATURES - len(DEAD), 7, 1999, residual, 0.003, followed, absent), features)


def _followers(share: float, p: float) -> Followers:
    return Followers(share, 0.05, (0.01, 0.14), p, round(N_FEATURES * share / 2))


def naming() -> Named:
    """Most features have a label that foretells them; one of nothing but a program of nobody's has none."""
    rng = np.random.default_rng(41)
    n = np.setdiff1d(np.arange(N_FEATURES), DEAD)
    kinds, programs = [[*KINDS][i % 3] for i in n], [[*PROGRAMS][i % 9] for i in n]
    columns = {
        "feature": n, "label": [TYPES[0] if k == "type" else p for k, p in zip(kinds, programs, strict=True)],
        "kind": kinds, "sign": ["low" if i % 10 == 0 else "high" for i in n], "chosen": 0.93,
        "auroc": rng.uniform(0.7, 0.97, len(n)), "chance": 0.61, "others": 0.44, "p": 0.005, "q": 0.006, "shown": True,
        "own_genes": "LYZ, CD74, NKG7", "own_genes_auroc": rng.uniform(0.7, 0.99, len(n)),
        "type_label": TYPES[0], "type_auroc": 0.8, "term_label": programs, "term_auroc": 0.85,
        "genes_label": "LYZ, CD74, NKG7", "genes_auroc": 0.86,
    }  # fmt: skip
    table = pd.DataFrame(columns)[list(FEATURE_COLUMNS)]
    table.loc[table["feature"] == 7, ["auroc", "p", "q", "shown"]] = [0.58, 0.4, 0.4, False]
    shown = table[table["shown"]]
    same = {kind: int((shown["kind"] == kind).sum()) for kind in KINDS}
    medians = (float(table["auroc"].median()), 0.61, 0.44, float(table["own_genes_auroc"].median()))
    return Named(Labels(150, 149, "cells", "blood", 73, 7, len(n), 21, 199, len(shown), *medians, same), table)


def feature_map() -> Mapped:
    """Modules mean the same, components no more than sharing genes gives."""
    rng = np.random.default_rng(37)
    n = np.arange(N_FEATURES)
    dead = np.isin(n, DEAD)
    component = np.where(dead | (n % 11 == 0), -1, n % 3)
    rows = pd.DataFrame({
        "feature": n, "firing_rate": np.where(dead, 0, 0.02), "dead": dead, "component": component,
        "component_size": np.where(component < 0, 1, 40), "module": np.where(dead, -1, n % 5),
        "duplicate_of": np.where(n == 40, 12, -1), "x": rng.normal(size=len(n)), "y": rng.normal(size=len(n)),
        "top_genes": ["LYZ, CD74, NKG7"] * len(n), "best_term": [(*PROGRAMS, "")[i % 10] for i in n],
        "high_in": [TYPES[i % 7] for i in n],
    })  # fmt: skip
    rows.loc[dead, ["x", "y"]] = np.nan
    near = pd.DataFrame(
        [
            {
                "feature": i,
                "by": by,
                "rank": rank,
                "neighbour": int((i + rank + 1) % N_FEATURES),
                "value": 0.9 - 0.1 * rank,
            }
            for i in n[~dead]
            for by in ("decoder", "genes", "activity")
            for rank in range(6)
        ]
    )
    cells = pd.DataFrame({
        "cell": [f"cell{i}" for i in range(CELLS)], "cell_type": [TYPES[i % 7] for i in range(CELLS)],
        "x": rng.normal(size=CELLS), "y": rng.normal(size=CELLS),
    })  # fmt: skip
    low = np.arange(20) / 20
    pairs = pd.DataFrame({
        "low": low, "high": low + 0.05, "pairs": (7000 * np.exp(-9 * low)).astype(int),
        "random": 7000 * np.exp(-14 * low),
    })  # fmt: skip
    summary = Summary(
        N_FEATURES, int((~dead).sum()), 1, CELLS, 0.2, Graph(124, 412, 3, 40, 12), Graph(124, 97, 11, 21, 60), 20,
        "blood",
        [
            Alike(COMPONENTS, 101, 0.21, 0.07, 0.14, 0.0, (-0.02, 0.02), 0.002, 999, 0.12, (0.09, 0.15), 0.4, 99),
            Alike(MODULES, 101, 0.19, 0.06, 0.13, 0.0, (-0.02, 0.02), 0.002, 999, 0.01, (-0.01, 0.03), 0.02, 99),
        ],
        {}, Modules(5, 25, 0.61, 0.3, 0.74, 0.01, 5),
    )  # fmt: skip
    return Mapped(summary, rows, near, cells, pairs)
