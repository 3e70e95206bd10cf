"""The wired world, measured: everything about it is known."""

from functools import cache

import numpy as np

from cellprism.regulation.pools import GeneFacts, Regulon, regulon
from cellprism.regulation.probes import Probe, folds_of, input_doses, input_effects, shown_cells
from cellprism.simulate.wired_model import WiredCell, planted_wiring, wired_cells

GENES, FACTORS, TARGETS, CELLS, MATCHES = 97, 7, 11, 3, 3


@cache
def measured(forward: float, reverse: float, seed: int) -> tuple[WiredCell, np.ndarray, list[Regulon], GeneFacts]:
    """The model, its effects at a dose [source read], its factors with their matches, and the genes' facts."""
    wiring, targets = planted_wiring(GENES, FACTORS, TARGETS, forward, reverse, seed)
    model, cells = WiredCell(wiring), wired_cells(GENES, 60, seed)
    genes = list(model.genes)
    doses = input_doses(model, cells, genes, (0.9,), 16)
    probe = Probe(model, shown_cells(model, cells[:CELLS].copy(), genes), genes, genes, folds_of(genes, seed), 64)
    return model, input_effects(probe, doses).dose[0], regulons(targets, cells), GeneFacts.of(cells)


def regulons(targets: list[list[int]], cells) -> list[Regulon]:
    """The planted factors, matched."""
    facts = GeneFacts.of(cells)
    found = []
    for factor, own in enumerate(targets):
        open_to = np.ones(GENES, dtype=bool)
        open_to[[factor, *own]] = False
        found.append(regulon(facts, factor, np.array(own), np.zeros(len(own)), open_to, MATCHES))
    return found
