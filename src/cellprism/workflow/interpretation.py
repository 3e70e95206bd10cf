"""Features to gene programs, beside every null and control that the run can afford.

- Lists: the top round(PR) genes of each feature that fires, from genes that pass the filter and that enough cells
  carry; these genes are the background of every test here.
- A model that reads a cell as a whole has no token of a gene: its genes are those that are high in the cells in which a
  feature fires, for features and controls alike.
- Random lists (uniform, popularity, use of genes, co-expression) have the features' own sizes. An untrained autoencoder
  and the model's neurons get lists by the same rule from their own tables.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import binomtest

from cellprism.enrich.gene_sets import background_genes, gene_sets
from cellprism.enrich.labels import best_terms, top_cell_types
from cellprism.enrich.nulls import NullRates, null_rates
from cellprism.enrich.over_representation import annotated_rate, over_representation
from cellprism.features.baselines import neuron_genes, untrained_sae
from cellprism.features.collect import feature_genes, survey
from cellprism.features.source import CellTokens
from cellprism.store.atomic import write_json
from cellprism.store.h5ad import write_h5ad
from cellprism.store.tables import write_table
from cellprism.workflow.config import RunConfig
from cellprism.workflow.sources import collection_identity
from cellprism.workflow.workbench import Workbench

TOP_GENES = 20
FIXED_SIZES = (20, 50)
Lists = dict[str, tuple[str, ...]]


def interpret_settings(config: RunConfig) -> dict[str, object]:
    """What decides the programs."""
    collection = collection_identity(config.interpret.collection)
    return {"interpret": {**asdict(config.interpret), "collection": collection}, "seed": config.seed}


def interpret(bench: Workbench) -> list[Path]:
    """Collect features over genes and cells, test their gene lists, and score every null; returns the files."""
    settings, cells = bench.config.interpret, bench.cells
    tokens = CellTokens(bench.model, cells, [bench.config.layer], memory=bench.config.train.memory)
    with bench.bar("collecting features", cells.n_obs) as advance:
        found = survey(bench.model, bench.sae, cells, bench.config.layer, progress=advance, tokens=tokens)
    background = list_background(found.genes, cells, settings.gene_filter)
    lists = firing_lists(found.genes, background)
    table = tested(lists, bench, background)
    with bench.bar("drawing random lists", None):
        nulls = null_rates(
            lists, bench.collection, background, cells, replicates=settings.replicates, seed=bench.config.seed,
            family=settings.family, alpha=settings.alpha, min_term_size=settings.min_term_size,
        )  # fmt: skip
    rows = [rate_row("features", lists, table, settings.alpha), *_null_rows(nulls)]
    with bench.bar("controls: untrained autoencoder, neurons", None):
        controls = _controls(bench, tokens)
    for name, control in controls.items():
        theirs = firing_lists(control, background)
        rows.append(rate_row(name, theirs, tested(theirs, bench, background), settings.alpha))
    for size in FIXED_SIZES:  # lists of one length can be compared whatever the participation ratios are
        for name, F in (("features", found.genes), ("neurons", controls["neurons"])):
            fixed = firing_lists(F, background, size)
            row = f"{name}, {size} genes each"
            rows.append(rate_row(row, fixed, tested(fixed, bench, background), settings.alpha))
    return _write(bench, found.genes, found.cells, lists, table, nulls, rows, len(background), found.residual)


def list_background(F: AnnData, cells: AnnData, gene_filter: str) -> tuple[str, ...]:
    """Genes that may be in a list: those that pass the filter, and that enough cells carry to have a place in ``F``."""
    passing = background_genes(cells, gene_filter)
    if "carried" not in F.var:
        return passing
    there = set(F.var_names[np.asarray(F.var["carried"], dtype=bool)])
    return tuple(gene for gene in passing if gene in there)


def firing_lists(F: AnnData, background: tuple[str, ...], rule: str | int = "pr") -> Lists:
    """Gene lists of the features (or neuron tails) that fire anywhere; those that never fire are left out."""
    return gene_sets(F[(F.obs["firing_rate"] > 0).to_numpy()], rule, background=background)


def tested(lists: Lists, bench: Workbench, background: tuple[str, ...]) -> pd.DataFrame:
    """The enrichment table of some lists under the run's settings."""
    settings = bench.config.interpret
    return over_representation(
        lists, bench.collection, background, settings.family,
        min_term_size=settings.min_term_size, background_name=f"genes passing {settings.gene_filter!r}",
    )  # fmt: skip


