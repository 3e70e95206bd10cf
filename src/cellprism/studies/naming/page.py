"""The part of the page about labels. It claims nothing: a label stands where it foretells its feature."""

from collections.abc import Sequence
from pathlib import PurePath

import numpy as np
import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.report.figure import Figure, NumberTable, canvas, listing, plain
from cellprism.report.frames import numbers, ordered, texts, where
from cellprism.report.section import Section, Table
from cellprism.studies.naming.card import label_of
from cellprism.studies.naming.tables import FEATURES, FILE, KINDS, Found

TITLE, SHORT = "What would one call the features?", "Labels"
ROWS, BINS = 20, 40  # of the table, of the figure
DRAWN = (
    ("chance", "labels like it, at random", theme.CONTROL),
    ("own_genes_auroc", "its ten genes, used directly", theme.OPPOSITE),
    ("auroc", "its label", theme.OURS),
)
"""Column, name, colour."""


def claims(found: Found, context: Context) -> list[Claim]:
    """None."""
    return []


def section(found: Found | None, claims: Sequence[Claim], context: Context) -> Section:
    """Labels that foretell, and how well."""
    if found is None:
        absent = "Nobody gave the features labels; `cellprism do naming RUN` does."
        return Section("naming", TITLE, SHORT, "", absent=absent)
    if not found.labels.labelled:
        absent = "No feature is active in enough of the cells, and inactive in enough others, to be told by a label."
        return Section("naming", TITLE, SHORT, "", absent=absent)
    return Section(
        "naming", TITLE, SHORT, _said(found), [(_figure(found),)],
        [Table(_caption(found), _table(found))] if found.labels.shown else [], method=_method(found),
    )  # fmt: skip


def _where(found: Found) -> str:
    donors = found.labels.donors
    return {"cells": "other cells", "donors": "cells of other donors"}.get(
        donors, f"the cells of {PurePath(donors).name}"
    )


def _said(found: Found) -> str:
    """How many features have a label that foretells them, and how well, beside labels like them."""
    some = found.labels
    kinds = listing([f"{n} {KINDS[kind]}" for kind, n in some.same_kind.items() if n])
    start = f"{some.shown} of {some.labelled} features have a label that foretells them in {_where(found)}"
    return (
        f"{start}{f', better than labels like them do ({kinds})' if some.shown else ''}. There the median AUROC is "
        f"{some.auroc:.2f}; that of random labels like these is {some.chance:.2f}, and ten genes of the feature, with "
        f"no name, reach {some.own_genes:.2f}."
    )


def _method(found: Found) -> str:
    some = found.labels
    others = "" if some.others is None else f" The labels of other features reach an AUROC of {some.others:.2f}."
    return (
        f"A label is a cell type, a program of {some.collection} or three genes, whichever tells best in which of "
        f"{some.chosen_on} cells the feature is active; it is judged on {some.judged_on} others. Labels like it are of "
        f"random genes as frequent, or of random cells as many.{others} A label that does no better than those like it "
        "is not shown."
    )


def _figure(found: Found) -> Figure:
    table = found.features
    edges = np.linspace(0, 1, BINS + 1)
    traces = [
        go.Bar(
            x=((edges[1:] + edges[:-1]) / 2).tolist(), y=np.histogram(values[np.isfinite(values)], edges)[0].tolist(),
            name=name, width=1 / BINS, marker={"color": colour}, opacity=0.7,
            hovertemplate=f"{name}<br>AUROC %{{x:.3f}}: %{{y}} features<extra></extra>",
        )
        for column, name, colour in DRAWN
        if (values := numbers(table, column)).size
    ]  # fmt: skip
    some = found.labels
    return Figure(
        "naming-foretell",
        f"Labels foretell their features with a median AUROC of {some.auroc:.2f} in {plain(_where(found))}",
        canvas(
            traces,
            xaxis={"title": {"text": "AUROC in cells that did not choose"}, "range": [0, 1]},
            yaxis={"title": {"text": "features"}},
            barmode="overlay",
        ),
        "How well the cells in which a feature is active, the strongest tenth, are told from the others by its label, "
        "by its own ten genes without any name, and by random labels like it.",
        f"Histograms of AUROC over {some.labelled} features.",
        (f"naming/{FEATURES}", f"naming/{FILE}"),
        height=360,
        numbers=NumberTable(
            ("AUROC", "lowest quarter", "median", "highest quarter"),
            [
                (name, *(f"{q:.2f}" for q in np.nanquantile(numbers(table, column), [0.25, 0.5, 0.75])))
                for column, name, _ in DRAWN
            ],
        ),
    )  # fmt: skip


def _caption(found: Found) -> str:
    return (
        f"The {min(ROWS, found.labels.shown)} features whose labels foretell best, one a label; all are in "
        f"naming/{FEATURES}. q: over features, against {found.labels.draws} labels like it; unit: cells."
    )


def _table(found: Found) -> NumberTable:
    shown = ordered(where(found.features, found.features["shown"].astype(bool)), "auroc").iloc[::-1]
    words = [label_of(row) for _, row in shown.iterrows()]
    first = [i for i, word in enumerate(words) if word not in words[:i]][:ROWS]
    some = shown.iloc[first]
    rows = [
        (feature, words[i], genes, f"{auroc:.2f}", f"{own:.2f}", f"{chance:.2f}", f"{q:.3f}")
        for feature, i, genes, auroc, own, chance, q in zip(
            texts(some, "feature"), first, texts(some, "own_genes"), some["auroc"], some["own_genes_auroc"],
            some["chance"], some["q"], strict=True,
        )
    ]  # fmt: skip
    names = ("feature", "label", "its genes", "AUROC", "its genes directly", "labels like it", "q")
    return NumberTable(names, rows)
