"""Features to gene programs, beside every null and control that the run can afford.

- Lists: by one rule (``enrich.list_rules``), from genes that pass the filter and that enough cells express; these genes
  are the background of every test here.
- A model that reads a cell as a whole has no token of a gene: activation at a gene is that in the cells in which the
  gene is high, for features and controls alike.
- Random lists (uniform, popularity, use of genes, co-expression) have the features' own sizes. An untrained autoencoder
  and the model's neurons get lists by the same rule from their own tables, where they have what it takes.
- The rule decides the rate more than what made the features: co-expression modules, which are lists by correlation over
  cells, stand beside features whose lists are made by that rule too.
- Features on cells of pure noise (``noise``) are shown beside them and are no null.
- What is judged are lists of one length, over autoencoders of several seeds (``seeds``); other rates are shown.
"""

from dataclasses import asdict, replace
from typing import Any, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from anndata import AnnData

from cellprism.display import in_bytes
from cellprism.enrich.dependence import independent_lists, wilson
from cellprism.enrich.distinct import Coverage, coverage, representatives
from cellprism.enrich.labels import UNLABELLED, best_terms, top_cell_types
from cellprism.enrich.list_rules import Directions, own_lists
from cellprism.enrich.membership import information_in, term_table
from cellprism.enrich.nulls import NULLS, NullRates
from cellprism.enrich.over_representation import annotated_rate, over_representation
from cellprism.enrich.signs import signs
from cellprism.equations.effects import permutation_p
from cellprism.features.baselines import neuron_genes
from cellprism.features.collect import FeatureStatistics, feature_statistics
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.models.passes import free_memory
from cellprism.studies.programs.chance import chance_rates
from cellprism.studies.programs.controls import UNTRAINED, Found, control_lists
from cellprism.studies.programs.gene_lists import BY_CELL, BY_TOKEN, Lists, list_background
from cellprism.studies.programs.seeds import RANDOM, further_autoencoders, listed, seed_excesses
from cellprism.studies.programs.settings import ProgramsSettings
from cellprism.studies.programs.sought import sought
from cellprism.studies.programs.specificity import (
    DEALT,
    PERMUTATIONS,
    Specificity,
    between_types,
    chance_share,
    shuffled_shares_apart,
    some_of_each,
    type_contrast,
)
from cellprism.studies.programs.tables import Programs, Seeds, TypeSpecificity
from cellprism.studies.programs.types_beside import types_beside
from cellprism.studies.workbench import Workbench

TOP_GENES = 20
SHOWN = 39  # families of random lists, of lengths that are shown but not judged
SAID = 1 << 30  # bytes from which it is said what is held
SAME_SIZE = 0.5  # lists are compared where they are at most this much longer or shorter, as a share


