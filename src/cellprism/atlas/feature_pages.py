"""One page a feature: its card, and what figures are drawn from; as a shard, and as JSON at a stable path."""

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from cellprism.atlas.activity import Labels, activity
from cellprism.atlas.feature_table import labels_of
from cellprism.atlas.shards import SiteWriter, packed, plain
from cellprism.atlas.tables import RunTables
from cellprism.report.frames import ordered, where

GENES, TERMS, MOVED, DRAWN = 60, 40, 15, 20
TERM_COLUMNS = ("term", "overlap", "set_size", "term_size", "background_size", "pvalue", "padj")


class FeaturePages:
    """Pages of all features; tables are parted by feature once.

    Args:
        tables: the run.
    """

    def __init__(self, tables: RunTables):
        self.tables, self.labels = tables, labels_of(tables)
        found = tables.programs
        self.lists = _parted(found.lists.sort_values(["feature", "rank"], kind="stable"))
        self.terms = _parted(found.enrichment.sort_values("padj", kind="stable"))
        self.doses = _doses(tables)
        self.kinds = Labels.of(tables.types) if tables.types is not None else None
        self.strength = _strengths(tables)
        self.column = {name: i for i, name in enumerate(tables.gene_names)}
        self.logs = tables.logs

    def write(self, site: SiteWriter, features: Iterable[int], under: str = "") -> None:
        """Write the pages of some features, in a folder ``under`` where they are another run's."""
        for feature in features:
            page = self.page(feature)
            site.json(f"{under}features/{feature}", page)
            site.shard(f"{under}features/{feature}", {**page, **self.arrays(feature)})

    def page(self, feature: int) -> dict[str, Any]:
        """Everything that is said of a feature, as plain JSON values."""
        card = json.loads(self.tables.cards.card(feature).to_json(None))
        found = {"feature": feature, "label": self.labels[feature], "card": card}
        found |= {"genes": self.genes(feature), "fired": self.fired(feature), "terms": self.matches(feature)}
        found |= {"doses": self.doses.get(feature, [])}
        if self.tables.cells is not None:
            self._activity = activity(self.activation(feature), self.kinds)
            of_cells = self._activity
            found |= {
                "histogram": of_cells.histogram, "quantiles": of_cells.quantiles, "types": of_cells.types,
                "top_cells": [[str(self.tables.cells.obs_names[row]), kind, v] for row, kind, v in of_cells.top],
            }  # fmt: skip
        return plain(found)

    def arrays(self, feature: int) -> dict[str, Any]:
        """What only pictures need: activation in every cell, the decoder's row."""
        found: dict[str, Any] = {}
        if self.tables.cells is not None:
            found["cells"] = plain(self._activity.values)
        if self.tables.decoder is not None:
            found["decoder"] = packed(self.tables.decoder[feature].astype(np.float16))
        return found

    def activation(self, feature: int) -> np.ndarray:
        """Mean activation in every cell."""
        return self.tables.activation[:, [feature]].toarray().ravel().astype(np.float64)

    def genes(self, feature: int) -> list[dict[str, Any]]:
        """Its list, strongest first: how strong, how often, and what steering does where that was asked."""
        rows = self.lists.get(str(feature))
        names = [] if rows is None else [str(gene) for gene in rows["gene"]][:GENES]
        moved = self.effects(feature)
        found = []
        for name in names:
            row: dict[str, Any] = {"gene": name}
            place = self.column.get(name)
            if place is not None:
                row |= {key: float(matrix[feature, place]) for key, matrix in self.strength.items()}
            if len(found) < DRAWN and place is not None and self.logs is not None:
                row["r"] = self.correlation(feature, place)
            if (effect := moved.get(name)) is not None:
                row["effect"] = effect
            found.append(row)
        return found

    def fired(self, feature: int) -> list[dict[str, Any]]:
        """Genes at whose tokens it is strongest, whether in its list or not."""
        if "mean" not in self.strength:
            return []
        row = np.asarray(self.strength["mean"][feature]).ravel()
        best = [int(i) for i in np.argsort(-row, kind="stable")[:DRAWN] if row[i] > 0]
        names = self.tables.gene_names
        return [
            {"gene": names[i], **{key: float(matrix[feature, i]) for key, matrix in self.strength.items()}}
            for i in best
        ]

    def correlation(self, feature: int, gene: int) -> float | None:
        """Correlation over cells of its activation with a gene's log1p CP10k; None where either does not vary."""
        assert self.logs is not None, "asked only where there are counts"
        a, y = self.tables.activation[:, [feature]], self.logs[:, [gene]]
        n = a.shape[0]
        spread = [float(np.sqrt(max(v.power(2).sum() / n - (v.sum() / n) ** 2, 0))) for v in (a, y)]
        if min(spread) < 1e-12:
            return None
        return float((a.multiply(y).sum() / n - a.sum() / n * y.sum() / n) / (spread[0] * spread[1]))

    def effects(self, feature: int) -> dict[str, float]:
        """Change of each gene per unit of strength, where every feature was screened."""
        moved = self.tables.moved
        if moved is None or str(feature) not in moved.obs_names:
            return {}
        row: Any = moved.X[int(moved.obs_names.get_loc(str(feature)))]  # pyright: ignore[reportOptionalSubscript, reportIndexIssue, reportArgumentType]
        return dict(zip(map(str, moved.var_names), np.asarray(row).ravel().tolist(), strict=True))

    def matches(self, feature: int) -> list[dict[str, Any]]:
        """Its terms, best first, with counts, p and q."""
        rows = self.terms.get(str(feature))
        if rows is None:
            return []
        keep = [name for name in TERM_COLUMNS if name in rows]
        return [dict(zip(keep, row, strict=True)) for row in rows[keep].head(TERMS).itertuples(index=False)]


