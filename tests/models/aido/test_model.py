"""The network cut in two, what it is fed, and what a mistake is told."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData

from cellprism.errors import CellsError, ModelError
from cellprism.models.aido.model import AidoCell
from cellprism.models.aido.parts import Block
from cellprism.models.aido.settings import AidoConfig
from cellprism.types import CellBatch
from models.conftest import DATA_GENES, MODEL_GENES, random_model, same_weights

LAYERS = 3


def whole(model: AidoCell, batch: CellBatch):
    """The forward pass in one go: embeddings, every block, final norm, head."""
    gene = torch.where(batch.gene >= 0, batch.gene, torch.arange(len(batch.gene)) - len(batch.gene) + MODEL_GENES + 2)
    x = model.value_embedding(batch.values) + model.position_embedding(gene)
    for block in model.blocks:
        x = block(x)
    x = model.final_norm(x)
    return model.head(x)[:, batch.gene >= 0], x


@pytest.mark.parametrize("layer", range(LAYERS))
@pytest.mark.parametrize("kind", ["subset_model", "full_model"])
def test_resuming_from_a_residual_is_the_whole_forward_bit_for_bit(request, cells, kind, layer):
    model = request.getfixturevalue(kind)
    for batch in model.batches(cells, 5):
        expression, token = whole(model, batch)
        out = model.resume(batch, layer, model.residual(batch, layer))
        assert torch.equal(out.expression, expression)
        assert torch.equal(out.token, token)


def test_gradients_flow_through_the_second_half_alone(subset_model, cells):
    batch = next(subset_model.batches(cells, 5))
    x = subset_model.residual(batch, 1).requires_grad_()
    subset_model.resume(batch, 1, x).expression.sum().backward()
    assert x.grad.abs().sum() > 0
    assert all(p.grad is None for p in subset_model.parameters())


@pytest.mark.parametrize("layers", [[2, 0], [1], [0, 0, 1], []])
def test_several_residuals_of_one_pass_are_those_of_a_pass_each(subset_model, cells, layers):
    batch = next(subset_model.batches(cells, 5))
    runs = Counter()
    hooks = [b.register_forward_hook(lambda *_, i=i: runs.update([i])) for i, b in enumerate(subset_model.blocks)]
    found = subset_model.residuals(batch, layers)
    for hook in hooks:
        hook.remove()
    assert runs == Counter(range(max(layers, default=-1) + 1)), "each block once, and none after the deepest"
    assert len(found) == len(layers)
    for x, layer in zip(found, layers, strict=True):
        assert torch.equal(x, subset_model.residual(batch, layer))
    with pytest.raises(ModelError, match="layer 3 does not exist"):
        subset_model.residuals(batch, [0, LAYERS])


def gradient(model: AidoCell, batch: CellBatch, layer: int) -> torch.Tensor:
    x = model.residual(batch, layer).requires_grad_()
    out = model.resume(batch, layer, x)
    (out.expression.square().sum() + out.embedding.sum()).backward()
    assert x.grad is not None
    return x.grad


@pytest.mark.parametrize("layer", range(LAYERS))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_the_same_when_blocks_are_calculated_twice(cells, layer, dtype):
    model = random_model()
    model.compute_dtype = dtype
    batch = next(model.batches(cells, 5))
    expected = gradient(model, batch, layer)
    model.checkpointing = True
    calls = Counter()
    hooks = [b.register_forward_pre_hook(lambda *_, i=i: calls.update([i])) for i, b in enumerate(model.blocks)]
    assert torch.equal(gradient(model, batch, layer), expected)
    for hook in hooks:
        hook.remove()
    assert calls == Counter(range(layer + 1)) + Counter(dict.fromkeys(range(layer + 1, LAYERS), 2))


def test_without_gradients_nothing_is_calculated_twice(cells):
    model = random_model()
    model.checkpointing = True
    batch = next(model.batches(cells, 5))
    calls = Counter()
    for i, block in enumerate(model.blocks):
        block.register_forward_pre_hook(lambda *_, i=i: calls.update([i]))
    model.resume(batch, 1, model.residual(batch, 1))
    with torch.no_grad():
        model.resume(batch, 1, model.residual(batch, 1).requires_grad_())
    assert calls == Counter([0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_in_bfloat16_only_the_blocks_products_are(cells, norm):
    model = random_model()
    if norm == "rms":
        torch.manual_seed(3)
        model = AidoCell(replace(model.config, norm="rms"), model.gene_table).requires_grad_(False)
    batch = next(model.batches(cells, 5))
    exact = model.resume(batch, 1, model.residual(batch, 1))
    model.compute_dtype = torch.bfloat16
    seen = {}
    for name, module in model.named_modules():
        if not list(module.children()):
            module.register_forward_hook(
                lambda _, given, out, name=name: seen.update({name: (given[0].dtype, out.dtype)})
            )
    x = model.residual(batch, 1)
    out = model.resume(batch, 1, x)
    single = (torch.float32, torch.float32)
    norms = [name for name in seen if "norm" in name]
    assert len(norms) == 2 * LAYERS + 2
    assert all(seen[name] == single for name in norms)
    assert all(seen[name] == single for name in seen if name.startswith(("value_embedding.linear", "head")))
    products = [n for n in seen if n.rpartition(".")[2] in ("query", "key", "value", "out", "gate", "up", "down")]
    assert len(products) == 7 * LAYERS
    assert all(seen[name][1] == torch.bfloat16 for name in products)
    assert x.dtype == out.expression.dtype == out.embedding.dtype == torch.float32
    assert batch.values.dtype == torch.float32
    assert not torch.equal(out.expression, exact.expression)
    torch.testing.assert_close(out.expression, exact.expression, rtol=0.02, atol=0.02)
    assert torch.equal(model.resume(batch, 0, model.residual(batch, 0)).expression, out.expression)


def test_the_arithmetic_is_float32_off_a_gpu_unless_asked_for_otherwise(subset_model):
    assert subset_model.compute_dtype is None
    assert subset_model.block_dtype == torch.float32
    model = random_model()
    model.compute_dtype = torch.bfloat16
    assert model.block_dtype == model.reinitialised(5).block_dtype == torch.bfloat16


def test_a_gene_subset_keeps_true_positions_and_all_genes_give_the_published_forward(full_model, cells):
    subset = AidoCell(replace(full_model.config, gene_subset=True), full_model.gene_table).requires_grad_(False)
    subset.load_state_dict(full_model.state_dict())
    few = next(subset.batches(cells, 5))
    assert few.gene[:-2].tolist() == [full_model.genes.index(g) for g in cells.var_names]
    counts = np.random.default_rng(3).poisson(1.5, (7, MODEL_GENES)).astype(np.float32)
    everything = AnnData(sp.csr_matrix(counts), var=pd.DataFrame(index=list(full_model.genes)))
    one, other = (next(m.batches(everything, 7)) for m in (subset, full_model))
    assert torch.equal(subset.resume(one, 1, subset.residual(one, 1)).expression,
                       full_model.resume(other, 1, full_model.residual(other, 1)).expression)  # fmt: skip


def test_a_block_is_attention_and_gated_feed_forward_by_a_loop_in_double_precision():
    torch.manual_seed(0)
    config = AidoConfig(n_genes=5, hidden=6, layers=1, heads=3, intermediate=7)
    block = Block(config).double().requires_grad_(False)
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    found = block(x)
    for cell in range(2):
        y = block.norm1(x[cell])
        q, k, v = block.query(y), block.key(y), block.value(y)
        mixed = torch.zeros_like(y)
        for head in range(3):
            part = slice(2 * head, 2 * head + 2)
            for token in range(5):
                scores = torch.stack([q[token, part] @ k[other, part] for other in range(5)]) / 2**0.5
                mixed[token, part] = torch.softmax(scores, 0) @ v[:, part]
        h = x[cell] + block.out(mixed)
        y = block.norm2(h)
        gate = block.gate(y)
        expected = h + block.down(gate * torch.sigmoid(gate) * block.up(y))
        torch.testing.assert_close(found[cell], expected, rtol=1e-12, atol=1e-12)


def test_absent_genes_are_left_out_by_a_model_trained_on_subsets(subset_model, cells):
    batch = next(subset_model.batches(cells, 5))
    assert batch.values.shape == (5, DATA_GENES + 2)
    assert [subset_model.genes[i] for i in batch.gene[:-2]] == list(cells.var_names)
    assert batch.present[:, :-2].all()


def test_absent_genes_are_zeros_and_not_present_in_a_published_model(full_model, cells):
    batch = next(full_model.batches(cells, 5))
    assert batch.gene.tolist() == [*range(MODEL_GENES), -1, -1]
    counts = np.zeros((5, MODEL_GENES))
    for column, gene in enumerate(cells.var_names):
        counts[:, full_model.genes.index(gene)] = cells.X[:5].toarray()[:, column]
    expected = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)
    np.testing.assert_allclose(batch.values[:, :-2], expected, rtol=1e-6)
    assert [full_model.genes[i] for i in np.flatnonzero(batch.present[0])] == sorted(
        cells.var_names, key=full_model.genes.index
    )


@pytest.mark.parametrize("kind", ["subset_model", "full_model"])
def test_depth_tokens_come_last_and_are_neither_genes_nor_present(request, cells, kind):
    cells.obs["total_counts"] = 10.0**6
    cells.X = cells.X * 1e5
    for batch in request.getfixturevalue(kind).batches(cells, 7):
        assert batch.gene[-2:].tolist() == [-1, -1]
        assert not batch.present[:, -2:].any()
        assert (batch.values[:, -2:] > 5.5).all()


def test_a_declared_total_counts_only_where_the_model_was_trained_with_it(subset_model, full_model, cells):
    counts = cells.X.toarray()
    declared = cells.obs["total_counts"].to_numpy()
    column = full_model.genes.index(cells.var_names[0])
    by_cell = next(subset_model.batches(cells, 17)).values[:, 0]
    aligned = next(full_model.batches(cells, 17)).values[:, column]
    np.testing.assert_allclose(by_cell, np.log1p(counts[:, 0] / declared * 1e4), rtol=1e-6)
    np.testing.assert_allclose(aligned, np.log1p(counts[:, 0] / counts.sum(1) * 1e4), rtol=1e-6)


def test_without_a_declared_total_the_given_genes_are_added_up(subset_model, cells):
    counts = cells.X.toarray()
    del cells.obs["total_counts"]
    values = next(subset_model.batches(cells, 17)).values[:, :-2]
    np.testing.assert_allclose(values, np.log1p(counts / counts.sum(1, keepdims=True) * 1e4), rtol=1e-6)


def test_batches_number_every_cell_once_in_order_and_take_any_matrix(subset_model, cells):
    sparse = list(subset_model.batches(cells, 5))
    assert [len(b.values) for b in sparse] == [5, 5, 5, 2]
    assert torch.cat([b.cell for b in sparse]).tolist() == list(range(17))
    for other in (cells.X.toarray(), sp.csc_matrix(cells.X)):
        cells.X = other
        assert all(torch.equal(a.values, b.values) for a, b in zip(sparse, subset_model.batches(cells, 5), strict=True))


def test_nothing_of_the_cells_is_changed_by_reading_them(full_model, cells):
    before = cells.copy()
    list(full_model.batches(cells, 5))
    assert (cells.X != before.X).nnz == 0
    assert cells.obs.equals(before.obs)


def expression_of(model: AidoCell, adata, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    outs = [model.resume(b, 1, model.residual(b, 1)) for b in model.batches(adata, size)]
    return torch.cat([o.expression for o in outs]), torch.cat([o.embedding for o in outs])


@pytest.mark.parametrize("kind", ["subset_model", "full_model"])
def test_the_size_of_a_batch_does_not_matter(request, cells, kind):
    model = request.getfixturevalue(kind)
    one, all_at_once = expression_of(model, cells, 1), expression_of(model, cells, 17)
    torch.testing.assert_close(one, all_at_once, rtol=1e-5, atol=1e-5)


def test_the_order_of_the_genes_does_not_matter(subset_model, full_model, cells):
    order = np.random.default_rng(2).permutation(DATA_GENES)
    shuffled = cells[:, order].copy()
    expression, embedding = expression_of(subset_model, cells, 17)
    moved, same = expression_of(subset_model, shuffled, 17)
    torch.testing.assert_close(moved, expression[:, order], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(same, embedding, rtol=1e-5, atol=1e-5)
    a, b = expression_of(full_model, cells, 17), expression_of(full_model, shuffled, 17)
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True)), "a full model puts genes in its own order"


@pytest.mark.parametrize("kind", ["subset_model", "full_model"])
def test_a_cells_embedding_is_the_mean_over_its_present_genes(request, cells, kind):
    model = request.getfixturevalue(kind)
    batch = next(model.batches(cells, 5))
    present = batch.present.clone()
    present[3] = False
    present[3, 4] = True
    batch = replace(batch, present=present)
    out = model.resume(batch, 2, model.residual(batch, 2))
    for cell in range(5):
        expected = out.token[cell][batch.present[cell]].double().mean(0)
        torch.testing.assert_close(out.embedding[cell].double(), expected, rtol=1e-5, atol=1e-6)


def test_a_column_that_is_no_gene_of_the_model_is_named(subset_model, cells):
    cells.var_names = ["NOGENE", *cells.var_names[1:]]
    with pytest.raises(CellsError, match=r"1 columns are no genes of random, such as 'NOGENE'.*read_cells"):
        next(subset_model.batches(cells, 5))


@pytest.mark.parametrize("kind", ["subset_model", "full_model"])
def test_cells_without_counts_are_counted(request, cells, kind):
    counts = cells.X.toarray()
    counts[[3, 11]] = 0
    cells.X = counts
    del cells.obs["total_counts"]
    with pytest.raises(CellsError, match="2 cells have no counts in the model's genes; drop them"):
        next(request.getfixturevalue(kind).batches(cells, 5))


def test_a_model_without_a_gene_list_cannot_read_cells_and_says_what_to_give(cells):
    model = AidoCell(AidoConfig(MODEL_GENES, 14, 1, 2, 19), name="bare")
    with pytest.raises(ModelError, match="'bare' came without a gene list"):
        next(model.batches(cells, 5))


def test_a_gene_list_of_another_length_is_refused(subset_model):
    with pytest.raises(ModelError, match=r"29 genes but the model's position embedding has room for 31"):
        AidoCell(AidoConfig(31, 14, 1, 2, 19), subset_model.gene_table)


@pytest.mark.parametrize("layer", [-1, LAYERS])
def test_a_layer_out_of_range_is_refused_with_those_that_exist(subset_model, cells, layer):
    batch = next(subset_model.batches(cells, 5))
    with pytest.raises(ModelError, match=f"layer {layer} does not exist: this model has layers 0 to 2"):
        subset_model.residual(batch, layer)
    with pytest.raises(ModelError, match=f"layer {layer} does not exist"):
        subset_model.resume(batch, layer, subset_model.residual(batch, 0))


@pytest.mark.parametrize("heads", [0, 3])
def test_heads_that_do_not_divide_the_width_are_refused(heads):
    with pytest.raises(ModelError, match=f"hidden 14 is not a multiple of heads {heads}"):
        AidoConfig(MODEL_GENES, 14, 1, heads, 19)


def test_a_hand_made_batch_that_the_network_cannot_read_is_refused(subset_model, cells):
    batch = next(subset_model.batches(cells, 5))
    three = batch.gene.clone()
    three[0] = -1
    beyond = batch.gene.clone()
    beyond[0] = MODEL_GENES
    for gene, found in ((three, "3 without a gene"), (beyond, "largest 29"), (batch.gene.expand(5, -1), r"\(5, 25\)")):
        with pytest.raises(ModelError, match=found):
            subset_model.residual(replace(batch, gene=gene), 0)


def test_a_random_model_is_its_seed_and_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    one, other = random_model(seed=7), random_model(seed=8)
    assert torch.equal(torch.rand(3), expected)
    assert same_weights(one, random_model(seed=7))
    assert not same_weights(one, other)


def test_the_untrained_control_has_the_same_shape_and_genes_and_no_weight_in_common(subset_model):
    fresh = subset_model.reinitialised(3)
    assert fresh.config == subset_model.config
    assert fresh.genes == subset_model.genes
    assert "untrained" in fresh.name
    assert same_weights(fresh, subset_model.reinitialised(3))
    drawn = {name: p for name, p in fresh.named_parameters() if p.ndim > 1}
    assert not any(torch.equal(p, subset_model.get_parameter(name)) for name, p in drawn.items())