def work(bench: Workbench, settings: ProgramsSettings) -> Programs:
    """Collect features over genes and cells, test their gene lists, and score every null."""
    cells, tokens, seed = bench.cells, bench.tokens, bench.config.seed
    if (plan := planned(cells.n_vars, bench.sae.n_features, counts_of(cells.X)))[0] > SAID:
        bench.say(f"{plan[1]}; {in_bytes(free_memory(torch.device('cpu')))} are free")
    with bench.bar("collecting features", cells.n_obs) as advance:
        found = feature_statistics(bench.model, bench.sae, cells, bench.config.layer, progress=advance, tokens=tokens)
    background = list_background(found.genes, cells, settings.gene_filter)
    lists = own_lists(Directions(found.genes, found.cells, cells), settings.rule, background)
    table = tested(lists, bench, settings, background)
    covered = _covered(table, lists, bench, settings, background)
    with bench.bar("programs looked for by name", None):
        collection = bench.collection(settings.collection)
        by_name = sought(lists, table, collection, background, cells, settings, seed, bench.modules)
    further = further_autoencoders(bench, settings.seeds - 1)
    controls = control_lists(bench, background, further)
    rows, nulls, fixed = _rates(bench, settings, found, lists, table, background, controls)
    rows = compared(rows, by_cell=not tokens.are_genes or settings.rule == "correlation")
    features, specificity, types = feature_table(found.genes, found.cells, cells, lists, table, settings.alpha, seed)
    # neurons have no seed
    every = [fixed, *({rule: {**fixed[rule], **some} for rule, some in one.items()} for one in controls.further)]
    with bench.bar("drawing random lists for other seeds", None):
        rate_of = {row["name"]: row for row in rows}
        excesses = seed_excesses(every, rate_of, collection, background, cells, settings, seed, bench.modules)
    with bench.bar("directions that nobody trained, between types", None):
        apart = types_beside(tokens, [bench.sae, *further], cells, settings.draws, seed)
    counted = table.attrs["cellprism"]
    return Programs(
        features, list_table(lists), table, nulls.summary, types, specificity, apart,
        seeds=Seeds([seed + i for i in range(settings.seeds)], excesses), sought=by_name,
        rates={
            "rows": rows, "family": settings.family,
            "alpha": settings.alpha, "collection": collection.name, "n_terms": counted["terms_tested"],
            "background_size": len(background), "gene_filter": settings.gene_filter, "rule": settings.rule,
            "outside_background": {k: counted[k] for k in ("list_genes_outside", "term_genes_outside")},
            "residual_variance": found.residual, "coverage": asdict(covered), "gene_sets": counted["gene_sets"],
        },
        sources={term: collection.source.get(term, "") for term in sorted(set(table["term"]))},
        matrices=(found.genes, found.cells),
    )  # fmt: skip


def planned(genes: int, features: int, counts: int) -> tuple[int, str]:
    """Bytes that are held at once, about, and how they come together in words.

    Args:
        genes: columns of the cells.
        features: of the autoencoder; tables of as many untrained ones and of neurons stand beside theirs.
        counts: of the cells that are not zero.
    """
    parts = {"counts": 8 * counts, "features by genes": 4 * 16 * features * genes, "genes by genes": 16 * genes**2}
    said = ", ".join(f"{name} {in_bytes(size)}" for name, size in parts.items())
    return sum(parts.values()), f"programs hold about {in_bytes(sum(parts.values()))} of memory: {said}"


def counts_of(x: Any) -> int:
    """Stored values of a matrix."""
    return int(x.nnz) if sp.issparse(x) else int(np.prod(x.shape))


def _covered(
    table: pd.DataFrame, lists: Lists, bench: Workbench, settings: ProgramsSettings, background: tuple[str, ...]
) -> Coverage:
    """What the features' lists cover together; each row of the table gets the term that stands for its own."""
    collection = bench.collection(settings.collection)
    terms = term_table(collection, background, settings.min_term_size)
    standing = representatives(terms.member, information_in(terms, collection))
    stands_for = {name: terms.names[other] for name, other in zip(terms.names, standing, strict=True)}
    named = [stands_for[term] for term in table["term"]]
    table.insert(list(table).index("term") + 1, "represented_by", pd.Series(named, dtype="str"))
    return coverage(table, lists, terms, standing, settings.alpha)


def _rates(
    bench: Workbench,
    settings: ProgramsSettings,
    found: FeatureStatistics,
    lists: Lists,
    table: pd.DataFrame,
    background: tuple[str, ...],
    controls: Found,
) -> tuple[list[dict[str, Any]], NullRates, dict[str, dict[str, Lists]]]:
    """Rows of ``rates.json`` of the run's own autoencoder, what chance gives for its own lists, and its lists of one
    length with those of its controls."""
    cells, tokens = bench.cells, bench.tokens
    with bench.bar("drawing random lists", None):
        shown = replace(settings, replicates=min(settings.replicates, SHOWN))
        nulls = chance_rates(bench, lists, NULLS, shown, background)
    rows = [rate_row("features", lists, table, settings.alpha), *null_rows(nulls)]
    with bench.bar("neurons", None):
        neurons = _neurons(bench, tokens)
    made = {name: own_lists(Directions(one, None, cells), settings.rule, background) for name, one in neurons.items()}
    for name, some in {UNTRAINED: controls.untrained, **made}.items():
        if some:
            rows.append(_scored(name, some, bench, settings, background))
    with bench.bar("drawing random lists of one length", None):
        own = listed({"features": found}, neurons, cells, background)
        fixed = {
            rule: {"features": own[rule]["features"], **some, **own[rule]} for rule, some in controls.beside.items()
        }
        rows += _fixed_rows(fixed, bench, settings, background)
    rows += [_scored(name, some, bench, settings, background) for name, some in controls.noise.items() if some]
    return rows, nulls, fixed


