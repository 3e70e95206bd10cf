"""The invariants of the shared types, checked when they are made."""

from dataclasses import FrozenInstanceError, replace

import jaxtyping
import pytest
import torch

from cellprism.errors import ModelError
from cellprism.models.aido.model import AidoCell
from cellprism.types import CellBatch, CellModel, Edit, Site

CELLS, TOKENS = 17, 29


@pytest.fixture
def batch() -> CellBatch:
    gene = torch.cat([torch.arange(TOKENS - 2), torch.tensor([-1, -1])])
    return CellBatch(torch.rand(CELLS, TOKENS), gene, (gene >= 0).expand(CELLS, -1), torch.arange(CELLS))


@pytest.fixture
def unchecked():
    """As users run it: without the tests' shape checks, which would speak before our own message."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(
    ("layer", "n_layers", "words"),
    [
        (12, 18, "block 12, the 13th of 18"),
        (0, 3, "block 0, the 1st of 3"),
        (1, 3, "block 1, the 2nd of 3"),
        (2, 3, "block 2, the 3rd of 3"),
        (3, 5, "block 3, the 4th of 5"),
        (10, 24, "block 10, the 11th of 24"),
        (11, 24, "block 11, the 12th of 24"),
        (20, 24, "block 20, the 21st of 24"),
        (110, 120, "block 110, the 111th of 120"),
    ],
)
def test_a_site_is_told_from_0_and_from_1(layer, n_layers, words):
    assert str(Site(layer, n_layers)) == words


@pytest.mark.parametrize("layer", [-1, 18, 99])
def test_a_site_that_does_not_exist_is_refused_with_those_that_do(layer):
    with pytest.raises(ModelError, match=f"layer {layer} does not exist: this model has layers 0 to 17; choose one"):
        Site(layer, 18)


def test_a_batch_may_have_one_row_of_genes_for_all_cells_or_one_for_each(batch):
    each = replace(batch, gene=batch.gene.expand(CELLS, -1).clone())
    assert each.gene.shape == (CELLS, TOKENS)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("field", "shape"),
    [("gene", (TOKENS - 1,)), ("gene", (CELLS - 1, TOKENS)), ("gene", (1, TOKENS)), ("values", (CELLS, TOKENS + 1))],
)
def test_unequal_lengths_are_refused_with_all_shapes(batch, field, shape):
    wrong = torch.zeros(shape, dtype=torch.long if field == "gene" else torch.float32)
    with pytest.raises(
        ModelError, match=r"a CellBatch needs equal lengths; found values .*, gene .*, present \(17, 29\)"
    ):
        replace(batch, **{field: wrong})


@pytest.mark.usefixtures("unchecked")
def test_a_present_mask_of_another_shape_is_refused(batch):
    with pytest.raises(ModelError, match=r"present \(29,\)"):
        replace(batch, present=batch.present[0])


@pytest.mark.usefixtures("unchecked")
def test_cell_numbers_must_be_as_many_as_cells(batch):
    with pytest.raises(ModelError, match="a CellBatch of 17 cells has 16 cell numbers"):
        replace(batch, cell=torch.arange(CELLS - 1))


def test_a_batch_cannot_be_changed(batch):
    with pytest.raises(FrozenInstanceError):
        batch.values = torch.zeros(CELLS, TOKENS)


def test_a_batch_moves_as_a_whole(batch):
    moved = batch.to(torch.device("meta"))
    for name in ("values", "gene", "present", "cell"):
        assert getattr(moved, name).device.type == "meta"
        assert getattr(moved, name).shape == getattr(batch, name).shape


def test_aido_cell_has_all_that_a_cell_model_needs():
    model = AidoCell.random(["A", "B", "C"], hidden=14, layers=2, heads=2, intermediate=19)
    stated = ["card", "genes", "tokens", "predicts", "trained_at"]
    wanted = [*CellModel.__annotations__, *stated, "batches", "residual", "resume"]
    assert [name for name in wanted if not hasattr(model, name)] == []
    assert len(wanted) == 14


def test_anything_that_takes_a_residual_stream_and_its_batch_is_an_edit():
    assert isinstance(lambda x, batch: x, Edit)
    assert not isinstance(3.0, Edit)
