"""Models of which something is random, and a model's vectors of genes."""

import numpy as np
import pytest
import torch

from cellprism.errors import ModelError
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.models.untrained import GeneVectors, with_random_weights
from cellprism.simulate.linear_model import LinearCell
from models.adapters import LAYERS, WIDTH, ExpressedGenes, blood_cells, promises


@pytest.fixture(scope="module")
def cells():
    return blood_cells()


@pytest.fixture(scope="module")
def model(cells):
    return promises(cells, seed=5)


def test_all_weights_are_random_or_those_of_the_blocks_alone(model):
    blocks, whole = with_random_weights(model, 3, blocks_only=True), with_random_weights(model, 3)
    drawn = {name: p for name, p in model.named_parameters() if p.ndim > 1}
    assert drawn
    for name, p in drawn.items():
        assert torch.equal(p, blocks.get_parameter(name)) != name.startswith("blocks."), name
        assert not torch.equal(p, whole.get_parameter(name)), name
    assert torch.equal(blocks.get_parameter("blocks.0.down.weight"), whole.get_parameter("blocks.0.down.weight"))
    assert blocks.name.endswith("blocks untrained")
    assert not blocks.training
    assert not any(p.requires_grad for p in blocks.parameters())
    other = with_random_weights(model, 4, blocks_only=True)
    assert not torch.equal(other.get_parameter("blocks.0.down.weight"), blocks.get_parameter("blocks.0.down.weight"))


def test_a_model_that_cannot_says_what_it_lacks(cells):
    with pytest.raises(ModelError, match="'expressed genes' cannot draw its blocks alone anew .*with_random_blocks"):
        with_random_weights(ExpressedGenes(cells), 0, blocks_only=True)
    with pytest.raises(ModelError, match="'linear' has no random weights to start from .*reinitialised"):
        with_random_weights(LinearCell(), 0)
    with pytest.raises(ModelError, match="'linear' reads a cell as a whole, so it has no vectors of genes"):
        GeneVectors(LinearCell())
    with pytest.raises(ModelError, match="'expressed genes' does not tell its vectors of genes .*gene_embeddings"):
        GeneVectors(ExpressedGenes(cells))


def test_vectors_of_genes_are_the_same_in_every_cell(model, cells):
    vectors = GeneVectors(model)
    tokens = CellTokens(vectors, cells, [0]).read(np.arange(cells.n_obs))
    assert tokens.x[0].shape == (cells.n_obs * cells.n_vars, WIDTH)
    assert torch.equal(tokens.x[0], model.position_embedding.weight[tokens.gene.long()])
    (batch,) = vectors.batches(cells, cells.n_obs)
    assert (vectors.residual(batch, 0)[~batch.present] == 0).all()
    assert vectors.resume(batch, 0, vectors.residual(batch, 0)).expression is None
    assert (vectors.n_layers, LAYERS) == (1, 3)
    with pytest.raises(ModelError, match="layer 1 does not exist"):
        vectors.residual(batch, 1)
