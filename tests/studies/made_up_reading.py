"""What a made-up run read of the cells in which features are high, and of conditions."""

import numpy as np
import pandas as pd

from cellprism.studies.compare.tables import Compare
from cellprism.studies.compare.tables import Summary as Compared
from cellprism.studies.lens.tables import Lens, Moved, RareCells, Summary
from studies.made_up_features import N_CELLS, N_FEATURES, N_GENES, PROGRAMS, gene_names

READ = 103  # features that are high in enough cells


def lens(rng: np.random.Generator) -> Lens:
    """Half of the features mark rare cells; of two that were set high one raises its genes."""
    features = np.sort(rng.choice(N_FEATURES, READ, replace=False))
    terms = list(PROGRAMS)
    term = [terms[f % len(terms)] if f % 3 else "" for f in features]
    local = np.arange(READ) % 2 == 0
    table = pd.DataFrame({
        "feature": features, "high": 4 + np.arange(READ) % 3, "low": 97, "up": 5, "down": 3, "term": term,
        "term_padj": np.where(np.array(term) == "", 1.0, 0.003), "direction": np.where(np.array(term) == "", "", "up"),
        "high_in": "B", "type_share": 0.75, "neighbours": np.where(local, 0.4, 0.06), "expected": 0.05,
        "p": np.where(local, 0.01, 0.6), "q": np.where(local, 0.02, 0.6), "local": local,
    })  # fmt: skip
    names = gene_names()
    genes = pd.DataFrame([
        (f, direction, rank, names[(f + rank) % len(names)], sign * (1 - rank / 9), 0.9, 0.001)
        for f in features for direction, sign, n in (("up", 1, 5), ("down", -1, 3)) for rank in range(n)
    ], columns=pd.Index(["feature", "direction", "rank", "gene", "difference", "auroc", "q"]))  # fmt: skip
    found = pd.DataFrame(
        [(f, "up", t, 4, 7, 1e-5, 0.003) for f, t in zip(features, term, strict=True) if t],
        columns=pd.Index(["feature", "direction", "term", "genes", "term_size", "pvalue", "padj"]),
    )
    moved = pd.DataFrame(
        [(int(features[i]), "up", 0, names[i], 0.3, True) for i in range(2)],
        columns=pd.Index(["feature", "direction", "rank", "gene", "effect", "own"]),
    )
    return Lens(_summary(features), table, genes, found, moved)


def _summary(features: np.ndarray) -> Summary:
    rare = RareCells(52, 0.5, 0.05, (0.02, 0.09), 0.02, 99, True, [0.31, 0.29, 0.33])
    moved = [
        Moved(int(features[0]), "Cytotoxic granules", 5, 0.31, 0.02, (-0.03, 0.08), 0.05, 39, 0.4, 4, ["NK cells"]),
        Moved(int(features[1]), "", 5, 0.02, 0.02, (-0.03, 0.08), 0.9, 39, 0.4, 0, []),
    ]
    return Summary(
        N_CELLS, N_GENES, N_FEATURES - 3, READ, 0.99, 0.01, "low", 4, "mannwhitney", "hypergeometric", "blood", 73,
        0.05, 0.62, [0.55, 0.57, 0.52], rare, moved, "", 64, True,
    )  # fmt: skip


def compare(rng: np.random.Generator) -> Compare:
    """Three features differ between treated and untreated donors, five of each."""
    n = N_FEATURES - 3
    difference = rng.normal(0, 0.02, n)
    difference[:3] = (0.3, -0.2, 0.25)
    p = np.where(np.arange(n) < 3, 1e-5, np.linspace(0.06, 1, n))
    features = pd.DataFrame({
        "feature": np.arange(n), "difference": difference, "low": difference - 0.05, "high": difference + 0.05,
        "t": difference / 0.02, "p": p, "q": np.minimum(p * n / np.arange(1, n + 1), 1), "permuted_p": p + 0.01,
        "level": 0.7, "term": "Cytotoxic granules", "top_genes": "NKG7, GZMB, PRF1",
    })  # fmt: skip
    donors = pd.DataFrame({
        "donor": [f"D{i}" for i in range(10)], "condition": ["treated"] * 5 + ["untreated"] * 5,
        "cells": [17] * 5 + [0] * 5, "cells_control": [0] * 5 + [19] * 5,
    })  # fmt: skip
    summary = Compared(
        "arm", "donor", "treated", "untreated", "", False, (5, 5), (85, 95), n, 0.05, 3, 3 / n, 0.001, (0.0, 0.008),
        2 / 126, 125, True, ["D10 (3 cells of treated, 0 of untreated; at least 10 are needed)"],
    )  # fmt: skip
    return Compare(summary, features, donors)
