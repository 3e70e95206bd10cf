"""Features to gene programs, beside every null and control that the run can afford.

- Lists: the top round(PR) genes of each feature that fires, from genes that pass the filter and that enough cells
  express; these genes are the background of every test here.
- A model that reads a cell as a whole has no token of a gene: its genes are those that are high in the cells in which a
  feature fires, for features and controls alike.
- Random lists (uniform, popularity, use of genes, co-expression) have the features' own sizes. An untrained autoencoder
  and the model's neurons get lists by the same rule from their own tables.
"""

from typing import Any, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from scipy.stats import binom, binomtest

from cellprism.enrich.gene_sets import background_genes, gene_sets
from cellprism.enrich.labels import UNLABELLED, best_terms, top_cell_types
from cellprism.enrich.nulls import NullRates, null_rates
from cellprism.enrich.over_representation import annotated_rate, over_representation
from cellprism.features.baselines import neuron_genes, untrained_sae
from cellprism.features.collect import feature_genes, feature_statistics
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.studies.programs.settings import ProgramsSettings
from cellprism.studies.programs.specificity import Specificity, between_types, type_contrast
from cellprism.studies.programs.tables import Programs, TypeSpecificity
from cellprism.studies.workbench import Workbench

TOP_GENES = 20
FIXED_SIZES = (20, 50)
SAME_SIZE = 0.5  # lists are compared where they are at most this much longer or shorter, as a share
LEVEL = 0.05  # of each feature's test between types
Lists = dict[str, tuple[str, ...]]


def work(bench: Workbench, settings: ProgramsSettings) -> Programs:
    """Collect features over genes and cells, test their gene lists, and score every null."""
    cells = bench.cells
    tokens = bench.tokens
    with bench.bar("collecting features", cells.n_obs) as advance:
        found = feature_statistics(bench.model, bench.sae, cells, bench.config.layer, progress=advance, tokens=tokens)
    background = list_background(found.genes, cells, settings.gene_filter)
    lists = firing_lists(found.genes, background)
    table = tested(lists, bench, settings, background)
    with bench.bar("drawing random lists", None):
        nulls = null_rates(
            lists, bench.collection(settings.collection), background, cells, replicates=settings.replicates,
            seed=bench.config.seed, family=settings.family, alpha=settings.alpha, min_term_size=settings.min_term_size,
        )  # fmt: skip
    rows = [rate_row("features", lists, table, settings.alpha), *_null_rows(nulls)]
    with bench.bar("controls: untrained autoencoder, neurons", None):
        controls = _controls(bench, tokens)
    for name, control in controls.items():
        theirs = firing_lists(control, background)
        rows.append(rate_row(name, theirs, tested(theirs, bench, settings, background), settings.alpha))
    for size in FIXED_SIZES:  # lists of one length can be compared whatever the participation ratios are
        for name, F in (("features", found.genes), ("neurons", controls["neurons"])):
            fixed = firing_lists(F, background, size)
            row = f"{name}, {size} genes each"
            rows.append(rate_row(row, fixed, tested(fixed, bench, settings, background), settings.alpha))
    features, specificity, types = feature_table(found.genes, found.cells, lists, table, settings.alpha)
    counted = table.attrs["cellprism"]
    used = sorted(set(table["term"]))
    collection = bench.collection(settings.collection)
    return Programs(
        features, list_table(lists), table, nulls.summary, types, specificity,
        rates={
            "rows": compared(rows), "hardest_control": hardest_control(compared(rows)), "family": settings.family,
            "alpha": settings.alpha, "collection": collection.name, "n_terms": counted["terms_tested"],
            "background_size": len(background), "gene_filter": settings.gene_filter,
            "outside_background": {k: counted[k] for k in ("list_genes_outside", "term_genes_outside")},
            "residual_variance": found.residual,
        },
        sources={term: collection.source.get(term, "") for term in used},
        matrices=(found.genes, found.cells),
    )  # fmt: skip


