"""Features by the cells in which they are high: genes, terms, rare cells, and what a model predicts when one is set
high.

Notable choices

- Everything is read twice: from the run's autoencoder and, by the same rules and on the same cells, from dictionaries
  that nobody trained. Cells high in any function of the counts have differential genes and terms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellprism.cells.expression import log1p_cp10k
from cellprism.enrich.gene_sets import background_genes
from cellprism.enrich.labels import UNLABELLED
from cellprism.enrich.over_representation import over_representation
from cellprism.enrich.term_tests import DOWN, UP, sized
from cellprism.equations.effects import permutation_p
from cellprism.errors import ConfigError
from cellprism.features.collect import feature_statistics
from cellprism.ontology.collection import Collection
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.dose_cells import read_dose_cells
from cellprism.steering.response import top_moved
from cellprism.studies.files import read_h5ad
from cellprism.studies.lens.genes import Read, read_features
from cellprism.studies.lens.high_cells import high_cells
from cellprism.studies.lens.locality import Locality, locality, neighbour_graph
from cellprism.studies.lens.set_high import Candidate, SetHigh, dictionary_cells, set_high
from cellprism.studies.lens.settings import LensSettings
from cellprism.studies.lens.tables import TABLES, Lens, Moved, RareCells, Summary
from cellprism.studies.programs.tables import CELLS
from cellprism.studies.steer.beside import random_dictionaries
from cellprism.studies.steer.work import cannot_steer
from cellprism.studies.workbench import Workbench

BATCH, LEAST_EFFECT, TOP = 16, 1e-3, 20


@dataclass(frozen=True, eq=False)
class World:
    """What all dictionaries are read by."""

    expression: Any
    """log1p counts per ten thousand [cell gene], of the genes tested."""
    names: tuple[str, ...]
    terms: dict[str, tuple[str, ...]]
    graph: sp.csr_matrix
    kinds: np.ndarray
    """Type of each cell; one for all without labels."""

    def features(self, activation: Any, settings: LensSettings) -> Read:
        """Features of some activations [cell feature], read."""
        return read_features(self.expression, self.names, high_cells(activation, settings), self.terms, settings)

    def rare(self, read: Read, settings: LensSettings, seed: int) -> Locality | None:
        """Whether their high cells lie together; None without features."""
        if not len(read.cells.features):
            return None
        return locality(read.cells.high, self.graph, self.kinds, settings.draws, seed)


def work(bench: Workbench, settings: LensSettings) -> Lens:
    """Read the run's features and those of random dictionaries, then set some high."""
    cells, seed = bench.cells, bench.config.seed
    z = read_h5ad(bench.folder_of("programs") / CELLS)
    _check_features(settings.features, z.n_vars)
    world = _world(bench, settings)
    with bench.bar("differential genes of every feature", None):
        own = world.features(z.X, settings)
        rare = world.rare(own, settings, seed)
    dictionaries = random_dictionaries(bench)
    others: list[Read] = []
    beyond: list[float] = []
    with bench.bar("features of random dictionaries", len(dictionaries)) as advance:
        for number, dictionary in enumerate(dictionaries):
            found = feature_statistics(bench.model, dictionary, cells, bench.config.layer, tokens=bench.tokens)
            others.append(world.features(found.cells.X, settings))
            its = world.rare(others[-1], settings, seed + 1 + number)
            beyond += [its.beyond] if its else []
            advance(number + 1)
    fires = int((sp.csc_matrix(z.X).getnnz(axis=0) > 0).sum())
    summary = Summary(
        cells.n_obs, len(world.names), fires, len(own.cells.features), settings.high, settings.low, settings.against,
        settings.fewest, settings.test, settings.terms, collection_of(bench).name, len(world.terms),
        settings.alpha, own.share, [one.share for one in others],
        None if rare is None else rare_record(rare, len(set(world.kinds)) > 1, settings.alpha, beyond),
    )  # fmt: skip
    summary, moved = _moved(bench, settings, summary, own, world, dictionaries, others)
    return Lens(summary, _feature_rows(own, rare, world, settings), own.genes, own.terms, moved)


