"""Claims that all features together move their genes, and that description goes with effect, beside dictionaries that
nobody trained."""

import numpy as np
import torch
from anndata import AnnData
from jaxtyping import Float

from calibration.steer import ALPHA, CELLS, COLLECTION, FEATURES, MODEL, NAMES, planted_dictionaries
from calibration.world import UNTOLD, World
from cellprism.enrich.labels import best_terms
from cellprism.enrich.over_representation import over_representation
from cellprism.features.collect import feature_statistics
from cellprism.report.claims import judgement
from cellprism.report.verdict import SHARE_MATTERS
from cellprism.simulate.linear_model import LAYER
from cellprism.steering.dose_cells import DoseCells, dose_cells_of, read_dose_cells
from cellprism.steering.settings import LEAST_CELLS
from cellprism.studies.programs.gene_lists import firing_lists
from cellprism.studies.screen.claims import null_of
from cellprism.studies.screen.own_genes import Dictionary, describes, dictionary_of, share_beyond, standing
from cellprism.studies.screen.tables import Standing

DICTIONARIES, CONTROLS, LISTED = 5, 99, 3


def screen(seed: int, size: float) -> dict[str, str]:
    """All features of a dictionary, ``size`` of the way from random ones to the programs' own, beside others."""
    rng = np.random.default_rng([seed, 16])
    _, (adata, ours, drawn) = planted_dictionaries(rng, seed, size, DICTIONARIES)
    read = read_dose_cells(MODEL, ours, adata, LAYER, CELLS, [])
    every = [
        _dictionary(read, adata),
        *(_dictionary(dose_cells_of(read.cache.recoded(d), []), adata) for d in drawn),
    ]
    one, others = every[0], every[1:]
    rest = [[*others[:i], *others[i + 1 :]] for i in range(len(others))]
    moves = [share_beyond(other, some, CONTROLS) for other, some in zip(others, rest, strict=True)]
    return {
        "moves": _verdict(standing("", share_beyond(one, others, CONTROLS), moves)),
        "describes": _verdict(standing("", describes(one), [describes(other) for other in others])),
    }


def _dictionary(read: DoseCells, adata: AnnData) -> Dictionary:
    """A dictionary by the study's rules."""
    sae = read.cache.sae
    lists = firing_lists(feature_statistics(MODEL, sae, adata, LAYER).genes, tuple(NAMES), LISTED)
    table = over_representation(lists, COLLECTION, NAMES)
    best = best_terms(table, list(lists), ALPHA)
    live = [f for f in range(FEATURES) if len(read.rows(f)) >= LEAST_CELLS]
    padj = {int(f): float(q) for f, q in zip(best["feature"], best["best_padj"], strict=True)}
    return dictionary_of(read, _matrix(read)[live], live, lists, padj, frozenset())


def _matrix(read: DoseCells) -> Float[np.ndarray, "feature gene"]:
    """What every feature does to every gene in a linear model: its mean value times its direction, as expression."""
    code = read.cache.kept
    assert code is not None, "a small world is kept"
    total = torch.zeros(FEATURES).index_add_(0, code.code_features.flatten(), code.code_values.flatten())
    return (total[:, None] / CELLS * (read.cache.W_dec @ MODEL.rows.T)).double().numpy()


def _verdict(one: Standing | None) -> str:
    return UNTOLD if one is None else judgement(one.value, one.difference, null_of(one), ".3g", SHARE_MATTERS).verdict


WORLDS = [
    World(
        "one more random dictionary",
        {
            "moves": "screen: share of features that move their genes, against random dictionaries",
            "describes": "screen: description goes with effect, against random dictionaries",
        },
        "The screened dictionary is drawn as the five beside it are, and read, described and turned alike.",
        screen, (0.3, 0.6, 1.0), "share of the programs' own directions in a third of the features", 200, 25,
    ),
]  # fmt: skip
