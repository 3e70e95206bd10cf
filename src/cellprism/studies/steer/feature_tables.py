"""Tables of what turning features up and down does."""

from collections.abc import Sequence

import numpy as np

from cellprism.report.claims import Null
from cellprism.report.effect import between, changed
from cellprism.report.figure import NumberTable, small_text
from cellprism.report.frames import ordered, records, where
from cellprism.report.words import Words
from cellprism.studies.steer.view import SteeredFeature

TERMS = 3
"""Programs that are named of each list of moved genes."""


def steering_table(features: Sequence[SteeredFeature], words: Words) -> NumberTable:
    """Every steered feature with every control; effects as changes of what the model says of genes."""
    header = (
        "feature",
        "its genes, against matched",
        "the same, where seen (direct)",
        "control features, theirs",
        "through other tokens alone (propagated)",
        "control features, theirs",
        "lists of other features",
        "difference of means",
        "program's other genes",
        "control features, theirs",
        "mirror symmetry",
        "control features",
        "any gene, where edited",
        "any gene, elsewhere",
        "edit size",
    )
    rows = []
    for s in features:
        own, passed_on, held, mirror = s.response, s.propagated, s.held_out, s.antisymmetry
        rows.append(
            (
                f"{s.feature} ({s.program})",
                changed(own.value, words.unit),
                _value(s.direct, words.unit),
                range_of(own.controls, words.unit),
                _value(passed_on.value if passed_on else None, words.unit),
                range_of(passed_on.controls, words.unit) if passed_on else "–",
                range_of(s.lists, words.unit),
                _value(own.competitor, words.unit),
                _value(held.value if held else None, words.unit),
                range_of(held.controls, words.unit) if held else "–",
                _value(mirror.value if mirror else None, ""),
                range_of(mirror.controls, "") if mirror else "–",
                _value(s.edited, words.unit),
                _value(s.elsewhere, words.unit),
                f"{100 * s.edit_ratio:.1f} %",
            )
        )
    return NumberTable(header, rows)


def term_table(features: Sequence[SteeredFeature], alpha: float) -> NumberTable:
    """The best programs of the genes that rose and of those that fell most, for each feature and strength: at most
    ``TERMS`` with q below ``alpha``, or that there is none, with the least q."""
    rows = []
    for s in features:
        best = ordered(ordered(s.terms, "padj"), ["alpha", "direction"], rising=[False, False])
        for _, some in best.groupby(["alpha", "direction"], sort=False):
            matching = where(some, some["padj"] < alpha).head(TERMS)
            for term in records(matching if len(matching) else some.head(1)):
                moved = {"up": "rise", "down": "fall"}.get(term.direction, term.direction)
                strength = f"{term.alpha:g}".replace("-", "−")
                program = term.term if len(matching) else "none"
                feature = f"{s.feature} ({s.program})"
                rows.append((feature, strength, moved, str(term.genes), program, small_text(term.padj)))
    return NumberTable(("feature", "strength", "genes that", "how many", "best programs", "q"), rows)


def type_table(features: Sequence[SteeredFeature], words: Words) -> NumberTable:
    """What each feature does to its own genes in the cells of every type, up and down."""
    rows = []
    for s in features:
        down = {row.cell_type: row for row in records(where(s.types, s.types["alpha"] == s.down))}
        for row in records(where(s.types, s.types["alpha"] == s.up)):
            if row.cell_type:
                both = (_value(_known(side.response), words.unit) for side in (row, down[row.cell_type]))
                rows.append((f"{s.feature} ({s.program})", row.cell_type, str(row.cells), *both))
    return NumberTable(("feature", "cell type", "cells in which it fires", "turned up", "turned down"), rows)


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _value(value: float | None, unit: str) -> str:
    return "–" if value is None else changed(value, unit)


def range_of(null: Null, unit: str) -> str:
    """The 95 % of what chance gives, in words."""
    return "not measured" if null.interval is None else between(*null.interval, unit)