def _check_features(features: Sequence[int], n: int) -> None:
    """Refuse features that there are not. Raises ``ConfigError``."""
    if wrong := [f for f in features if not 0 <= f < n]:
        raise ConfigError(f"lens.features names {wrong[0]}: this autoencoder has features 0 to {n - 1}")


def collection_of(bench: Workbench) -> Collection:
    """The gene sets of the programs, which terms of high cells come from too."""
    return bench.collection(bench.settings("programs").collection)


def _world(bench: Workbench, settings: LensSettings) -> World:
    cells = bench.cells
    names = background_genes(cells, bench.settings("programs").gene_filter)
    terms = sized(collection_of(bench), names, *settings.term_sizes)
    expression = log1p_cp10k(cells)[:, cells.var_names.get_indexer(pd.Index(names))]
    labelled = "cell_type" in cells.obs
    kinds = cells.obs["cell_type"].astype(str).to_numpy() if labelled else np.full(cells.n_obs, "")
    with bench.bar("neighbours in the counts", None):
        graph = neighbour_graph(cells, settings.components, settings.neighbours, bench.config.seed)
    return World(expression, tuple(names), terms, graph, kinds)


def rare_record(found: Locality, by_type: bool, alpha: float, untrained: list[float]) -> RareCells:
    """How many features are high in cells that lie together, beside the draws."""
    low, high = np.quantile(found.drawn, [0.025, 0.975])
    return RareCells(
        int(found.local(alpha).sum()), found.beyond, float(found.drawn.mean()), (float(low), float(high)),
        permutation_p(found.beyond, found.drawn), len(found.drawn), by_type, untrained,
    )  # fmt: skip


def _feature_rows(own: Read, rare: Locality | None, world: World, settings: LensSettings) -> pd.DataFrame:
    """One row a feature that could be read, see ``tables.TABLES``."""
    if rare is None:
        return pd.DataFrame(columns=pd.Index(list(TABLES["features"])))
    cells, features = own.cells, own.cells.features.tolist()
    best = own.terms.drop_duplicates("feature").set_index("feature").reindex(features)
    names, share = _types(own, world)
    return pd.DataFrame({
        "feature": features, "high": cells.high.sum(axis=0), "low": cells.low_counts,
        "up": [len(own.lists.get((f, UP), ())) for f in features],
        "down": [len(own.lists.get((f, DOWN), ())) for f in features],
        "term": best["term"].fillna("").to_numpy(dtype=str), "term_padj": best["padj"].fillna(1.0).to_numpy(float),
        "direction": best["direction"].fillna("").to_numpy(dtype=str), "high_in": names, "type_share": share,
        "neighbours": rare.share, "expected": rare.expected, "p": rare.p, "q": rare.q,
        "local": rare.local(settings.alpha),
    })  # fmt: skip


def _types(own: Read, world: World) -> tuple[list[str], np.ndarray]:
    """The type that most of a feature's high cells are of, and its share of them; nothing without labels."""
    kinds = np.unique(world.kinds[world.kinds != UNLABELLED])
    if len(kinds) < 2:
        return [""] * len(own.cells.features), np.full(len(own.cells.features), np.nan)
    of = np.stack([own.cells.high[world.kinds == kind].sum(axis=0) for kind in kinds])
    most = of.argmax(axis=0)
    return [str(kinds[i]) for i in most], of.max(axis=0) / own.cells.high.sum(axis=0)


def _moved(
    bench: Workbench, settings: LensSettings, summary: Summary, own: Read, world: World,
    dictionaries: Sequence[SparseAutoencoder], others: Sequence[Read],
) -> tuple[Summary, pd.DataFrame]:  # fmt: skip
    """Set chosen features high; where there are none, say why."""
    best = {f: term for term, f in reversed(own.best().items())}
    chosen = tuple(dict.fromkeys(settings.features)) or drawn_features(own, settings.set_high, bench.config.seed)
    why = cannot_steer(bench) or ("" if chosen else "no feature's differential genes match a term")
    if not settings.features and not settings.set_high:
        why = "none was asked for"
    if why:
        return replace(summary, not_moved=why), moved_table([])
    cells = bench.some_cells(settings.cells)
    dose_cells = read_dose_cells(bench.model, bench.sae, cells, bench.config.layer, BATCH, [])
    by_dictionary, genes = dictionary_cells(dose_cells, dictionaries), dose_cells.cache.genes
    records: list[Moved] = []
    rows: list[tuple] = []
    with bench.bar("setting features high", len(chosen)) as advance:
        for number, feature in enumerate(chosen):
            term, list_ = best.get(feature) or own.term(feature), own.lists.get((feature, UP), ())
            some = candidates(others, term, feature in best)
            found = set_high(dose_cells, feature, list_, settings.high, by_dictionary, some, settings.controls)
            if found is not None:
                records.append(moved_record(feature, term, found, genes, world.terms, settings.alpha))
                rows += _moved_rows(feature, found, genes)
            advance(number + 1)
    said = "" if records else "none of the chosen features has differential genes that the model predicts"
    summary = replace(
        summary, moved=records, not_moved=said, set_cells=cells.n_obs, hidden=dose_cells.cache.read == "hidden"
    )
    return summary, moved_table(rows)


