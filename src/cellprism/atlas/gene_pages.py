"""Genes and terms: in which features a gene fires, which features move it; which features match a term."""

from typing import Any

import numpy as np
import pandas as pd

from cellprism.atlas.shards import SiteWriter, plain
from cellprism.atlas.tables import RunTables
from cellprism.ontology.collection import Collection

BLOCK = 32  # genes or terms a shard
MOST, MOVERS, MATCHES = 60, 40, 300


def write_genes(site: SiteWriter, tables: RunTables) -> None:
    """Write the shards ``genes/0``, ``genes/1``, ... of ``BLOCK`` genes each."""
    fires = _firing(tables)
    movers = _screened(tables)
    steered = _steered(tables)
    names = tables.gene_names
    for start in range(0, len(names), BLOCK):
        site.shard(f"genes/{start // BLOCK}", plain([
            {
                "gene": name, "fires": fires(start + i), "moved": movers.get(name, []),
                "steered": steered.get(name, []),
            }
            for i, name in enumerate(names[start : start + BLOCK])
        ]))  # fmt: skip


def _firing(tables: RunTables) -> Any:
    """A function from a gene's place to its features: [feature, mean, frac, max, rank in the feature's list]."""
    rank: dict[str, dict[int, int]] = {}
    for feature, gene, place in tables.programs.lists[["feature", "gene", "rank"]].itertuples(index=False):
        rank.setdefault(str(gene), {})[int(feature)] = int(place)
    names = tables.gene_names
    if tables.genes is None:
        return lambda place: [[f, None, None, None, r] for f, r in sorted(rank.get(names[place], {}).items())][:MOST]
    mean: Any = tables.genes.X
    nothing = np.full(mean.shape, np.nan) if not set(tables.genes.layers) >= {"frac", "max"} else None
    frac, most = (nothing if nothing is not None else tables.genes.layers[key] for key in ("frac", "max"))

    def found(place: int) -> list[list[Any]]:
        column = np.asarray(mean[:, place]).ravel()
        best = np.argsort(-column, kind="stable")[:MOST]
        own = rank.get(names[place], {})
        return [[int(f), column[f], frac[f, place], most[f, place], own.get(int(f))] for f in best if column[f] > 0]

    return found


def _screened(tables: RunTables) -> dict[str, list[list[Any]]]:
    """By gene, the features that move it most: [feature, change per unit of strength, over the median feature's]."""
    if tables.moved is None:
        return {}
    matrix: Any = tables.moved.X
    features = [int(name) for name in tables.moved.obs_names]
    found = {}
    for place, name in enumerate(tables.moved.var_names):
        column = np.asarray(matrix[:, place]).ravel()
        size = np.abs(column)
        usual = max(float(np.median(size)), 1e-12)
        best = np.argsort(-size, kind="stable")[:MOVERS]
        found[str(name)] = [[features[f], column[f], size[f] / usual] for f in best if size[f] > 0]
    return found


def _steered(tables: RunTables) -> dict[str, list[list[Any]]]:
    """By gene, what exact steering did: [experiment, feature, strength, effect, where it is seen, unsteered]."""
    found: dict[str, list[list[Any]]] = {}
    steering = tables.found("steer")
    for experiment in steering.experiments if steering is not None else ():
        if experiment.effects.empty:
            continue
        largest = experiment.effects.groupby("feature")["alpha"].transform("max")
        rows = experiment.effects.loc[experiment.effects["alpha"] == largest]
        columns = ["feature", "alpha", "gene", "effect", "direct", "baseline"]
        for feature, alpha, gene, effect, direct, before in rows[columns].itertuples(index=False):
            found.setdefault(str(gene), []).append([experiment.name, int(feature), alpha, effect, direct, before])
    return {gene: sorted(rows, key=lambda row: -abs(row[3])) for gene, rows in found.items()}


def write_terms(site: SiteWriter, tables: RunTables, collection: Collection | None) -> None:
    """Write the shards ``terms/0``, ... of ``BLOCK`` terms each; their genes too where there is the collection."""
    found = tables.programs
    columns = ["feature", "overlap", "set_size", "pvalue", "padj"]
    have = [name for name in columns if name in found.enrichment]
    by_term = dict(list(found.enrichment.groupby("term", sort=False)))
    names, known = tables.term_names, set(tables.gene_names)
    sets = {} if collection is None else collection.terms
    members = {name: [gene for gene in sets.get(name, ()) if gene in known] for name in names}
    lists = {int(str(feature)): set(rows) for feature, rows in found.lists.groupby("feature")["gene"]}
    for start in range(0, len(names), BLOCK):
        site.shard(f"terms/{start // BLOCK}", plain([
            _term(name, by_term[name], have, found.sources.get(name, ""), members[name], lists)
            for name in names[start : start + BLOCK]
        ]))  # fmt: skip


def _term(
    name: str, rows: pd.DataFrame, have: list[str], source: str, genes: list[str], lists: dict[int, set[str]]
) -> dict[str, Any]:
    """A term with its features; ``shared`` says of each which of the term's genes its list holds, by place."""
    best = rows.sort_values("padj", kind="stable").head(MATCHES)
    first = best.iloc[0]
    return {
        "term": name, "source": str(source), "columns": have, "tested": len(rows),
        "size": int(first["term_size"]) if "term_size" in rows else None,
        "background": int(first["background_size"]) if "background_size" in rows else None,
        "features": [[int(row[0]), *row[1:]] for row in best[have].itertuples(index=False)], "genes": genes,
        "shared": [
            [i for i, gene in enumerate(genes) if gene in lists.get(int(feature), set())] for feature in best["feature"]
        ],
    }  # fmt: skip
