"""A label for every feature: chosen on some cells, judged on others beside labels like it.

Notable choices

- Whatever is chosen, program, genes, sign and kind of label, is chosen on the first cells; nothing of the others is
  seen. Lists of genes are made anew there.
- Chance is a label like the feature's own: genes of the same mean expression and detection, or as many cells, drawn at
  random: p = (1 + b) / (1 + n) for b of n that do as well, corrected over features (Benjamini and Hochberg). Whoever
  follows a cell's depth is foretold by any frequent genes, and such a label is not shown.
- What the labels of other features foretell of it is said beside it: many features share a label.
- A label that is not shown is kept in the table with its numbers.
"""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Float, Int
from scipy.stats import false_discovery_control

from cellprism.cells.datasets import DATASETS
from cellprism.cells.read import read_cells
from cellprism.enrich.labels import UNLABELLED
from cellprism.enrich.matched_lists import gene_levels, matched_groups
from cellprism.enrich.membership import Terms, term_table
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.report.frames import numbers, where
from cellprism.store.place import as_given
from cellprism.studies.adds.halves import Halves, halves_of
from cellprism.studies.adds.reading import read_directions
from cellprism.studies.files import read_h5ad
from cellprism.studies.naming.candidates import Cells, by_genes, by_type, can_be_told, cells_of, leading_genes, like_it
from cellprism.studies.naming.settings import NamingSettings
from cellprism.studies.naming.tables import FEATURE_COLUMNS, GENES, KINDS, TERM, TYPE, Found, Labels
from cellprism.studies.programs.gene_lists import list_background
from cellprism.studies.programs.tables import CELLS, read_genes
from cellprism.studies.workbench import Workbench

NAMED, OWN = 3, 10  # genes of a label, and of the list that is used directly
FEWEST = 8  # cells of a type
LEVEL = 0.05


def work(bench: Workbench, settings: NamingSettings) -> Found:
    """Choose labels and judge them."""
    halves = halves_of(bench.cells, bench.tokens.counts, settings.cells, bench.config.seed)
    every: Any = sp.csr_matrix(read_h5ad(bench.folder_of("programs") / CELLS).X)[halves.rows]
    activation = np.asarray(every.todense(), dtype=np.float64)
    first = np.ones(len(halves.rows), dtype=bool) if settings.other else halves.first
    chosen_on, judged_on, donors = halves.cells[first].copy(), halves.cells[~first].copy(), "cells"
    judged = activation[~first]
    if settings.other:
        judged_on = read_cells(settings.other, bench.model)
        donors = settings.other if settings.other in DATASETS else as_given(settings.other, bench.folder)
        with bench.bar("reading cells of another donor", None):
            judged_on, judged = _activation(bench, judged_on, settings.cells)
    elif halves.by_donor:
        donors = "donors"
    tested = bench.settings("programs")
    collection = bench.collection(tested.collection)
    genes = read_genes(bench.folder_of("programs"))
    shared = judged_on.var_names.intersection(chosen_on.var_names)
    background = tuple(g for g in list_background(genes, chosen_on, tested.gene_filter) if g in shared)
    terms = term_table(collection, background, max(tested.min_term_size, NAMED))
    types = _types(chosen_on, judged_on)
    one, other = (
        cells_of(some, some.var_names.get_indexer(pd.Index(list(terms.gene))), values, types)
        for some, values in ((chosen_on, activation[first]), (judged_on, judged))
    )
    with bench.bar("choosing labels", None):
        levels = gene_levels(chosen_on, terms.gene)
        table = labelled(one, other, terms, types, matched_groups(levels), settings.draws, bench.config.seed)
    labels = _summary(table, (chosen_on.n_obs, judged_on.n_obs), donors, collection.name, terms, types, settings.draws)
    return Found(labels, table)


