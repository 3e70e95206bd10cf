"""Claims about features of one group."""

import numpy as np

from calibration.world import AT, World
from cellprism.enrich.membership import term_table
from cellprism.enrich.overlap_graph import overlaps
from cellprism.report.claims import judgement
from cellprism.report.verdict import FEWEST_DRAWS
from cellprism.studies.map.claims import SIMILARITY_MATTERS, null_of_names
from cellprism.studies.map.components import Meaning, alike
from cellprism.studies.map.tables import COMPONENTS, MODULES

GENES, TERMS, BLOCKS, LISTS, LENGTH, POOL = tuple(f"G{i}" for i in range(400)), 40, 6, 48, 12, 24
OVERLAP = 0.3


def meaning(seed: int, size: float) -> dict[str, str]:
    """Lists of features that share a pool of genes a group, and terms that follow the pools or nothing."""
    rng = np.random.default_rng([seed, 13])
    popularity = rng.gamma(1.0, size=len(GENES)) + 0.1

    def drawn(n: int) -> list[str]:
        return list(rng.choice(GENES, n, replace=False, p=popularity / popularity.sum()))

    pools = [drawn(POOL) for _ in range(BLOCKS)]
    block = np.arange(LISTS) % BLOCKS
    lists = {str(i): tuple(rng.permutation(pools[b])[:LENGTH]) for i, b in enumerate(block)}
    terms = {}
    for number in range(TERMS):
        own = list(rng.permutation(pools[number % BLOCKS])[: round(size * LENGTH)])
        terms[f"term {number}"] = (*own, *(gene for gene in drawn(2 * LENGTH) if gene not in own))[:LENGTH]
    found = Meaning(lists, term_table(terms, GENES, 3))
    component = overlaps(found.own.member).above(OVERLAP).components()
    said = {name: alike(found, name, group, 1, FEWEST_DRAWS, seed) for name, group in
            {COMPONENTS: component, MODULES: block}.items()}  # fmt: skip
    return {
        name: AT
        if isinstance(row, str)
        else judgement(row.difference, None, null_of_names(row), "+.3f", SIMILARITY_MATTERS).verdict
        for name, row in said.items()
    }


WORLDS = [
    World(
        "terms that say nothing",
        {
            COMPONENTS: "map: features that hang together by shared genes mean the same, against genes renamed",
            MODULES: "map: features that are active together mean the same, against genes renamed",
        },
        "Features of a group draw their genes from one pool, so that their lists overlap; terms draw theirs by "
        "popularity without regard to the pools: the genes' names are one permutation among genes of like popularity.",
        meaning, (0.25, 0.5, 0.75), "share of a term's twelve genes that come from one pool", 200, 25,
    ),
]  # fmt: skip
