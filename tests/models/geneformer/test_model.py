"""The network cut in two against the library's own forward pass, and what it is fed."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

pytest.importorskip("transformers", reason="Geneformer needs the package transformers")

from cellprism.cells.genes import GeneTable
from cellprism.cells.read import read_cells
from cellprism.errors import CellsError, ModelError
from cellprism.models.geneformer.dictionaries import Dictionary
from cellprism.models.geneformer.files import load
from cellprism.models.geneformer.model import Geneformer, one_by_one, together
from cellprism.types import CellModel
from models.conftest import same_weights
from models.geneformer.conftest import CELLS, IDS, INPUT, MODEL_GENES, NAMES

LAYERS = 3


def library(published, batch):
    """Final hidden states after every block and all logits of each cell, from the library's own forward pass."""
    network, cells = published.network(), []
    for ids in batch.values.long():
        with torch.no_grad():
            out = network(ids[ids != 0][None], output_hidden_states=True)
        cells.append(([x[0] for x in out.hidden_states], out.logits[0]))
    return cells


@pytest.mark.parametrize("layer", range(LAYERS))
def test_residual_and_resume_are_the_librarys_forward_pass_bit_for_bit(published, model, cells, layer):
    for batch in model.batches(cells, 5):
        x = model.residual(batch, layer)
        out = model.resume(batch, layer, x)
        assert out.expression is None
        for i, (hidden, logits) in enumerate(library(published, batch)):
            assert torch.equal(x[i, : len(logits)], hidden[layer + 1])
            assert torch.equal(out.token[i, : len(logits)], hidden[-1])
            own = logits.gather(1, batch.values[i, : len(logits), None].long())[:, 0]
            gene = batch.gene[i] >= 0
            torch.testing.assert_close(out.token_logit[i][gene], own[gene[: len(logits)]], rtol=1e-5, atol=1e-5)
            assert not out.token_logit[i][~gene].any()


def test_a_hidden_gene_is_the_librarys_mask_and_its_logit_is_that_of_the_gene_that_stood_there(published, model, cells):
    batch = next(model.batches(cells, 5))
    hidden = batch.present & (torch.arange(batch.values.shape[1]) % 3 == 0)
    masked = model.mask(batch, hidden)
    assert (masked.values[hidden] == published.tokens["<mask>"]).all()
    out = model.resume(masked, 1, model.residual(masked, 1))
    for i, (_, logits) in enumerate(library(published, masked)):
        own = logits.gather(1, batch.values[i, : len(logits), None].long())[:, 0]
        gene = batch.present[i, : len(logits)]
        torch.testing.assert_close(out.token_logit[i, : len(logits)][gene], own[gene], rtol=1e-5, atol=1e-5)


def test_cells_side_by_side_are_what_the_library_makes_of_a_padded_batch_bit_for_bit(published, model, cells):
    """The way of other devices, which runs on a CPU as well."""
    network = published.network()
    for batch in model.batches(cells, 5):
        ids, lengths = batch.values.long(), (batch.values != 0).sum(1).tolist()
        with torch.no_grad():
            states = network(ids, attention_mask=(ids != 0).long(), output_hidden_states=True).hidden_states
        x = states[0]
        for layer, block in enumerate(model.network.bert.encoder.layer):
            alone, x = one_by_one(block, x, lengths), together(block, x, lengths)
            for i, length in enumerate(lengths):
                assert torch.equal(x[i, :length], states[layer + 1][i, :length])
            torch.testing.assert_close(alone, x, rtol=1e-5, atol=1e-5)
            assert not alone[ids == 0].any()
            assert not x[ids == 0].any()


def test_several_layers_from_one_pass_are_each_layer_by_itself_in_the_order_asked(model, cells):
    batch = next(model.batches(cells, 5))
    for layers in ([0, 1, 2], [2, 0], [1, 1]):
        found = model.residuals(batch, layers)
        assert all(torch.equal(x, model.residual(batch, layer)) for x, layer in zip(found, layers, strict=True))


def test_later_blocks_are_not_run(model, cells):
    batch = next(model.batches(cells, 5))
    with torch.no_grad():
        model.network.bert.encoder.layer[2].output.dense.weight.fill_(torch.nan)
    assert model.residual(batch, 1).isfinite().all()
    assert not model.residual(batch, 2).isfinite().all()


def test_tokens_are_the_expressed_genes_from_the_highest_above_usual_down(published, model, cells):
    room = INPUT - 2 * (published.version == "V2")
    counts = cells.X.toarray()
    ids = dict(zip(NAMES, IDS, strict=True))
    cut = 0
    for batch in model.batches(cells, 5):
        for i, cell in enumerate(batch.cell.tolist()):
            value = {
                published.tokens[ids[name]]: count / counts[cell].sum() * 1e4 / published.medians[ids[name]]
                for name, count in zip(cells.var_names, counts[cell].astype(float), strict=True)
                if count
            }
            expected = sorted(value, key=lambda token: -value[token])
            cut += len(expected) > room
            expected = expected[:room] if published.version == "V1" else [2, *expected[:room], 3]
            padded = expected + [0] * (batch.values.shape[1] - len(expected))
            assert batch.values[i].tolist() == padded
            genes = [token for token in padded if token > 3 or (published.version == "V1" and token > 1)]
            named = [model.genes[g] for g in batch.gene[i][batch.present[i]].tolist()]
            assert [published.tokens[ids[name]] for name in named] == genes
            assert torch.equal(batch.present[i], batch.gene[i] >= 0)
    assert cut > 3, "these cells test that low ranks are left out"