def compared(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, each with the row of features that it is compared with: that of the same list rule. It is a fair
    comparison where lists are about equally long, since long lists match more easily."""
    features = {_rule(row): row for row in rows if row["name"].startswith("features")}
    return [
        {**row, "against": features[_rule(row)]["name"], "comparable": _as_long(row, features[_rule(row)])}
        for row in rows
    ]


def hardest_control(rows: list[dict[str, Any]]) -> str | None:
    """The control with the highest rate among those that are fairly compared with the features' own lists."""
    fair = [row for row in rows if row["against"] == "features" != row["name"] and row["comparable"]]
    return max(fair, key=lambda row: row["rate"])["name"] if fair else None


def _rule(row: dict[str, Any]) -> str:
    """How the lists of a row are made: after the comma of its name where they have a fixed length."""
    _, _, rule = row["name"].partition(", ")
    return rule if rule.endswith("genes each") else ""


def _as_long(row: dict[str, Any], other: dict[str, Any]) -> bool:
    return abs(row["mean_set_size"] - other["mean_set_size"]) <= SAME_SIZE * other["mean_set_size"]


def list_table(lists: Lists) -> pd.DataFrame:
    """feature, rank, gene; strongest first."""
    rows = [(int(name), rank, gene) for name, genes in lists.items() for rank, gene in enumerate(genes)]
    return pd.DataFrame(rows, columns=pd.Index(["feature", "rank", "gene"]))


def list_background(F: AnnData, cells: AnnData, gene_filter: str) -> tuple[str, ...]:
    """Genes that may be in a list: they pass the filter, and enough cells express them to have a place in ``F``."""
    passing = background_genes(cells, gene_filter)
    if "expressed" not in F.var:
        return passing
    there = set(F.var_names[np.asarray(F.var["expressed"], dtype=bool)])
    return tuple(gene for gene in passing if gene in there)


def firing_lists(F: AnnData, background: tuple[str, ...], rule: str | int = "pr") -> Lists:
    """Gene lists of the features (or neuron tails) that fire anywhere; those that never fire are left out."""
    return gene_sets(F[(F.obs["firing_rate"] > 0).to_numpy()], rule, background=background)


def tested(lists: Lists, bench: Workbench, settings: ProgramsSettings, background: tuple[str, ...]) -> pd.DataFrame:
    """The enrichment table of some lists under the run's settings."""
    return over_representation(
        lists, bench.collection(settings.collection), background, settings.family,
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


def feature_table(
    genes: AnnData, cells: AnnData, lists: Lists, table: pd.DataFrame, alpha: float
) -> tuple[pd.DataFrame, TypeSpecificity | None, pd.DataFrame]:
    """One row a feature, in the order of ``genes``: firing, footprint, best program, best cell type; then how many
    features tell types apart, and each feature's place among the types."""
    names = list(genes.obs_names)
    obs = cast(pd.DataFrame, genes.obs)
    columns = obs[["firing_rate", "participation_ratio", "gene_share", "state_share"]].reset_index(drop=True)
    labels = best_terms(table, names, alpha).drop(columns="feature")
    found, types = _types(cells)
    apart = {
        "type_share": found[0].share if found else np.full(len(names), np.nan),
        "type_padj": found[0].padj if found else np.full(len(names), np.nan),
    }
    rows = pd.concat([pd.DataFrame({
        "feature": [int(name) for name in names],
        "set_size": [len(lists.get(name, ())) for name in names],
        "top_genes": [", ".join(lists.get(name, ())[:TOP_GENES]) for name in names],
    }), columns, labels, _cell_types(cells, names), pd.DataFrame(apart)], axis=1)  # fmt: skip
    specificity = type_specificity(rows, *found) if found and (rows["firing_rate"] > 0).any() else None
    return rows, specificity, pd.concat([rows[["feature"]], types], axis=1)


def _types(cells: AnnData) -> tuple[tuple[Specificity, dict[str, int]] | None, pd.DataFrame]:
    """How far features differ between the types of labelled cells; nothing where these are too few."""
    labels = np.asarray(cells.obs["cell_type"], dtype=str) if "cell_type" in cells.obs else np.array([])
    known = labels != UNLABELLED
    counts = {str(k): int(n) for k, n in pd.Series(labels[known]).value_counts().items()}
    if len(counts) < 2 or known.sum() <= len(counts):
        return None, pd.DataFrame()
    activation, labels = sp.csr_matrix(cast(Any, cells.X))[known], labels[known]
    return (between_types(activation, labels), counts), type_contrast(activation, labels)


def type_specificity(features: pd.DataFrame, found: Specificity, types: dict[str, int]) -> TypeSpecificity:
    """How many of the features that fire exceed the share that shuffled labels exceed once in twenty."""
    fires = features[features["firing_rate"] > 0]
    n, passed = len(fires), int((fires["type_share"] > found.chance).sum())
    interval = binomtest(passed, n).proportion_ci(method="wilson")
    low, high = binom.interval(0.95, n, LEVEL)
    return TypeSpecificity(
        types, found.chance, n, passed / n, (float(interval.low), float(interval.high)), LEVEL,
        (float(low) / n, float(high) / n),
    )  # fmt: skip


def _cell_types(cells: AnnData, names: list[str]) -> pd.DataFrame:
    if "cell_type" not in cells.obs or cells.obs["cell_type"].nunique() < 2:
        return pd.DataFrame({"top_cell_type": [""] * len(names), "auroc": 0.5})
    return top_cell_types(cells).filter(["top_cell_type", "auroc"])
