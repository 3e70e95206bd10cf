"""An autoencoder says what it was trained on, and is used on nothing else unless that is said, at every door."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from cellprism.errors import CellsError, ModelError
from cellprism.features.baselines import neuron_genes
from cellprism.features.classes import fit_by_class
from cellprism.features.collect import cell_features, feature_genes, feature_statistics
from cellprism.features.evaluate import evaluate_at
from cellprism.features.origin import check_site, fingerprint, gene_order, model_origin, weights_hash
from cellprism.features.splice import loss_recovered
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.features.train import train_sae
from cellprism.models.aido.model import AidoCell
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.config import SaeConfig
from cellprism.sae.files import load_sae, save_sae
from cellprism.steering.contrast.contrast import contrast, read_contrast_cells
from cellprism.steering.dose import dose_sweep
from cellprism.steering.intervene import steer
from features.conftest import D_MODEL, FEATURES, LAYER, MODEL_GENES, K, make_cells, make_model

DOORS: dict[str, Callable[..., Any]] = {
    "feature_statistics": feature_statistics,
    "feature_genes": feature_genes,
    "cell_features": cell_features,
    "evaluate_at": evaluate_at,
    "fit_by_class": fit_by_class,
    "loss_recovered": lambda model, sae, cells, layer, **how: loss_recovered(model, {"a": sae}, cells, layer, **how),
    "neuron_genes": lambda model, sae, cells, layer, **how: neuron_genes(model, cells, layer, sae=sae, **how),
    "steer": lambda model, sae, cells, layer, **how: steer(model, sae, cells, layer, {0: 2.0}, **how),
    "dose_sweep": lambda model, sae, cells, layer, **how: dose_sweep(
        model, sae, cells, layer, {0: list(cells.var_names[:3])}, **how
    ),
    "contrast": lambda *words, **how: contrast(*words, "helper", "killer", **how),
    "read_contrast_cells": lambda *words, **how: read_contrast_cells(*words, "helper", "killer", **how),
}


def reordered(model: AidoCell) -> AidoCell:
    """The same weights with their genes' names turned around."""
    other = AidoCell.random(
        [f"G{i}" for i in reversed(range(MODEL_GENES))], hidden=D_MODEL, layers=3, heads=2, intermediate=31, seed=1,
        gene_subset=True,
    )  # fmt: skip
    other.load_state_dict(model.state_dict())
    return other


OTHERS: dict[str, tuple[Callable[[AidoCell], AidoCell], int, str]] = {
    "another layer": (lambda model: model, 2, "was trained after block 1 and not 2"),
    "other weights": (lambda model: model.reinitialised(7), LAYER, "on another model, 'random' .*, whose weights are"),
    "another order": (
        reordered,
        LAYER,
        "was trained with other genes, or in another order, than the 37 that the model",
    ),
}


@pytest.fixture(scope="module")
def trained() -> tuple[AidoCell, SparseAutoencoder]:
    model = make_model(True)
    return model, train_sae(model, make_cells(), LAYER, SaeConfig(n_features=FEATURES, k=K, epochs=1, batch_size=64))


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize("door", DOORS)
def test_at_every_door_what_it_was_trained_on_is_compared(trained, door, what):
    model, sae = trained
    change, layer, message = OTHERS[what]
    with pytest.raises(ModelError, match=rf"{message}.*; use the one that was trained here, or .* force=True"):
        DOORS[door](change(model), sae, make_cells(), layer)


@pytest.mark.parametrize("door", [*DOORS, "train"])
def test_at_every_door_cells_that_were_changed_after_reading_are_refused(trained, door):
    model, sae = trained
    cells = make_cells(41)
    cells.X = cells.X.log1p()
    with pytest.raises(CellsError, match=r"X holds values that are not whole, such as [0-9.]+, .*as read_cells gives"):
        train_sae(model, cells, LAYER) if door == "train" else DOORS[door](model, sae, cells, LAYER)


@pytest.mark.parametrize("door", ["feature_genes", "evaluate_at", "loss_recovered", "steer", "dose_sweep"])
def test_it_goes_on_where_that_is_said(trained, door):
    model, sae = trained
    DOORS[door](reordered(model.reinitialised(7)), sae, make_cells(), 2, force=True)


