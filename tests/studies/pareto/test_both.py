"""One recipe for both beside permuted labels, and classifiers of other cells, where what they must say is known."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cellprism.errors import ConfigError
from cellprism.simulate.linear_model import LAYER, LinearCell, linear_cells, linear_sae
from cellprism.steering.contrast.cell_split import CellSplit
from cellprism.studies.pareto.beside import beyond_permuted, for_both, gains, permuted_for_both
from cellprism.studies.pareto.judges import classifier_score, outside_judges
from cellprism.studies.pareto.plane import placed
from cellprism.studies.pareto.settings import ParetoSearch, ParetoSettings
from cellprism.studies.pareto.tables import AS_FOUND, PERMUTED
from cellprism.studies.pareto.unit import Unit, read_unit

PROGRAMS = np.random.default_rng(0).normal(size=(5, 29)) * 0.3
SEARCH = ParetoSearch(penalties=3, iterations=6, train_cells=16, n_genes=10, resamples=9, batch_size=120)
SETTINGS = ParetoSettings(source="source", target="target", search=SEARCH)
DRAWS = 9


def unit_cells():
    """Cells of both types, two programs of which differ."""
    return linear_cells(PROGRAMS, {1: 2.0, 3: 0.3})


@pytest.fixture(scope="module")
def apart() -> Unit:
    """These cells as a front is made from them."""
    model = LinearCell()
    bench = SimpleNamespace(model=model, config=SimpleNamespace(layer=LAYER, seed=0))
    sae = linear_sae(model, PROGRAMS)
    return read_unit(bench, SETTINGS, unit_cells(), sae, 1, "", "source", "target", None)


def rows(unit: Unit) -> list[dict]:
    own = [{"kind": AS_FOUND, **gains(unit, for_both(unit, SETTINGS, 0))}]
    others = [permuted_for_both(unit, SETTINGS, 0, i) for i in range(DRAWS)]
    return own + [{"kind": PERMUTED, **gains(unit, made)} for made in others]


def test_where_two_types_differ_one_recipe_gains_in_both_and_permuted_labels_do_not(apart):
    found = rows(apart)
    both = beyond_permuted(found)
    assert both.value == min(found[0]["latent_gain"], found[0]["expression_gain"]) > 0.9
    assert both.high < 0.5
    assert both.p == pytest.approx(2 / (DRAWS + 1))
    assert beyond_permuted([]) is None


def test_permuted_labels_that_are_not_permuted_do_as_well(apart, monkeypatch):
    """A broken control is seen: the recipe is one among equals."""
    monkeypatch.setattr(CellSplit, "permuted", lambda self, seed: self)
    both = beyond_permuted(rows(apart))
    assert both.high > 0.9
    assert both.p > 0.2


def test_a_classifier_of_other_cells_sees_where_the_two_types_are(apart):
    outside = outside_judges(apart, None, "", "", (), {"other donors": unit_cells()}, ("source", "target"))
    (judge,) = outside.judges
    assert (judge.auroc, judge.trusted) == (1.0, True)
    test = apart.judge["test"]
    assert outside.ways(test.before)["way of a classifier of other donors"] == pytest.approx(0)
    assert outside.ways(test.target)["way of a classifier of other donors"] == pytest.approx(1)


def test_a_classifier_of_wrong_labels_may_not_judge_and_one_without_cells_or_genes_is_refused(apart):
    wrong = unit_cells()
    wrong.obs["cell_type"] = ["target"] * 53 + ["source"] * 53
    outside = outside_judges(apart, None, "", "", (), {"others": wrong}, ("source", "target"))
    assert (outside.judges[0].auroc, outside.judges[0].trusted) == (0.0, False)
    assert outside.ways(apart.judge["test"].target) == {}
    with pytest.raises(ConfigError, match="needs 5 cells each of 'source' and 'target'"):
        classifier_score(apart, wrong[:8], ("source", "target"))
    other = wrong.copy()
    other.var_names = [f"X{i}" for i in range(29)]
    with pytest.raises(ConfigError, match="share no gene that varies"):
        classifier_score(apart, other, ("source", "target"))
    fewer = outside_judges(apart, None, "", "", (), {"others": unit_cells()[:, ::2].copy()}, ("source", "target"))
    assert fewer.judges[0].trusted


def test_a_gain_that_no_recipe_has_is_not_reached(apart):
    from cellprism.studies.pareto.aimed import aimed_at
    from studies.made_up_pareto import pareto

    rows = pareto().tables["front"].query("unit == 'autoencoder 0'").assign(latent_gain=-0.1)
    found = aimed_at(rows, {"latent": 6, "both": 13, "expression": 20}, replace(SETTINGS, named=()))
    gain = next(one for one in found.conditions if "inner state" in one.words)
    assert (gain.value, gain.met, found.reached) == (0.0, False, False)


def test_steered_cells_are_placed_where_the_unsteered_ones_are_that_they_resemble():
    rng = np.random.default_rng(0)
    still = np.concatenate([rng.normal(0, 1, (40, 7)), rng.normal(9, 1, (40, 7))])
    places, target = np.repeat([[0.0, 0.0], [5.0, 1.0]], 40, axis=0), np.arange(80) >= 40
    where, among = placed(
        still, places, target, np.stack([still[3], still[50], still[0] + 9, (still[3] + still[50]) / 2])
    )
    np.testing.assert_allclose(where[:3], [[0, 0], [5, 1], [5, 1]], atol=1e-6)
    assert among[:3].tolist() == [0, 1, 1]
    assert 0 < where[3, 0] < 5