def compared(rows: list[dict[str, Any]], by_cell: bool = False) -> list[dict[str, Any]]:
    """The rows, each with the row of features that it is compared with: that of the same list rule. It is a fair
    comparison where lists are about equally long, since long lists match more easily, and made alike: the features' own
    lists are by correlation over cells, as co-expression modules are, only where ``by_cell``. Controls of a rule by
    which features have no lists are left out."""
    features = {_rule(row): row for row in rows if row["name"].startswith("features")}
    found = []
    for row in rows:
        ours = features.get(_rule(row))
        if ours is None:
            continue
        alike = by_cell or row["name"] != "coexpression"
        found.append({**row, "against": ours["name"], "comparable": alike and _as_long(row, ours)})
    return found


def _rule(row: dict[str, Any]) -> str:
    """How the lists of a row are made: after the comma of its name where they have a fixed length."""
    _, _, rule = row["name"].rpartition(", ")
    return rule if rule.endswith((BY_TOKEN.format(""), BY_CELL.format(""))) else ""


def _as_long(row: dict[str, Any], other: dict[str, Any]) -> bool:
    return abs(row["mean_set_size"] - other["mean_set_size"]) <= SAME_SIZE * other["mean_set_size"]


def list_table(lists: Lists) -> pd.DataFrame:
    """feature, rank, gene; strongest first."""
    rows = [(int(name), rank, gene) for name, genes in lists.items() for rank, gene in enumerate(genes)]
    return pd.DataFrame(rows, columns=pd.Index(["feature", "rank", "gene"]))


def tested(lists: Lists, bench: Workbench, settings: ProgramsSettings, background: tuple[str, ...]) -> pd.DataFrame:
    """The enrichment table of some lists under the run's settings."""
    return over_representation(
        lists, bench.collection(settings.collection), background, settings.family,
        min_term_size=settings.min_term_size, background_name=f"genes passing {settings.gene_filter!r}",
    )  # fmt: skip


def rate_row(name: str, lists: Lists, table: pd.DataFrame, alpha: float) -> dict[str, Any]:
    """Annotated rate with its interval, like lists counted once, and how many different terms stand behind it."""
    rate, worth = annotated_rate(table, len(lists), alpha), independent_lists(lists)
    sizes = [len(genes) for genes in lists.values()]
    return {
        "name": name, "rate": rate, "interval": list(wilson(rate, worth)), "replicates": 1,
        "n_lists": len(lists), "independent_lists": worth, "mean_set_size": sum(sizes) / len(sizes),
        "distinct_terms": int(table.loc[table["padj"] < alpha, "term"].nunique()),
    }  # fmt: skip


def _scored(
    name: str, lists: Lists, bench: Workbench, settings: ProgramsSettings, background: tuple[str, ...]
) -> dict[str, Any]:
    return rate_row(name, lists, tested(lists, bench, settings, background), settings.alpha)


