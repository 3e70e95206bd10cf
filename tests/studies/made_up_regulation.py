"""The made-up run's factors: measured in the wired world, where they drive their targets."""

from dataclasses import replace

import numpy as np
import pandas as pd

from cellprism.regulation.inference import DIRECTION, FORWARD, SPECIFIC, Overall, Relabelled, answer
from cellprism.regulation.measured import MeanAgreement, agreement
from cellprism.studies.regulation.tables import (
    COEXPRESSION,
    COLUMNS,
    DOSE,
    EVERY,
    MODEL,
    RIDGE,
    UNTRAINED,
    Committees,
    Design,
    Facts,
    Regulation,
)

FACTORS, TARGETS = ("TBX21", "SPI1", "IRF1", "STAT1", "GATA3", "JUNB", "FOS"), 11
TYPES = {"CD8 T cells": 2, "NK cells": 2}


def regulation(rng: np.random.Generator) -> Regulation:
    """Seven factors, of which the first drives its targets; a screen; TBX21's preset."""
    rows = [_row(f, name, kind, rng) for f, name in enumerate(FACTORS) for kind in (*TYPES, EVERY)]
    factors = pd.DataFrame(rows, columns=list(COLUMNS["factors"]))
    overall = [
        _overall(measure, source, value)
        for measure, values in (
            ("alike", (0.61, 0.62, 0.60)),
            (FORWARD, (0.52, 0.5, 0.51)),
            (DIRECTION, (0.51, 0.5, 0.48)),
        )
        for source, value in zip((MODEL, COEXPRESSION, RIDGE), values, strict=True)
    ]
    overall.append(replace(_overall(DIRECTION, UNTRAINED, 0.499), networks=6))
    facts = Facts(
        design=Design(
            list(FACTORS), {"MYC": "3 targets on the panel, 10 are needed"}, {"with an edge back": 17},
            77, 83, 29, TYPES,
            [0.5, 0.9], 1234, 56.7, imbalance={"expression": 0.004, "dose": -0.02},
        ),
        overall=overall,
        relabelled=[_relabelled(FORWARD, 0.52), _relabelled(SPECIFIC, 1 / 7), _relabelled(DIRECTION, 0.51)],
        committees=Committees(5, 3.4, 9, 0.57, 0.31),
        measured=_screen(rng),
        regulators=[MeanAgreement(MODEL, 14, 0.05, -0.012, (-0.04, 0.02), 0.4)],
        unread={"CD4+ IL2": "IL2 is seen in 0.04% of the cells"},
    )  # fmt: skip
    return Regulation(facts, {"factors": factors, "pairs": _pairs(rng), "doses": _doses(), "preset": _preset()})


def _row(place: int, name: str, kind: str, rng: np.random.Generator) -> tuple:
    direction, q = (0.84, 0.003) if place == 0 else (float(rng.uniform(0.4, 0.6)), 0.7)
    return (
        name, kind, DOSE, TARGETS, 3, 0.6, 0.55, direction, 0.66, 0.2, q / 2, 0.1, 0.26, 0.5, q, answer(direction,
    0.09, q), )  # fmt: skip


def _overall(measure: str, source: str, value: float) -> Overall:
    return Overall(measure, source, DOSE, value, (value - 0.02, value + 0.02), 0.4, 1e-6, len(FACTORS), 0.09)


def _relabelled(measure: str, value: float) -> Relabelled:
    mean = 0.05 if measure == SPECIFIC else 0.5
    return Relabelled(measure, value, mean, (mean - 0.05, mean + 0.06), 0.31, 99, 0.06)


def _screen(rng: np.random.Generator) -> list:
    truth, level = rng.standard_normal(131), rng.uniform(0, 2, 131)
    sources = {
        name: truth + size * rng.standard_normal(131) for name, size in ((MODEL, 4), (COEXPRESSION, 3), (UNTRAINED, 99))
    }
    return agreement("screen CD8+ IFNG", truth, sources, level, 99, 0)


def _pairs(rng: np.random.Generator) -> pd.DataFrame:
    rows = [
        (
            name,
            f"GENE{i}",
            "target" if i < TARGETS else "matched",
            *rng.standard_normal(2),
            *(0.02 * rng.standard_normal(2)),
        )
        for name in FACTORS
        for i in range(4 * TARGETS)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS["pairs"]))


def _doses() -> pd.DataFrame:
    rows = [
        ("TBX21", f"GENE{i}", group, q, 0.2 * q, 0.1 * q)
        for i in range(5)
        for group in ("target", "matched")
        for q in (0.5, 0.9)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS["doses"]))


def _preset() -> pd.DataFrame:
    rows = [
        (gene, group, way, feature, alpha, 0.001 * alpha, 7)
        for gene, group in (("IFNG", "target"), ("CCL5", "no target"), ("CXCR6", "target"))
        for way in ("forward", "reverse")
        for feature in (3, 17)
        for alpha in (-15.0, -5.0, -2.0, 2.0, 5.0, 15.0)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS["preset"]))
