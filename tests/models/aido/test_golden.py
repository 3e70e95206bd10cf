"""The network gives the reference implementation's numbers: the reduced set always, the whole set where it lies."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from cellprism.models.aido.files import load
from cellprism.models.aido.model_input import model_input
from cellprism.types import CellBatch
from models.conftest import REDUCED

RESIDUAL, LOGITS = 1e-5, 1e-4
WEIGHTS, VALUES = "aido_tiny_layernorm.safetensors", "aido_tiny_layernorm_io.safetensors"
FEW_WEIGHTS, FEW_VALUES = "aido_tiny_2blocks.safetensors", "aido_tiny_2blocks_io.safetensors"


def batch_of(values: torch.Tensor) -> CellBatch:
    gene = torch.cat([torch.arange(97), torch.tensor([-1, -1])])
    return CellBatch(values, gene, (gene >= 0).expand(values.shape), torch.arange(len(values)))


def assert_same_residual(found: torch.Tensor, reference: torch.Tensor) -> None:
    """Within 1e-5 of the reference's largest value, everywhere."""
    assert found.shape == reference.shape
    assert (found - reference).abs().max() <= RESIDUAL * reference.abs().max()


def assert_same_logits(found: torch.Tensor, reference: torch.Tensor) -> None:
    torch.testing.assert_close(found, reference, rtol=0, atol=LOGITS)


@pytest.fixture(scope="module")
def few():
    return load(REDUCED / FEW_WEIGHTS), load_file(REDUCED / FEW_VALUES)


@pytest.fixture(scope="module")
def all_values(golden):
    return load(golden / WEIGHTS), load_file(golden / VALUES)


def test_the_committed_values_are_smaller_than_500_kB():
    assert sum(file.stat().st_size for file in REDUCED.iterdir()) < 500_000


def test_preprocessing_is_the_references(few):
    _, io = few
    found = model_input(io["counts"], io["counts"].sum(1))
    torch.testing.assert_close(found, io["plain.input"], rtol=1e-6, atol=1e-6)
    assert found[0, -1] > 5.4, "the deep cell must tell its depth"


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("kind", ["plain", "masked"])
def test_the_first_residuals_are_the_references(few, kind, layer):
    model, io = few
    found = model.residual(batch_of(io[f"{kind}.input"]), layer)
    assert_same_residual(found[:, io["tokens"]], io[f"{kind}.resid_post.{layer}"])


def test_final_norm_and_head_are_the_references(few):
    model, io = few
    tokens = io["tokens"]
    is_gene = tokens < 97
    gene = torch.where(is_gene, tokens, -1)
    values = io["masked.input"][:, tokens]
    batch = CellBatch(values, gene, is_gene.expand(values.shape), torch.arange(len(values)))
    out = model.resume(batch, model.n_layers - 1, io["masked.resid_post.4"])
    assert_same_residual(out.token, io["masked.final_norm"])
    assert_same_logits(out.expression, io["masked.logits"][:, is_gene])


def test_hidden_and_padded_tokens_take_embeddings_of_their_own(few):
    model, io = few
    values = io["masked.input"]
    embedded = model.value_embedding(values)
    assert torch.equal(embedded[values == -1], model.value_embedding.mask_embedding.weight.expand(10, -1))
    assert torch.equal(embedded[values == -2], model.value_embedding.pad_embedding.weight)


def test_the_reduced_values_are_a_part_of_all(few, all_values, golden):
    _, io = few
    _, whole = all_values
    weights, whole_weights = load_file(REDUCED / FEW_WEIGHTS), load_file(golden / WEIGHTS)
    assert all(torch.equal(tensor, whole_weights[name]) for name, tensor in weights.items())
    rows = {"plain": io["cells"], "masked": io["masked_cells"]}
    assert torch.equal(io["counts"], whole["counts"][io["cells"]])
    for name in io.keys() - {"cells", "masked_cells", "tokens", "counts"}:
        part = whole[name][rows[name.split(".")[0]]]
        assert torch.equal(io[name], part if name.endswith("input") else part[:, io["tokens"]]), name


def test_all_preprocessing_is_the_references(all_values):
    _, io = all_values
    found = model_input(io["counts"], io["counts"].sum(1))
    torch.testing.assert_close(found, io["plain.input"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["plain", "masked"])
def test_every_residual_final_norm_and_logit_is_the_references(all_values, kind):
    model, io = all_values
    batch = batch_of(io[f"{kind}.input"])
    for layer in range(5):
        x = model.residual(batch, layer)
        assert_same_residual(x, io[f"{kind}.resid_post.{layer}"])
        out = model.resume(batch, layer, x)
        assert_same_residual(out.token, io[f"{kind}.final_norm"])
        assert_same_logits(out.expression, io[f"{kind}.logits"][:, :97])
        assert_same_logits(model.head(out.token), io[f"{kind}.logits"])


def test_sizes_and_conventions_are_read_off_the_published_file(golden):
    with safe_open(golden / WEIGHTS, framework="pt") as opened:
        said = json.loads(opened.metadata()["config"])
    config = load(golden / WEIGHTS).config
    assert (config.n_genes, config.hidden, config.layers, config.heads, config.intermediate) == (97, 64, 5, 2, 88)
    assert (config.heads, config.eps, config.bins) == (
        said["num_attention_heads"], said["layer_norm_eps"], said["bin_num"],
    )  # fmt: skip
    assert (config.norm, config.gene_subset, config.total) == ("layer", False, "aligned")
