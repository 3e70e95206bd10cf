"""Claims about the cells in which features are high: that they lie together, and that a feature set high raises its
genes."""

import numpy as np
import pandas as pd
from anndata import AnnData

from calibration.steer import CELLS, COLLECTION, MODEL, NAMES, planted_dictionaries
from calibration.world import UNTOLD, World
from cellprism.cells.expression import log1p_cp10k
from cellprism.features.collect import feature_statistics
from cellprism.report.claims import Null, judgement
from cellprism.report.verdict import EFFECT_MATTERS, SHARE_MATTERS
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.simulate.linear_model import LAYER, as_counts
from cellprism.steering.dose_cells import read_dose_cells
from cellprism.studies.lens.genes import Read, read_features
from cellprism.studies.lens.high_cells import high_cells
from cellprism.studies.lens.locality import locality, neighbour_graph
from cellprism.studies.lens.set_high import dictionary_cells, set_high
from cellprism.studies.lens.settings import LensSettings
from cellprism.studies.lens.tables import RareCells
from cellprism.studies.lens.work import candidates, drawn_features, moved_record, rare_record

DICTIONARIES = 6
SETTINGS = LensSettings(high=0.9, draws=99, components=5, neighbours=9, controls=39)


def rare(seed: int, size: float) -> dict[str, str]:
    """High cells drawn at random within types, but in a share of the features, where they are those highest along a
    direction of the cells' own state."""
    rng = np.random.default_rng([seed, 71])
    cells, genes, features, width = 197, 53, 31, 4
    kinds = rng.integers(3, size=cells)
    state = rng.standard_normal((cells, width)) + rng.standard_normal((3, width))[kinds]
    rate = np.exp(0.4 * state @ rng.standard_normal((width, genes)))
    counts = AnnData(as_sparse(rng.poisson(3 * rate)))
    graph = neighbour_graph(counts, SETTINGS.components, SETTINGS.neighbours, seed)
    types = rng.standard_normal((3, features))[kinds]
    shared = rng.standard_normal((cells, 3)) @ rng.standard_normal((3, features))  # features go together
    random = types + shared + rng.standard_normal((cells, features))
    local = state @ rng.standard_normal((width, features))
    score = np.where(rng.random(features) < size, local, random)
    high = score > np.quantile(score, 0.95, axis=0)
    found = rare_record(locality(high, graph, kinds, SETTINGS.draws, seed), True, 0.05, [])
    return {"rare": verdict_of(found)}


def verdict_of(found: RareCells) -> str:
    null = Null("", found.null, found.null_interval, found.p, found.draws)
    return judgement(found.beyond, None, null, ".0%", SHARE_MATTERS).verdict


def as_sparse(counts: np.ndarray):
    return as_counts(counts / (1 << 14))


def moved(seed: int, size: float) -> dict[str, str]:
    """The rise of the genes of the feature that matches a term best, beside those of the best features of other terms
    in random dictionaries."""
    rng = np.random.default_rng([seed, 73])
    _, planted = planted_dictionaries(rng, seed, size, DICTIONARIES)
    adata, drawn = planted.adata, [planted.ours, *planted.others]
    own, *others = (_read(adata, dictionary) for dictionary in drawn)
    return {"moved": _verdict(adata, drawn, own, others, seed)}


def _read(adata: AnnData, dictionary: SparseAutoencoder) -> Read:
    z = feature_statistics(MODEL, dictionary, adata, LAYER).cells.X
    return read_features(log1p_cp10k(adata), NAMES, high_cells(z, SETTINGS), COLLECTION, SETTINGS)


def _verdict(adata: AnnData, drawn: list[SparseAutoencoder], own: Read, others: list[Read], seed: int) -> str:
    chosen = drawn_features(own, 1, seed)
    if not chosen:
        return UNTOLD
    feature = chosen[0]
    term = next(term for term, its in own.best().items() if its == feature)
    read = read_dose_cells(MODEL, drawn[0], adata, LAYER, CELLS, [])
    there = dictionary_cells(read, drawn[1:])
    genes = own.lists[feature, "up"]
    found = set_high(read, feature, genes, SETTINGS.high, there, candidates(others, term), SETTINGS.controls)
    if found is None:
        return UNTOLD
    one = moved_record(feature, term, found, pd.Index(NAMES), COLLECTION, SETTINGS.alpha)
    if one.p is None:
        return UNTOLD
    null = Null("", one.null, one.null_interval, one.p, one.controls)
    return judgement(one.value, None, null, "+.2g", EFFECT_MATTERS).verdict


WORLDS = [
    World(
        "high cells at random", {"rare": "lens: high cells lie together, against cells of the same types"},
        "Features are high in cells at random within each type, and go together; the counts follow a state that no "
        "feature knows.",
        rare, (0.1, 0.3, 0.6), "share of the features that are high along a direction of the cells' own state",
        1000, 100,
    ),
    World(
        "random dictionary, set high",
        {"moved": "lens: a feature set high raises its genes, against control features"},
        "The feature is the best of a term drawn at random, in a dictionary that nobody trained; so are its controls "
        "in other such dictionaries, for other terms.",
        moved, (0.3, 0.6, 1.0), "share of the programs' own directions in as many features", 1000, 100,
    ),
]  # fmt: skip
