"""The claim that one recipe goes far in both the inner state and expression."""

from types import SimpleNamespace
from typing import Any

from calibration.contrast import network, two_types
from calibration.world import UNTOLD, World
from cellprism.report.claims import judgement
from cellprism.report.verdict import FEWEST_DRAWS, SHARE_MATTERS
from cellprism.simulate.linear_model import LAYER
from cellprism.studies.pareto.beside import beyond_permuted, for_both, gains, permuted_for_both
from cellprism.studies.pareto.claims import null_of
from cellprism.studies.pareto.settings import ParetoSearch, ParetoSettings
from cellprism.studies.pareto.tables import AS_FOUND, PERMUTED
from cellprism.studies.pareto.unit import read_unit

SEARCH = ParetoSearch(
    penalties=2, iterations=2, train_cells=16, n_genes=20, null_replicates=FEWEST_DRAWS, random_edits=0, resamples=9,
    batch_size=120,
)  # fmt: skip
SETTINGS = ParetoSettings(source="source", target="target", search=SEARCH)


def pareto(seed: int, size: float) -> dict[str, str]:
    """The lesser gain of a recipe for both beside those of recipes that were fitted on permuted labels."""
    _, model, sae = network()
    adata = two_types([seed, 17], size)
    bench: Any = SimpleNamespace(model=model, config=SimpleNamespace(layer=LAYER, seed=seed))
    unit = read_unit(bench, SETTINGS, adata, sae, 1, "", "source", "target", None)
    made = [(AS_FOUND, for_both(unit, SETTINGS, seed))]
    made += [(PERMUTED, permuted_for_both(unit, SETTINGS, seed, i)) for i in range(FEWEST_DRAWS)]
    both = beyond_permuted([{"kind": kind, **gains(unit, one)} for kind, one in made])
    if both is None or both.value is None:
        return {"both": UNTOLD}
    return {"both": judgement(both.value, None, null_of(both), ".0%", SHARE_MATTERS).verdict}


WORLDS = [
    World(
        "two types alike, both at once",
        {"both": "pareto: the lesser of both gains of one recipe, against permuted labels"},
        "Cells of both types are drawn alike, and those that judge are apart from those that are learned from: the "
        "true labels are one permutation among the others.",
        pareto, (0.5, 1.0, 2.0), "three of thirty programs are 1 + size times as active in the target (1: two "
        "standard deviations more), three others as much less", 200, 25,
    ),
]  # fmt: skip
