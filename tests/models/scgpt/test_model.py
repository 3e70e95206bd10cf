"""The network against torch's own layers, cut in two, what it is fed and what its predictions mean."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from cellprism.cells.expression import log1p_cp10k
from cellprism.cells.read import read_cells
from cellprism.errors import CellsError, ModelError
from cellprism.models.scgpt import ScGpt
from cellprism.models.scgpt.bins import amounts, bin_levels, bin_values
from cellprism.models.scgpt.files import load
from cellprism.models.scgpt.model import ScGptConfig
from cellprism.types import CellBatch, CellModel
from models.conftest import DATA_GENES, MODEL_GENES, same_weights
from models.scgpt.published import BINS, LAYERS, SPECIAL, VOCABULARY, Published, write_folder


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> ScGpt:
    """29 genes, width 14, three blocks, two heads, eleven bins; loaded from a published folder."""
    return load(write_folder(tmp_path_factory.mktemp("published")))


@pytest.fixture
def batch(model, cells) -> CellBatch:
    return next(model.batches(cells, 5))


def whole(model: ScGpt, batch: CellBatch) -> list[torch.Tensor]:
    """Every residual stream and the predicted bins, in one go."""
    x, found = model._embed(batch), []
    for block in model.blocks:
        x = block(x)
        found.append(x)
    return [*found, model.decoder(x[:, batch.gene >= 0])[..., 0]]


def test_it_is_a_cell_model(model):
    assert isinstance(model, CellModel)
    assert (model.n_layers, model.d_model, len(model.genes)) == (LAYERS, 14, MODEL_GENES)


def test_every_residual_and_prediction_is_that_of_torchs_own_encoder_layers_in_double_precision(tmp_path, cells):
    reference, double = Published().double(), load(write_folder(tmp_path)).double()
    batch = next(double.batches(cells, 17))
    batch = replace(batch, values=batch.values.double())
    token = torch.tensor([SPECIAL["<cls>"], *(VOCABULARY[gene] for gene in cells.var_names)]).expand(17, -1)
    counts = torch.from_numpy(cells.X.toarray()).double()
    bins = torch.cat([torch.full((17, 1), -2.0, dtype=torch.float64), bin_values(counts, BINS)], dim=1)
    residuals, predicted = reference(token, bins)
    for layer, expected in enumerate(residuals):
        torch.testing.assert_close(double.residual(batch, layer), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(whole(double, batch)[-1], predicted[:, 1:], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layer", range(LAYERS))
def test_resuming_from_a_residual_is_the_whole_forward_bit_for_bit(model, cells, layer):
    for batch in model.batches(cells, 5):
        *residuals, predicted = whole(model, batch)
        x = model.residual(batch, layer)
        out = model.resume(batch, layer, x)
        assert torch.equal(x, residuals[layer])
        assert torch.equal(out.token, residuals[-1])
        assert torch.equal(out.expression, amounts(predicted, bin_levels(batch.values[:, 1:], BINS)))


def test_several_layers_come_from_one_pass_in_the_order_asked(model, batch):
    found = model.residuals(batch, [2, 0])
    assert [x.shape for x in found] == [(5, DATA_GENES + 1, 14)] * 2
    assert all(torch.equal(x, model.residual(batch, layer)) for x, layer in zip(found, [2, 0], strict=True))


def test_gradients_flow_through_the_second_half_alone(model, batch):
    x = model.residual(batch, 1).requires_grad_()
    model.resume(batch, 1, x).expression.sum().backward()
    assert (x.grad[:, 1:].abs().sum(-1) > 0).all()
    assert all(p.grad is None for p in model.parameters())


def test_a_cell_is_cls_and_then_every_gene_of_the_data_zeros_included(model, cells, batch):
    assert batch.gene[0] == -1
    assert [model.genes[i] for i in batch.gene[1:]] == list(cells.var_names)
    assert (batch.values[:, 0] == -2).all()
    assert not batch.present[:, 0].any()
    assert batch.present[:, 1:].all()
    assert (batch.values == 0).any()


def test_values_are_log1p_per_ten_thousand_of_the_declared_total_or_of_the_sum(model, cells):
    counts, declared = cells.X.toarray(), cells.obs["total_counts"].to_numpy()[:, None]
    found = next(model.batches(cells, 17)).values[:, 1:]
    np.testing.assert_allclose(found, np.log1p(counts / declared * 1e4), rtol=1e-6)
    del cells.obs["total_counts"]
    found = next(model.batches(cells, 17)).values[:, 1:]
    np.testing.assert_allclose(found, np.log1p(counts / counts.sum(1, keepdims=True) * 1e4), rtol=1e-6)


def test_what_the_network_reads_does_not_depend_on_the_total(model, cells):
    before = [model.residual(b, 2) for b in model.batches(cells, 17)]
    cells.obs["total_counts"] *= 3
    assert torch.equal(model.residual(next(model.batches(cells, 17)), 2), before[0])


def test_predicting_every_bin_as_it_was_read_gives_the_expression_that_was_measured(model, cells):
    """With as many bins as the cells have different counts; fewer bins mix neighbouring counts."""
    values = next(model.batches(cells, 17)).values[:, 1:]
    back = amounts(bin_values(values, 51), bin_levels(values, 51))
    np.testing.assert_allclose(back, log1p_cp10k(cells).toarray(), rtol=1e-6)


def test_batches_number_every_cell_once_in_order_and_take_any_matrix(model, cells):
    sparse = list(model.batches(cells, 5))
    assert [len(b.values) for b in sparse] == [5, 5, 5, 2]
    assert torch.cat([b.cell for b in sparse]).tolist() == list(range(17))
    for other in (cells.X.toarray(), sp.csc_matrix(cells.X)):
        cells.X = other
        assert all(torch.equal(a.values, b.values) for a, b in zip(sparse, model.batches(cells, 5), strict=True))


def outputs(model: ScGpt, adata, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    outs = [model.resume(b, 1, model.residual(b, 1)) for b in model.batches(adata, size)]
    return torch.cat([o.expression for o in outs]), torch.cat([o.embedding for o in outs])


def test_neither_the_size_of_a_batch_nor_the_order_of_the_genes_matters(model, cells):
    expression, embedding = outputs(model, cells, 17)
    torch.testing.assert_close(outputs(model, cells, 1), (expression, embedding), rtol=1e-5, atol=1e-5)
    order = np.random.default_rng(2).permutation(DATA_GENES)
    shuffled = outputs(model, cells[:, order].copy(), 17)
    torch.testing.assert_close(shuffled, (expression[:, order], embedding), rtol=1e-5, atol=1e-5)


def test_a_cells_embedding_is_the_mean_over_its_present_genes(model, batch):
    present = batch.present.clone()
    present[3] = False
    present[3, 4] = True
    batch = replace(batch, present=present)
    out = model.resume(batch, 2, model.residual(batch, 2))
    for cell in range(5):
        expected = out.token[cell][batch.present[cell]].double().mean(0)
        torch.testing.assert_close(out.embedding[cell].double(), expected, rtol=1e-5, atol=1e-6)


def test_a_hidden_gene_is_read_as_hidden_and_the_others_are_binned_without_it(model, batch):
    hidden = replace(batch, values=batch.values.index_fill(1, torch.tensor([4]), model.config.mask_value))
    rest = torch.tensor([i for i in range(DATA_GENES + 1) if i != 4])
    alone = replace(batch, values=batch.values[:, rest], gene=batch.gene[rest], present=batch.present[:, rest])
    embedded = model._embed(hidden)
    torch.testing.assert_close(embedded[:, rest], model._embed(alone), rtol=1e-5, atol=1e-5)
    assert torch.equal(embedded[0, 4], embedded[1, 4])


def test_data_are_matched_to_the_vocabulary_by_symbol(model, cells):
    cells.var_names = ["NOGENE", *cells.var_names[1:]]
    read = read_cells(cells, model)
    assert read.n_vars == DATA_GENES - 1
    assert next(model.batches(read, 5)).values.shape == (5, DATA_GENES)
    with pytest.raises(CellsError, match=r"1 columns are no genes of .*, such as 'NOGENE'.*read_cells"):
        next(model.batches(cells, 5))


def test_cells_without_counts_in_the_genes_given_are_counted(model, cells):
    counts = cells.X.toarray()
    counts[[3, 11]] = 0
    cells.X = counts
    with pytest.raises(CellsError, match="2 cells have no counts in the model's genes; drop them"):
        next(model.batches(cells, 5))


@pytest.mark.parametrize("layer", [-1, LAYERS])
def test_a_layer_out_of_range_is_refused_with_those_that_exist(model, batch, layer):
    with pytest.raises(ModelError, match=f"layer {layer} does not exist: this model has layers 0 to 2"):
        model.residual(batch, layer)
    with pytest.raises(ModelError, match=f"layer {layer} does not exist"):
        model.resume(batch, layer, model.residual(batch, 0))


def test_a_hand_made_batch_that_the_network_cannot_read_is_refused(model, batch):
    two, beyond = batch.gene.clone(), batch.gene.clone()
    two[3] = -1
    beyond[3] = MODEL_GENES
    for gene, found in ((two, "2 without a gene"), (beyond, "largest 29"), (batch.gene.expand(5, -1), r"\(5, 24\)")):
        with pytest.raises(ModelError, match=found):
            model.residual(replace(batch, gene=gene), 0)


@pytest.mark.parametrize(
    ("wrong", "said"), [({"heads": 0}, "nheads 0"), ({"heads": 3}, "nheads 3"), ({"n_bins": 2}, "n_bins 2")]
)
def test_settings_that_make_no_model_are_refused(wrong, said):
    sizes = {"vocabulary": 30, "hidden": 14, "layers": 1, "heads": 2, "intermediate": 19}
    with pytest.raises(ModelError, match=said):
        ScGptConfig(**(sizes | wrong))


def test_a_random_model_is_its_seed_and_leaves_the_callers_random_numbers_alone(cells):
    genes = [f"G{i}" for i in range(MODEL_GENES)]
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    one, other = ScGpt.random(genes, seed=7), ScGpt.random(genes, seed=8)
    assert torch.equal(torch.rand(3), expected)
    assert same_weights(one, ScGpt.random(genes, seed=7))
    assert not same_weights(one, other)
    batch = next(one.batches(cells, 5))
    assert one.resume(batch, 2, one.residual(batch, 2)).expression.isfinite().all()


def test_the_untrained_control_has_the_same_shape_and_genes_and_no_weight_in_common(model, batch):
    fresh = model.reinitialised(3)
    assert (fresh.config, fresh.genes, fresh.cls_token) == (model.config, model.genes, model.cls_token)
    assert torch.equal(fresh.gene_token, model.gene_token)
    assert "untrained" in fresh.name
    assert same_weights(fresh, model.reinitialised(3))
    drawn = {name: p for name, p in fresh.named_parameters() if p.ndim > 1}
    assert not any(torch.equal(p, model.get_parameter(name)) for name, p in drawn.items())
    assert not torch.equal(fresh.residual(batch, 0), model.residual(batch, 0))


def test_the_card_says_how_cells_are_read_and_what_is_predicted(model):
    assert "zeros included" in model.card["reads"]
    assert "log1p counts per ten thousand" in model.card["predicts"]
    assert model.card["trained_on_tokens"] == 1200