def drawn_features(own: Read, count: int, seed: int) -> tuple[int, ...]:
    """Features that are the best for some term, the terms drawn at random: the surest of all would stand beside
    controls that are the best of any term."""
    terms = np.random.default_rng([seed, 79]).permutation(sorted(own.best()))
    return tuple(dict.fromkeys(own.best()[term] for term in terms))[:count]


def candidates(others: Sequence[Read], term: str, best: bool = True) -> list[Candidate]:
    """Features of random dictionaries that were found as a feature was.

    Args:
        others: the dictionaries' features.
        term: the feature's own, which none of them matches; empty where it has none.
        best: whether it is the best feature for this term, so that they are the best for another; else, as it was asked
            for by number, they are all that match a term, or, where it has none, all that match none.
    """
    found = []
    for number, read in enumerate(others):
        same = set(read.terms.loc[read.terms["term"] == term, "feature"])
        if term and best:
            of = {f: its for its, f in reversed(read.best().items())}
        else:
            of = {
                f: read.term(f) for f, direction in read.lists if direction == UP and bool(read.term(f)) == bool(term)
            }
        found += [Candidate(number, f, its, read.lists[f, UP]) for f, its in of.items()
                  if (f, UP) in read.lists and f not in same]  # fmt: skip
    return found


def moved_record(
    feature: int, term: str, found: SetHigh, genes: pd.Index, collection: Mapping[str, Sequence[str]], alpha: float
) -> Moved:
    """What setting a feature high did, beside its controls; ``genes`` are those that the model predicts."""
    drawn = np.array([response for _, response in found.controls])
    low, high = np.quantile(drawn, [0.025, 0.975]) if drawn.size else (np.nan, np.nan)
    null = (float(low), float(high)) if drawn.size else None
    rises = top_moved(found.effect, genes, 1, TOP, LEAST_EFFECT)
    named: list[str] = []
    inside = {t: some for t, members in collection.items() if (some := [g for g in members if g in set(genes)])}
    if rises and inside:
        table = over_representation({"": rises}, inside, list(genes))
        named = table.loc[table["padj"] < alpha, "term"].tolist()
    first = set(top_moved(found.effect, genes, 1, found.own.size, LEAST_EFFECT))
    return Moved(
        feature, term, int(found.own.size), found.response, float(drawn.mean()) if drawn.size else None, null,
        permutation_p(found.response, drawn) if drawn.size else None, int(drawn.size), found.ratio,
        len(first & {str(genes[i]) for i in found.own}), named[:3],
    )  # fmt: skip


def _moved_rows(feature: int, found: SetHigh, genes: pd.Index) -> list[tuple]:
    """Genes that move most, up and down."""
    rows = []
    own = {str(genes[i]) for i in found.own}
    for direction, sign in ((UP, 1), (DOWN, -1)):
        for rank, gene in enumerate(top_moved(found.effect, genes, sign, TOP, LEAST_EFFECT)):
            rows.append((feature, direction, rank, gene, float(found.effect[genes.get_loc(gene)]), gene in own))
    return rows


def moved_table(rows: list[tuple]) -> pd.DataFrame:
    """feature, direction, rank, gene, effect, own: one row a gene that moved."""
    kinds = dict(zip(TABLES["moved"], (int, str, int, str, float, bool), strict=True))
    return pd.DataFrame(rows, columns=pd.Index(list(kinds))).astype(kinds)