def _fixed_rows(
    lists: dict[str, dict[str, Lists]], bench: Workbench, settings: ProgramsSettings, background: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Features, controls and random lists, all of one length, by each rule."""
    rows = []
    for rule, by_name in lists.items():
        if not by_name["features"]:
            continue
        rows += [
            _scored(f"{name}, {rule}", some, bench, settings, background) for name, some in by_name.items() if some
        ]
        (nulls,) = (nulls for ending, nulls in RANDOM.items() if rule.endswith(ending))
        rows += null_rows(chance_rates(bench, by_name["features"], nulls, settings, background), f", {rule}")
    return rows


def null_rows(nulls: NullRates, rule: str = "") -> list[dict[str, Any]]:
    """Rows of random lists: the mean rate, where 95 % of families lie, what features exceed it by."""
    by_null = nulls.summary.pivot(index="null", columns="measure")
    rates = nulls.summary[nulls.summary["measure"] == "annotated_rate"]
    drawn = {str(null): rows["annotated_rate"].to_numpy() for null, rows in nulls.replicates.groupby("null")}
    return [
        {
            "name": row["null"] + rule, "rate": row["mean"], "interval": [row["low"], row["high"]],
            "replicates": int(row["replicates"]), "n_lists": int(row["n_lists"]),
            "mean_set_size": float(row["mean_set_size"]),
            "distinct_terms": float(by_null.loc[row["null"], ("mean", "distinct_terms")]),
            "excess": row["excess"], "excess_interval": [row["excess_low"], row["excess_high"]],
            "p_value": permutation_p(float(cast(Any, row["observed"])), drawn[str(row["null"])]),
        }
        for _, row in rates.iterrows()
    ]  # fmt: skip


def _neurons(bench: Workbench, tokens: CellTokens) -> dict[str, AnnData]:
    """Tables of the raw neurons, tails apart (E8)."""
    model, cells, layer = bench.model, bench.cells, bench.config.layer
    controls = {"neurons": neuron_genes(model, cells, layer, tokens=tokens)}
    if tokens.are_genes:
        controls["neurons, gene means removed"] = neuron_genes(model, cells, layer, sae=bench.sae, tokens=tokens)
    return controls


def feature_table(
    genes: AnnData, cells: AnnData, counts: AnnData, lists: Lists, table: pd.DataFrame, alpha: float, seed: int = 0
) -> tuple[pd.DataFrame, TypeSpecificity | None, pd.DataFrame]:
    """One row a feature, in the order of ``genes``: firing, footprint, best program, best cell type, sign; then how
    many features tell types apart, and each feature's place among the types. ``counts`` are those of ``cells``."""
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
    }), columns, labels, _cell_types(cells, names), pd.DataFrame(apart), signs(cells, counts, lists, alpha)],
        axis=1)  # fmt: skip
    fires = (rows["firing_rate"] > 0).to_numpy()
    specificity = None
    if found and fires.any():
        kinds = np.asarray(cells.obs["cell_type"], dtype=str)
        known = np.flatnonzero(kinds != UNLABELLED)
        dealt = known[some_of_each(kinds[known], DEALT, seed)]
        shuffled = shuffled_shares_apart(
            sp.csr_matrix(cast(Any, cells.X))[dealt][:, fires], kinds[dealt], chance_share(kinds[dealt]), PERMUTATIONS,
            seed,
        )  # fmt: skip
        specificity = type_specificity(rows, *found, shuffled, len(dealt))
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


def type_specificity(
    features: pd.DataFrame, found: Specificity, types: dict[str, int], shuffled: np.ndarray, dealt: int
) -> TypeSpecificity:
    """How many of the features that fire exceed the share that one feature in twenty exceeds under shuffled labels;
    ``shuffled`` is how many of them do so together, for each permutation of the labels of ``dealt`` cells."""
    fires = features[features["firing_rate"] > 0]
    share = float((fires["type_share"] > found.chance).mean())
    low, high = np.percentile(shuffled, [2.5, 97.5])
    return TypeSpecificity(
        types, found.chance, len(fires), share, float(np.mean(shuffled)), (float(low), float(high)),
        permutation_p(share, shuffled), len(shuffled), dealt,
    )  # fmt: skip


def _cell_types(cells: AnnData, names: list[str]) -> pd.DataFrame:
    if "cell_type" not in cells.obs or cells.obs["cell_type"].nunique() < 2:
        return pd.DataFrame({"top_cell_type": [""] * len(names), "auroc": 0.5})
    return top_cell_types(cells).filter(["top_cell_type", "auroc"])