def _activation(bench: Workbench, cells: AnnData, most: int) -> tuple[AnnData, Float[np.ndarray, "cell feature"]]:
    """Some of the cells, and each feature's mean activation in them."""
    memory = bench.config.train.memory
    tokens = CellTokens(bench.model, cells, [bench.config.layer], memory=memory, batch_size=bench.cells_a_pass())
    drawn = halves_of(cells, tokens.counts, most, bench.config.seed)
    whole = Halves(drawn.rows, drawn.cells, np.ones(len(drawn.rows), dtype=bool), False)
    return drawn.cells, np.asarray(read_directions(tokens, bench.sae, whole).cells.todense(), dtype=np.float64)


def _types(one: AnnData, other: AnnData) -> list[str]:
    """Cell types with enough cells in both."""
    counts = [
        Counter(cells.obs["cell_type"].astype(str)) if "cell_type" in cells.obs else Counter() for cells in (one, other)
    ]
    return sorted(name for name, n in counts[0].items() if name != UNLABELLED and min(n, counts[1][name]) >= FEWEST)


def labelled(
    one: Cells,
    other: Cells,
    terms: Terms,
    types: list[str],
    group: Int[np.ndarray, " gene"],
    draws: int,
    seed: int,
) -> pd.DataFrame:
    """Labels chosen on the first cells and judged on the other ones: FEATURE_COLUMNS."""
    features = np.flatnonzero(can_be_told(one) & can_be_told(other))
    if not len(features):
        return pd.DataFrame(columns=pd.Index(list(FEATURE_COLUMNS)))
    a, b = _some(one, features), _some(other, features)
    genes, names = leading_genes(a, OWN), np.array(list(terms.gene), dtype=object)
    choices = {GENES: _choice_of_genes(a, b, genes[:, :NAMED], names)}
    choices[TERM] = _choice(by_genes(a, terms.member), by_genes(b, terms.member), list(terms.names))
    if types:
        choices[TYPE] = _choice(by_type(a, len(types)), by_type(b, len(types)), types)
    table = pd.DataFrame({"feature": features})
    for kind in KINDS:
        label, _, _, judged = choices.get(kind, _none(len(features)))
        table[f"{kind}_label"], table[f"{kind}_auroc"] = label, np.diagonal(judged)
    kinds = np.array(list(choices), dtype=object)
    best = np.argmax([choices[kind][2] for kind in kinds], axis=0)
    at = np.arange(len(features))
    table["kind"] = kinds[best]
    for place, name in enumerate(("label", "sign", "chosen")):
        table[name] = np.array([choices[kind][place] for kind in kinds], dtype=object)[best, at]
    table["chosen"] = table["chosen"].astype(float)
    judged = np.stack([choices[kind][3] for kind in kinds])[best, at]  # [label feature]
    table["auroc"] = np.diagonal(judged)
    table["others"] = others(judged, (table["sign"] + " " + table["label"]).to_numpy())
    table["chance"], table["p"] = _beside(b, table, genes[:, :NAMED], terms, types, group, draws, seed)
    table["q"] = false_discovery_control(table["p"])
    table["shown"] = (table["q"] < LEVEL) & (table["auroc"] > 0.5)
    table["own_genes"] = [", ".join(row) for row in names[genes]]
    table["own_genes_auroc"] = np.diagonal(by_genes(b, _sets(genes, len(names))))
    return table.loc[:, list(FEATURE_COLUMNS)]


Choice = tuple[Any, Any, Float[np.ndarray, " feature"], Float[np.ndarray, "label feature"]]
"""Of each feature its label, sign and AUROC on the cells that chose, and the AUROC of its label with every feature on
the others."""


def _choice(
    chosen: Float[np.ndarray, "candidate feature"], judged: Float[np.ndarray, "candidate feature"], names: list[str]
) -> Choice:
    """The candidate that tells each feature best, where it holds or where it does not."""
    best = np.argmax(np.abs(chosen - 0.5), axis=0)
    value = chosen[best, np.arange(chosen.shape[1])]
    low = value < 0.5
    theirs = np.where(low[:, None], 1 - judged[best], judged[best])
    label = np.array(names, dtype=object)[best]
    return label, np.where(low, "low", "high").astype(object), np.where(low, 1 - value, value), theirs