def test_everything_that_differs_is_said_at_once(trained):
    model, sae = trained
    with pytest.raises(ModelError, match=r"on another model.* and with other genes.* and after block 1 and not 0"):
        check_site(reordered(model.reinitialised(7)), sae, 0)


def absent_given(model: AidoCell) -> AidoCell:
    """The same weights and genes, with zeros for genes that the data do not have."""
    other = make_model(False)
    other.load_state_dict(model.state_dict())
    return other


def test_the_same_weights_reading_cells_in_another_way_are_another_model(trained):
    model, sae = trained
    other, cells = absent_given(model), make_cells()
    there, here = (one.residual(next(one.batches(cells, 3)), LAYER) for one in (model, other))
    assert there.shape != here.shape
    assert weights_hash(model) == weights_hash(other)
    said = r"while the model read cells with gene_subset True and not False, total 'cell' and not 'aligned'"
    with pytest.raises(ModelError, match=f"was trained {said}"):
        feature_genes(other, sae, cells, LAYER)
    assert CellTokens(model, cells, [LAYER]).identity != CellTokens(other, cells, [LAYER]).identity


def test_an_autoencoder_that_was_saved_without_its_models_settings_is_taken_as_before(trained, tmp_path):
    model, sae = trained
    older = replace(sae, metadata={k: v for k, v in sae.metadata.items() if k != "model_reads_with"})
    save_sae(older, tmp_path)
    loaded = load_sae(tmp_path)
    assert check_site(model, loaded, LAYER).layer == LAYER
    assert check_site(absent_given(model), loaded, LAYER).layer == LAYER
    with pytest.raises(ModelError, match="on another model"):
        check_site(model.reinitialised(7), loaded, LAYER)


def test_settings_survive_the_file(trained, tmp_path):
    model, sae = trained
    save_sae(sae, tmp_path)
    assert check_site(model, load_sae(tmp_path), LAYER).layer == LAYER


FORCED = "trained after block 1 and not 2"
SAYS: dict[str, Callable[[Any], str]] = {
    "feature_genes": lambda table: table.uns["cellprism"]["forced"],
    "cell_features": lambda table: table.uns["cellprism"]["forced"],
    "neuron_genes": lambda table: table.uns["cellprism"]["forced"],
    "steer": lambda table: table.uns["cellprism"]["steer"]["forced"],
    "evaluate_at": lambda measures: measures.forced,
    "fit_by_class": lambda table: table.attrs["forced"],
    "loss_recovered": lambda found: found["a"].forced,
    "dose_sweep": lambda found: found.summary[0]["forced"],
    "read_contrast_cells": lambda read: read.origin["forced"],
}


@pytest.mark.parametrize("door", SAYS)
def test_what_is_made_by_force_says_so(trained, door):
    model, sae = trained
    cells = make_cells(41)
    assert SAYS[door](DOORS[door](model, sae, cells, LAYER)) == ""
    assert SAYS[door](DOORS[door](model, sae, cells, 2, force=True)) == FORCED


def test_a_summary_of_what_was_forced_is_json_that_says_so(trained):
    model, sae = trained
    assert evaluate_at(model, sae, make_cells(), 2, force=True).summary()["forced"] == FORCED
    assert "forced" not in evaluate_at(model, sae, make_cells(), LAYER).summary()


def test_what_does_not_say_where_it_is_from_is_taken_as_it_is(trained):
    model, sae = trained
    assert check_site(model.reinitialised(7), replace(sae, metadata={}), 2).layer == 2
    assert check_site(model, replace(sae, metadata={"model_name": "another's word for it"}), 2).layer == 2
    with pytest.raises(ModelError, match=r"on another model, 'x' \(1\)"):
        check_site(model, replace(sae, metadata={"model_name": "x", "model_revision": "1"}), LAYER)


def test_a_model_is_told_by_its_weights_alone(trained):
    model, sae = trained
    assert {name: sae.metadata[name] for name in model_origin(model)} == model_origin(model)
    twin = make_model(False)
    twin.name = "twin"
    assert fingerprint(twin) == fingerprint(model)
    with torch.no_grad():
        next(twin.parameters())[0] += 1
    assert fingerprint(twin) != fingerprint(model), "though it was hashed before"
    assert gene_order(reordered(model)) != gene_order(model)
