"""Models that read a cell as a whole: one token, one site, all genes predicted, nothing depends on the batch."""

import numpy as np
import pytest
import torch

from cellprism.errors import CellsError, ModelError
from cellprism.models.conformance import FAILS, conformance, table
from cellprism.types import CellBatch, CellModel
from models.latent.conftest import CELLS, GENES, WIDTH


def only(batches) -> CellBatch:
    (batch,) = batches
    return batch


def test_keeps_every_promise_of_a_cell_model(model, planted):
    outcomes = conformance(model, planted[:17].copy())
    assert isinstance(model, CellModel)
    assert [o.check for o in outcomes if o.verdict == FAILS] == [], table(outcomes)


def test_a_cell_is_one_present_token_that_is_no_gene(model, planted):
    batches = list(model.batches(planted, 50))
    assert [len(b.cell) for b in batches] == [50, 50, 50, 50, 11]
    assert torch.cat([b.cell for b in batches]).tolist() == list(range(CELLS))
    for batch in batches:
        assert batch.gene.tolist() == [-1]
        assert batch.present.all()
        assert batch.values.shape == (len(batch.cell), 1)


def test_resume_predicts_all_genes_and_passes_the_vector_on(model, planted):
    batch = only(model.batches(planted[:17], 17))
    x = model.residual(batch, 0)
    out = model.resume(batch, 0, x)
    assert x.shape == (17, 1, WIDTH)
    assert out.expression.shape == (17, GENES)
    assert torch.equal(out.embedding, x[:, 0])
    assert torch.equal(out.token, x)


def test_there_is_one_site(model, planted):
    batch = only(model.batches(planted[:2], 2))
    with pytest.raises(ModelError, match="layer 1 does not exist: this model has layers 0 to 0"):
        model.residual(batch, 1)
    with pytest.raises(ModelError, match="layer 1 does not exist"):
        model.resume(batch, 1, model.residual(batch, 0))


@pytest.mark.parametrize("inputs", [None, torch.zeros(2, 7)])
def test_a_batch_of_another_model_is_refused(model, inputs):
    batch = CellBatch(
        torch.zeros(2, 1), torch.tensor([-1]), torch.ones(2, 1, dtype=torch.bool), torch.arange(2), inputs
    )
    with pytest.raises(ModelError, match=r"reads \d+ inputs a cell, found (none|7 a cell); make batches with"):
        model.residual(batch, 0)


def test_expression_is_the_shares_of_ten_thousand_counts(counts_model, planted):
    batch = only(counts_model.batches(planted[:17], 17))
    expression = counts_model.resume(batch, 0, counts_model.residual(batch, 0)).expression
    torch.testing.assert_close(expression.expm1().sum(dim=1), torch.full((17,), 1e4))


def test_genes_that_were_not_measured_are_marked_in_the_inputs(counts_model, planted):
    order = np.random.default_rng(0).permutation(GENES)[:23]
    batch = only(counts_model.batches(planted[:17, order], 17))
    absent = np.setdiff1d(np.arange(GENES), order)
    assert (batch.inputs[:, absent] == -1).all()
    np.testing.assert_array_equal(batch.inputs[:, order].numpy(), planted[:17, order].X.toarray())


def test_other_genes_and_empty_cells_are_refused(counts_model, planted):
    strange = planted.copy()
    strange.var_names = ["GX", *strange.var_names[1:]]
    with pytest.raises(CellsError, match="1 columns are no genes of an? .*, such as 'GX'; read the cells with"):
        next(counts_model.batches(strange, 4))
    empty = planted.copy()
    empty.X = empty.X.multiply(np.arange(CELLS)[:, None] != 3).tocsr()
    with pytest.raises(CellsError, match="1 cells have no counts in the model's genes; drop them"):
        next(counts_model.batches(empty, 4))


def test_an_untrained_model_has_the_same_shape_and_other_weights(counts_model, planted):
    before = torch.get_rng_state()
    one, same, other = (counts_model.reinitialised(seed) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before), "nobody else's random numbers may change"
    names = counts_model.state_dict()
    assert one.state_dict().keys() == names.keys()
    batch = only(counts_model.batches(planted[:5], 5))
    vectors = [m.residual(batch, 0) for m in (one, same, other, counts_model)]
    assert torch.equal(vectors[0], vectors[1])
    assert not torch.allclose(vectors[0], vectors[2])
    assert not torch.allclose(vectors[0], vectors[3])
    assert (one.name, one.revision) == (f"{counts_model.name}, untrained", "seed 5")
    assert one.genes == counts_model.genes
