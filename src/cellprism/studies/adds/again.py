"""Which directions of a source come again when it is drawn, or trained, with another seed.

Notable choices

- Each dictionary is matched with the next seed's, the last with the first, all used by the same pursuit on the first
  half of the cells. Chance is a dictionary with the covariance of the same tokens (``features.reappearance``), so that
  these have no column of their own, and neither have principal components, which are not drawn.
"""

from collections.abc import Sequence

import numpy as np

from cellprism.features.dictionaries import (
    PursuitAutoencoder,
    TokenSample,
    control_dictionary,
    isotropic_dictionary,
    trained_dictionary,
    with_centre,
)
from cellprism.features.reappearance import Portrait, exceeds, matched
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.studies.adds.halves import Halves
from cellprism.studies.adds.labels import ISOTROPIC, TOKENS, TRAINED
from cellprism.studies.adds.measures import Mean
from cellprism.studies.adds.reading import portrait
from cellprism.studies.workbench import Workbench

DRAWS = 19
"""The fewest that a match can exceed with 95 %."""
LEVEL = 0.05


def shares_again(
    bench: Workbench, halves: Halves, saes: Sequence[SparseAutoencoder], sample: TokenSample
) -> dict[str, list[Mean]]:
    """Source -> of each autoencoder or draw beside it, the share of directions that fire and come again."""
    rows, seed = halves.rows[halves.first], bench.config.seed
    first = Halves(rows, halves.cells[halves.first].copy(), np.ones(len(rows), dtype=bool), halves.by_donor)

    def seen(dictionary: PursuitAutoencoder, sae: SparseAutoencoder) -> Portrait:
        return portrait(bench.tokens, with_centre(dictionary, sae), first)

    sources = {
        TRAINED: [seen(trained_dictionary(sae), sae) for sae in saes],
        TOKENS: [seen(control_dictionary("tokens", sample, sae, seed + i), sae) for i, sae in enumerate(saes)],
        ISOTROPIC: [seen(isotropic_dictionary(sample, sae, seed + i), sae) for i, sae in enumerate(saes)],
    }
    further = range(1000 * (seed + 1), 1000 * (seed + 1) + DRAWS)  # others than those that stand in the table
    drawn = [seen(control_dictionary("covariance", sample, bench.sae, i), bench.sae) for i in further]
    return {
        name: [_share(one, other, drawn) for one, other in zip(each, [*each[1:], each[0]], strict=True)]
        for name, each in sources.items()
    }


def _share(own: Portrait, other: Portrait, drawn: Sequence[Portrait]) -> Mean:
    """Of the directions that fire, those that the other has again."""
    chance = np.stack([matched(own, one).likeness for one in drawn])
    found = exceeds(matched(own, other).likeness[None], chance, LEVEL)[0]
    fires = np.ptp(own.profiles, axis=1) > 0
    return Mean(float(found[fires].mean()) if fires.any() else 0.0, max(int(fires.sum()), 1))