def _strengths(tables: RunTables) -> dict[str, Any]:
    """Mean activation, share of tokens and largest value [feature gene] by their names; none without the matrix."""
    data = tables.genes
    if data is None:
        return {}
    return {"mean": data.X, **{key: data.layers[key] for key in ("frac", "max") if key in data.layers}}


def _parted(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(feature): rows for feature, rows in table.groupby("feature", sort=False)}


def _doses(tables: RunTables) -> dict[int, list[dict[str, Any]]]:
    """Of each feature that was steered, an entry an experiment: summary, doses, control features, genes moved."""
    found: dict[int, list[dict[str, Any]]] = {}
    steering = tables.found("steer")
    for experiment in steering.experiments if steering is not None else ():
        for row in experiment.summary["features"]:
            if row["feature"] is None:
                continue
            feature = int(row["feature"])
            entry = {
                "experiment": experiment.name, "read": experiment.summary["read"], "summary": row,
                "file": f"steer/{experiment.name}/doses.parquet", "doses": [], "controls": [], "moved": [],
            }  # fmt: skip
            if len(experiment.doses):
                entry["doses"] = _records(_of(experiment.doses, feature).sort_values("alpha"))
                entry["moved"] = _moved(_of(experiment.effects, feature))
            if "kind" in experiment.nulls:
                nulls = _of(experiment.nulls, feature)
                entry["controls"] = nulls.loc[nulls["kind"] == "control feature", "response"].dropna().tolist()
            found.setdefault(feature, []).append(entry)
    return found


def _of(table: pd.DataFrame, feature: int) -> pd.DataFrame:
    return where(table, table["feature"] == feature)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.drop(columns="feature").to_dict("records")]


def _moved(effects: pd.DataFrame) -> list[dict[str, Any]]:
    """At the largest strength, the genes that it moves most, each way."""
    if effects.empty:
        return []
    top = ordered(where(effects, effects["alpha"] == effects["alpha"].max()), "effect")
    some: Any = pd.concat([top.tail(MOVED)[::-1], top.head(MOVED)])
    some = some.drop_duplicates("gene")
    return _records(some.filter(["feature", "alpha", "gene", "effect", "direct", "baseline", "on_target"]))
