import pytest
import torch

from cellprism.errors import InputError, ModelError
from cellprism.features.tokens.residuals import Tokens, residual_tokens, residuals_at
from features.conftest import CELLS, D_MODEL, LAYER, dense_residuals, make_model
from features.latent import LatentModel
from features.tokens.test_cell_tokens import Counting


def joined(parts) -> Tokens:
    return Tokens(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def test_every_present_gene_of_every_cell_comes_once_with_its_residual(model, cells):
    whole = joined(residual_tokens(model, cells, LAYER, batch_size=5))
    expected = [(c, model.genes.index(g)) for c in range(CELLS) for g in cells.var_names]
    assert list(zip(whole.cell.tolist(), whole.gene.tolist(), strict=True)) == expected
    torch.testing.assert_close(whole.x, dense_residuals(model, cells).flatten(0, 1), rtol=1e-4, atol=1e-5)


def test_a_model_that_reads_a_cell_as_a_whole_gives_one_token_a_cell(cells):
    whole = joined(residual_tokens(LatentModel(cells), cells, LAYER, batch_size=5))
    assert whole.cell.tolist() == list(range(CELLS))
    assert set(whole.gene.tolist()) == {-1}
    assert whole.x.shape == (CELLS, D_MODEL)


def test_a_layer_that_does_not_exist_is_refused(model, cells):
    with pytest.raises(ModelError, match="layer 3 does not exist"):
        next(residual_tokens(model, cells, 3))


def test_no_cells_are_an_error(model, cells):
    with pytest.raises(InputError, match="the AnnData has 0 rows"):
        next(residual_tokens(model, cells[:0], LAYER))


def test_several_layers_come_from_one_pass_where_the_model_can(cells):
    class OneByOne(Counting):
        """A model without ``residuals``."""

    class Together(Counting):
        def residuals(self, batch, layers):
            asked.append(tuple(layers))
            return [self.model.residual(batch, layer) for layer in layers]

    asked = []
    model = make_model(True)
    batch = next(model.batches(cells, 3))
    together, one_by_one = Together(model), OneByOne(model)
    ours, theirs = residuals_at(together, batch, (0, 2)), residuals_at(one_by_one, batch, (0, 2))
    assert asked == [(0, 2)]
    assert (together.cells, one_by_one.cells) == (0, 6)
    for one, other, layer in zip(ours, theirs, (0, 2), strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, model.residual(batch, layer))