def test_it_says_how_many_expressed_genes_it_does_not_read(model, cells):
    (said,) = model.limits_on(cells)
    expressed, read = np.count_nonzero(cells.X.toarray(), axis=1), []
    for batch in model.batches(cells, 5):
        read += batch.present.sum(dim=1).tolist()
    unread = expressed - np.array(read)
    assert f"{unread.sum() / expressed.sum():.1%} are not read, in {(unread > 0).sum()} of {CELLS} cells" in said
    assert model.limits_on(cells[unread == 0]) == []


def test_a_batch_is_as_wide_as_its_fullest_cell(published, model, cells):
    special = 2 * (published.version == "V2")
    small = next(model.batches(cells[2:3], 5))
    assert small.values.shape == (1, 3 + special)
    assert next(model.batches(cells, 5)).values.shape == (5, INPUT)
    assert [len(b.values) for b in model.batches(cells, 5)] == [5, 5, 5, 2]
    assert torch.cat([b.cell for b in model.batches(cells, 5)]).tolist() == list(range(CELLS))


def of_each_cell(model, adata, size):
    """Genes, final hidden states, embedding and logits of every cell, whatever the padding."""
    found = []
    for batch in model.batches(adata, size):
        out = model.resume(batch, 1, model.residual(batch, 1))
        for i, present in enumerate(batch.present):
            found.append((batch.gene[i][present], out.token[i][present], out.embedding[i], out.token_logit[i][present]))
    return found