def _choice_of_genes(a: Cells, b: Cells, genes: Int[np.ndarray, "feature n"], names: Any) -> Choice:
    """Each feature's own leading genes."""
    sets = _sets(genes, len(names))
    label = np.array([", ".join(row) for row in names[genes]], dtype=object)
    return label, np.array(["high"] * len(genes), dtype=object), np.diagonal(by_genes(a, sets)), by_genes(b, sets)


def _none(features: int) -> Choice:
    missing = np.full(features, np.nan)
    return np.array([""] * features, dtype=object), None, missing, np.diag(missing)


def _sets(genes: Int[np.ndarray, "feature n"], n_genes: int) -> sp.csr_matrix:
    features, n = genes.shape
    rows = np.repeat(np.arange(features), n)
    return sp.csr_matrix((np.ones(rows.size), (rows, genes.ravel())), shape=(features, n_genes))


def _some(cells: Cells, features: Int[np.ndarray, " feature"]) -> Cells:
    return Cells(cells.expression, cells.activation[:, features], cells.active[:, features], cells.types)


def _beside(
    cells: Cells,
    table: pd.DataFrame,
    genes: Int[np.ndarray, "feature n"],
    terms: Terms,
    types: list[str],
    group: Any,
    draws: int,
    seed: int,
) -> tuple[Float[np.ndarray, " feature"], Float[np.ndarray, " feature"]]:
    """Mean AUROC of labels like each feature's own, and the p-value of its own among them; ``genes`` are those of each
    feature's label where it is one of genes."""
    low = (table["sign"] == "low").to_numpy()
    labels, number = np.unique((table["kind"] + " " + table["label"]).to_numpy(), return_inverse=True)
    rows = np.unique(number, return_index=True)[1]
    first = table.iloc[rows]
    places: list[list[int]] = []
    for row, kind, label in zip(rows, first["kind"], first["label"], strict=True):
        if kind == GENES:
            places.append(genes[row].tolist())
        else:
            places.append(list(terms.member[[terms.names.index(label)]].indices) if kind == TERM else [])
    member = sp.csr_matrix(
        (np.ones(sum(map(len, places))), np.concatenate([np.asarray(p, dtype=np.int64) for p in places]),
         np.cumsum([0, *map(len, places)])),
        shape=(len(labels), len(terms.gene)),
    )  # fmt: skip
    of_type = np.array(
        [types.index(x) if k == TYPE else -1 for k, x in zip(first["kind"], first["label"], strict=True)]
    )
    drawn = np.stack([like_it(cells, number, member, of_type, group, [seed, 71, i]) for i in range(draws)])
    drawn[:, low] = 1 - drawn[:, low]
    as_well = (drawn >= table["auroc"].to_numpy() - 1e-12).sum(axis=0)
    return drawn.mean(axis=0), (1 + as_well) / (1 + draws)


def others(judged: Float[np.ndarray, "label feature"], labels: Any) -> Float[np.ndarray, " feature"]:
    """Median AUROC with which the labels of other features foretell each; each different label counts once."""
    names, which, number = np.unique(labels, return_index=True, return_inverse=True)
    other = np.arange(len(names))[:, None] != number[None, :]
    if len(names) == 1:
        return np.full(judged.shape[1], np.nan)
    return np.nanmedian(np.where(other, judged[which], np.nan), axis=0)


def _summary(
    table: pd.DataFrame,
    cells: tuple[int, int],
    donors: str,
    collection: str,
    terms: Terms,
    types: list[str],
    draws: int,
) -> Labels:
    shown = where(table, table["shown"])
    auroc, chance, beside, own = (
        float(np.median(values)) if (values := numbers(table, name))[np.isfinite(values)].size else None
        for name in ("auroc", "chance", "others", "own_genes_auroc")
    )
    return Labels(
        *cells, donors, collection, len(terms.names), len(types), len(table),
        len(set(table["sign"] + " " + table["label"])), draws, len(shown),
        auroc, chance, beside, own,
        {kind: int((shown["kind"] == kind).sum()) for kind in KINDS},
    )  # fmt: skip