def rate_row(name: str, lists: Lists, table: pd.DataFrame, alpha: float) -> dict[str, Any]:
    """Annotated rate with its Wilson interval over lists, and how many different terms stand behind it."""
    rate = annotated_rate(table, len(lists), alpha)
    interval = binomtest(round(rate * len(lists)), len(lists)).proportion_ci(method="wilson")
    sizes = [len(genes) for genes in lists.values()]
    return {
        "name": name, "rate": rate, "interval": [float(interval.low), float(interval.high)], "replicates": 1,
        "n_lists": len(lists), "mean_set_size": sum(sizes) / len(sizes),
        "distinct_terms": int(table.loc[table["padj"] < alpha, "term"].nunique()),
    }  # fmt: skip


def _null_rows(nulls: NullRates) -> list[dict[str, Any]]:
    by_null = nulls.summary.pivot(index="null", columns="measure")
    rates = nulls.summary[nulls.summary["measure"] == "annotated_rate"]
    return [
        {
            "name": row["null"], "rate": row["mean"], "interval": [row["low"], row["high"]],
            "replicates": int(row["replicates"]), "n_lists": int(row["n_lists"]),
            "mean_set_size": float(row["mean_set_size"]),
            "distinct_terms": float(by_null.loc[row["null"], ("mean", "distinct_terms")]),
            "excess": row["excess"], "excess_interval": [row["excess_low"], row["excess_high"]],
            "p_value": row["p_value"],
        }
        for _, row in rates.iterrows()
    ]  # fmt: skip


def _controls(bench: Workbench, tokens: CellTokens) -> dict[str, AnnData]:
    """Feature x gene tables of what learned nothing (E4) and of the raw neurons, tails apart (E8)."""
    model, cells, layer = bench.model, bench.cells, bench.config.layer
    controls = {
        "untrained": feature_genes(model, untrained_sae(bench.sae, bench.config.seed), cells, layer, tokens=tokens),
        "neurons": neuron_genes(model, cells, layer, tokens=tokens),
    }
    if tokens.are_genes:
        controls["neurons, gene means removed"] = neuron_genes(model, cells, layer, sae=bench.sae, tokens=tokens)
    return controls


def _write(
    bench: Workbench, genes: AnnData, cells: AnnData, lists: Lists, table: pd.DataFrame, nulls: NullRates,
    rows: list[dict[str, Any]], n_background: int, variance: dict[str, float],
) -> list[Path]:  # fmt: skip
    settings, features, terms = bench.config.interpret, bench.layer_folder("features"), bench.layer_folder("terms")
    write_h5ad(features / "genes.h5ad", genes)
    write_h5ad(features / "cells.h5ad", cells)
    write_table(features / "features.parquet", feature_table(genes, cells, lists, table, settings.alpha))
    write_table(terms / "enrichment.parquet", table)
    write_table(terms / "nulls.parquet", nulls.summary)
    counted = table.attrs["cellprism"]
    write_json(terms / "rates.json", {
        "rows": rows, "family": settings.family, "alpha": settings.alpha, "collection": bench.collection.name,
        "n_terms": counted["terms_tested"], "background_size": n_background, "gene_filter": settings.gene_filter,
        "outside_background": {k: counted[k] for k in ("list_genes_outside", "term_genes_outside")},
        "tokens": genes.uns["cellprism"]["tokens"], "residual_variance": variance,
    })  # fmt: skip
    used = sorted(set(table["term"]))
    write_json(terms / "sources.json", {term: bench.collection.source.get(term, "") for term in used})
    names = ("enrichment.parquet", "nulls.parquet", "rates.json", "sources.json")
    return [features / f for f in ("genes.h5ad", "cells.h5ad", "features.parquet")] + [terms / f for f in names]


def feature_table(genes: AnnData, cells: AnnData, lists: Lists, table: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """One row a feature, in the order of ``genes``: firing, footprint, best program, best cell type."""
    names = list(genes.obs_names)
    obs = cast(pd.DataFrame, genes.obs)
    columns = obs[["firing_rate", "participation_ratio", "gene_share", "state_share"]].reset_index(drop=True)
    labels = best_terms(table, names, alpha).drop(columns="feature")
    types = _cell_types(cells, names)
    return pd.concat([pd.DataFrame({
        "feature": names,
        "set_size": [len(lists.get(name, ())) for name in names],
        "top_genes": [", ".join(lists.get(name, ())[:TOP_GENES]) for name in names],
    }), columns, labels, types], axis=1)  # fmt: skip


def _cell_types(cells: AnnData, names: list[str]) -> pd.DataFrame:
    if "cell_type" not in cells.obs or cells.obs["cell_type"].nunique() < 2:
        return pd.DataFrame({"top_cell_type": [""] * len(names), "auroc": 0.5})
    return top_cell_types(cells).filter(["top_cell_type", "auroc"])
