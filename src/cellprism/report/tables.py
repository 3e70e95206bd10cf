"""The table of all features, as text for reading and numbers for sorting."""

from dataclasses import dataclass

import numpy as np

from cellprism.report.facts import RunFacts
from cellprism.report.figures.figure import percent, small_text
from cellprism.report.frames import ordered, records, where


@dataclass(frozen=True)
class FeatureRow:
    """One feature."""

    feature: int
    program: str
    """Best program, empty where none is significant."""
    q: str
    q_value: float
    n_terms: int
    top_type: str
    type_share: str
    type_value: float
    firing: str
    firing_rate: float
    n_genes: int
    state: str
    state_share: float
    genes: str


def feature_rows(facts: RunFacts) -> list[FeatureRow]:
    """All features that fire, those with the most certain program first."""
    if facts.features is None:
        return []
    table = facts.features.table
    table = ordered(where(table, table["firing_rate"] > 0), ["best_padj", "firing_rate"], rising=[True, False])
    has_types = "type_share" in table
    rows = []
    for row in records(table):
        share = float(row.type_share) if has_types else 0.0
        rows.append(
            FeatureRow(
                feature=int(row.feature),
                program=str(row.best_term) if row.best_padj < facts.alpha else "",
                q=small_text(row.best_padj),
                q_value=float(row.best_padj),
                n_terms=int(row.n_terms),
                top_type=str(row.top_cell_type),
                type_share=percent(share) if has_types else "–",
                type_value=share,
                firing=percent(row.firing_rate, 2 if row.firing_rate < 0.01 else 1),
                firing_rate=float(row.firing_rate),
                n_genes=int(row.set_size),
                state="–" if np.isnan(row.state_share) else percent(row.state_share),
                state_share=float(row.state_share),
                genes=", ".join(g.strip() for g in str(row.top_genes).split(",")),
            )
        )
    return rows
