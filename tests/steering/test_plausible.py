"""How far is too far, in cells whose states are known."""

import numpy as np
import pytest

from cellprism.steering.dose_cells import read_dose_cells
from cellprism.steering.plausible import RealCells, Strain, plausible_range
from steering.planted import PlantedModel, planted_cells, planted_sae
from steering.test_edits import FEATURES, aido, latent, some_sae


def test_a_strength_is_plausible_until_cells_leave_the_others():
    model, cells = PlantedModel(), planted_cells({}, n_source=40, n_target=0, noise=0.3)
    dose_cells = read_dose_cells(model, planted_sae(model), cells, 1, 13, [])
    real = RealCells(dose_cells)
    assert real.blocks == [1], "this model cannot run between blocks"
    feature = 7
    strengths = [-400.0, 0.5, 0.9, 1.0, 1.1, 2.0, 400.0]
    strains = real.strain(feature, strengths)
    assert [s.strength for s in strains] == strengths
    assert strains[3].edit_ratio == 0
    ratios = [s.edit_ratio for s in strains]
    assert ratios[0] > ratios[1] > ratios[2]
    assert strains[0].percentile == strains[-1].percentile == 1.0
    assert strains[4].percentile < 0.95
    low, high = plausible_range(strains)
    assert -400 < low <= 0.9
    assert 1.1 <= high < 400


def test_the_range_ends_before_the_first_strength_that_does_not_look_real():
    def at(strength: float, percentile: float = 0.5, misfit: float = 0.5) -> Strain:
        return Strain(strength, 0.1, percentile, misfit)

    strains = [at(-5), at(-1, misfit=0.99), at(0), at(2), at(3, percentile=0.96), at(5)]
    assert plausible_range(strains) == (0.0, 2.0)
    assert plausible_range([at(0, 1.0), at(2, 1.0)]) == (1.0, 1.0)
    assert plausible_range([]) == (1.0, 1.0)


@pytest.mark.parametrize("family", [aido, latent])
def test_later_blocks_are_looked_at_where_there_are_some(family, cells):
    model = family(list(cells.var_names))
    dose_cells = read_dose_cells(model, some_sae(model), cells, 0, 7, [])
    real = RealCells(dose_cells)
    assert real.blocks == (list(range(1, model.n_layers)) or [0])
    feature = next(f for f in range(FEATURES) if dose_cells.rows(f).size)
    near, far = real.strain(feature, [1.0, 1e4])
    assert near.percentile <= 0.99
    assert far.percentile == 1.0
    assert np.isfinite(far.misfit)
