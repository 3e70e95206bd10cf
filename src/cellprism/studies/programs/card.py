"""What the programs say of one feature."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pandas as pd

from cellprism.report.card import Fact
from cellprism.report.claims import Claim
from cellprism.report.figure import small_text
from cellprism.report.frames import ordered, texts, where
from cellprism.studies.programs.tables import ENRICHMENT, FEATURES, LISTS, TYPES, Programs

GENES, TERMS = 20, 5  # at most


def facts(found: Programs, claims: Sequence[Claim], feature: int) -> list[Fact]:
    """How often it fires, its genes and programs, and the types of cells that it goes with."""
    row = found.features.set_index("feature").loc[feature]
    at = f"programs/{FEATURES}"
    genes = texts(ordered(where(found.lists, found.lists["feature"] == feature), "rank"), "gene")
    grouped = _hits(found)
    hits = grouped[str(feature)] if str(feature) in grouped else found.enrichment.head(0)
    types = found.types.set_index("feature").loc[feature] if len(found.types.columns) > 1 else ()
    return [
        Fact("fires at (share of tokens)", float(row["firing_rate"]), at),
        Fact("participation ratio", float(row["participation_ratio"]), at, "effective number of genes"),
        Fact("genes", genes[:GENES], f"programs/{LISTS}", _more(len(genes))),
        Fact(
            "programs", [[str(t), float(q)] for t, q in zip(hits["term"][:TERMS], hits["padj"], strict=False)],
            f"programs/{ENRICHMENT}", f"q below {found.rates['alpha']:g}: {len(hits)}; lists made by chance match too",
        ),
        Fact("sign", str(row["sign"]), at, f"correlation with its own genes over cells {row['own_genes_r']:+.2f}"),
        Fact("strongest in", str(row["top_cell_type"]), at),
        Fact("its genes high in", str(row["high_in"]), at),
        Fact("its genes low in", str(row["low_in"]), at),
        Fact(
            "variance between cell types", _number(row["type_share"]), at,
            "" if np.isnan(row["type_padj"]) else f"q = {small_text(float(row['type_padj']))}",
        ),
        Fact(
            "by cell type", [[str(t), float(v)] for t, v in dict(types).items()], f"programs/{TYPES}",
            "standard deviations from the mean cell",
        ),
    ]  # fmt: skip


@lru_cache(maxsize=1)
def _hits(found: Programs) -> dict[str, pd.DataFrame]:
    """The terms that each feature matches, best first; grouped once, since cards of all features are asked for."""
    some = ordered(where(found.enrichment, found.enrichment["padj"] < found.rates["alpha"]), "padj")
    return {str(feature): rows for feature, rows in some.groupby("feature", sort=False)}


def _more(genes: int) -> str:
    return f"the first {GENES} of {genes}" if genes > GENES else ""


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