@pytest.mark.parametrize("size", [1, 2, 5])
def test_batch_size_and_padding_do_not_matter(model, cells, size):
    whole = of_each_cell(model, cells, CELLS)
    for one, other in zip(whole, of_each_cell(model, cells, size), strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1]), "bit for bit: cells are run one by one"
        for a, b in zip(one[2:], other[2:], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_the_order_of_the_columns_and_the_kind_of_matrix_do_not_matter(model, cells):
    first = list(model.batches(cells, 5))
    shuffled = cells[:, np.random.default_rng(2).permutation(cells.n_vars)].copy()
    dense = cells.copy()
    dense.X = cells.X.toarray()
    column = cells.copy()
    column.X = sp.csc_matrix(cells.X)
    for other in (shuffled, dense, column):
        assert all(torch.equal(a.values, b.values) for a, b in zip(first, model.batches(other, 5), strict=True))


def test_cells_are_left_as_they_are(model, cells):
    before = cells.copy()
    list(model.batches(cells, 5))
    assert (cells.X != before.X).nnz == 0


def test_gradients_flow_through_the_second_half_alone(model, cells):
    batch = next(model.batches(cells, 5))
    assert not model.residual(batch, 1).requires_grad
    x = model.residual(batch, 1).requires_grad_()
    out = model.resume(batch, 1, x)
    (out.token_logit.sum() + out.embedding.square().sum()).backward()
    hidden = batch.values == 0
    assert x.grad[~hidden].abs().sum(-1).min() > 0
    assert x.grad[hidden].abs().sum() == 0, "nothing depends on padding"
    assert all(p.grad is None for p in model.parameters())


def test_a_cells_embedding_is_the_mean_over_its_present_genes(model, cells):
    batch = next(model.batches(cells, 5))
    present = batch.present.clone()
    present[3] = False
    present[3, 4] = True
    some = replace(batch, present=present)
    out, before = (model.resume(b, 2, model.residual(b, 2)) for b in (some, batch))
    assert torch.equal(out.token, before.token), "what is called present does not change what is computed"
    for cell in range(5):
        expected = out.token[cell][present[cell]].double().mean(0)
        torch.testing.assert_close(out.embedding[cell].double(), expected, rtol=1e-5, atol=1e-6)


def test_the_model_keeps_the_protocol_and_says_where_its_genes_come_from(published, model):
    assert isinstance(model, CellModel)
    assert (model.n_layers, model.d_model, model.input_size) == (3, 26, INPUT)
    assert model.licence == "Apache-2.0"
    assert model.name == f"Geneformer-{published.version}"
    assert set(model.genes) == set(NAMES)
    assert model.genes == model.gene_table.symbol
    assert len(model.card["gene_dictionary"]) == 4


def test_cells_are_aligned_by_ensembl_id_symbol_or_alias(model, cells):
    ids = dict(zip(NAMES, IDS, strict=True))
    by_id = cells.copy()
    by_id.var_names = [ids[name] for name in cells.var_names]
    by_alias = cells.copy()
    by_alias.var_names = ["OLD3" if name == "G3" else name for name in cells.var_names]
    assert "OLD3" in by_alias.var_names
    first = [b.values for b in model.batches(read_cells(cells, model), 5)]
    for other in (by_id, by_alias):
        aligned = read_cells(other, model)
        assert set(aligned.var_names) == set(cells.var_names)
        assert all(map(torch.equal, first, (b.values for b in model.batches(aligned, 5))))


def test_a_column_that_is_no_gene_of_the_model_is_named(model, cells):
    cells.var_names = ["NOGENE", *cells.var_names[1:]]
    with pytest.raises(CellsError, match=r"1 columns are no genes of Geneformer-V\d, such as 'NOGENE'.*read_cells"):
        next(model.batches(cells, 5))


def test_cells_without_counts_are_counted(model, cells):
    counts = cells.X.toarray()
    counts[[3, 11]] = 0
    cells.X = sp.csr_matrix(counts)
    with pytest.raises(CellsError, match="2 cells have no counts in the model's genes; drop them"):
        next(model.batches(cells, 5))


@pytest.mark.parametrize("layer", [-1, LAYERS])
def test_a_layer_out_of_range_is_refused_with_those_that_exist(model, cells, layer):
    batch = next(model.batches(cells, 5))
    with pytest.raises(ModelError, match=f"layer {layer} does not exist: this model has layers 0 to 2"):
        model.residual(batch, layer)
    with pytest.raises(ModelError, match=f"layer {layer} does not exist"):
        model.resume(batch, layer, model.residual(batch, 0))


def test_a_hand_made_batch_that_the_network_cannot_read_is_refused(published, model, cells):
    batch = next(model.batches(cells, 5))
    beyond, broken = batch.values.clone(), batch.values + 0.25
    beyond[0, 0] = len(published.tokens)
    for values, found in ((beyond, f"to {len(published.tokens)}, 13 a cell"), (broken, "found values from")):
        with pytest.raises(ModelError, match=found):
            model.residual(replace(batch, values=values), 0)
    gap, empty = batch.values.clone(), batch.values.clone()
    gap[0, 2], empty[1] = 0, 0
    for values in (gap, empty):
        with pytest.raises(ModelError, match=r"found a cell with padding before or between them, or without tokens"):
            model.residual(replace(batch, values=values), 0)
    wide = [torch.cat([t, t], dim=1) for t in (batch.values, batch.gene, batch.present)]
    with pytest.raises(ModelError, match=r"13 a cell at most; found .*26 a cell; make batches with"):
        model.residual(replace(batch, values=wide[0], gene=wide[1], present=wide[2]), 0)


def test_attention_is_the_fused_one_whatever_the_configuration_says(published, cells):
    network = published.network()
    network.set_attn_implementation("eager")
    dictionary = load(published.folder).dictionary
    batch = next((eager := Geneformer(network, dictionary)).batches(cells, 5))
    found = eager.residual(batch, 2)
    for i, (hidden, _) in enumerate(library(published, batch)):
        assert torch.equal(found[i, : len(hidden[-1])], hidden[-1])


def test_a_random_model_is_its_seed_and_leaves_the_callers_random_numbers_alone(cells):
    sizes = {"hidden": 26, "layers": 2, "heads": 2, "intermediate": 19, "input_size": INPUT}
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    one, other = (Geneformer.random(NAMES, seed=seed, **sizes) for seed in (7, 8))
    assert torch.equal(torch.rand(3), expected)
    assert same_weights(one, Geneformer.random(NAMES, seed=7, **sizes))
    assert not same_weights(one, other)
    assert one.genes == tuple(NAMES)
    assert (one.licence, one.revision) == ("none", "seed 7")
    assert "medians as given" in one.card["gene_dictionary"].values()
    batch = next(one.batches(cells, 5))
    assert batch.values[:, 0].tolist() == [2] * 5, "V2 unless told otherwise"
    plain = next(Geneformer.random(NAMES, special=False, **sizes).batches(cells, 5))
    assert plain.present[:, 0].all()
    named = [one.genes[i] for i in batch.gene[0][batch.present[0]].tolist()]
    counts = cells[0, named].X.toarray()[0]
    assert (np.diff(counts) <= 0).all(), "with one level for all genes, counts rank them"


def test_the_untrained_control_has_the_same_shape_and_genes_and_no_weight_in_common(model, cells):
    fresh = model.reinitialised(8)
    assert fresh.gene_table == model.gene_table
    assert "untrained" in fresh.name
    assert same_weights(fresh, model.reinitialised(8))
    drawn = {name: p for name, p in fresh.named_parameters() if p.ndim > 1}
    assert not any(torch.equal(p, model.get_parameter(name)) for name, p in drawn.items())
    for a, b in zip(model.batches(cells, 5), fresh.batches(cells, 5), strict=True):
        assert torch.equal(a.values, b.values)


def test_a_dictionary_of_another_size_is_refused(model):
    table = GeneTable.of([f"X{i}" for i in range(MODEL_GENES + 8)])
    other = Dictionary.of(table, np.ones(len(table)))
    with pytest.raises(ModelError, match=r"the dictionary has 41 tokens but the network embeds 3\d"):
        Geneformer(model.network, other)
