"""What the features match where there is nothing to find: on cells whose counts are noise.

Notable choices

- The run's own model and autoencoder read them, and lists are made by the same rules. What they still match comes from
  the features' places among genes, which training put there, and from genes that are frequent; no state is in it.
- It says how much of a rate is that, and is no null of it: features that were learned from real cells may well match
  programs wherever they are looked at.
"""

from cellprism.cells.noise import noise_cells
from cellprism.enrich.list_rules import Directions, own_lists
from cellprism.features.collect import feature_statistics
from cellprism.studies.programs.gene_lists import Lists
from cellprism.studies.programs.seeds import listed
from cellprism.studies.workbench import Workbench

NOISE = "noise cells"
CELLS = 1_000  # at most, of which the counts are drawn anew


def noise_lists(bench: Workbench, background: tuple[str, ...]) -> dict[str, Lists]:
    """Name of a row of ``rates.json`` -> lists of the features on noise cells: of the features' own length, and of one
    length by every rule."""
    cells = noise_cells(bench.some_cells(CELLS), bench.config.seed)
    with bench.bar("the same features on noise cells", cells.n_obs) as advance:
        found = feature_statistics(
            bench.model, bench.sae, cells, bench.config.layer, bench.cells_a_pass(), progress=advance
        )
        fixed = listed({NOISE: found}, {}, cells, background)
    of_one_length = {f"{NOISE}, {rule}": by_name[NOISE] for rule, by_name in fixed.items()}
    rule = bench.settings("programs").rule
    return {NOISE: own_lists(Directions(found.genes, found.cells, cells), rule, background)} | of_one_length
