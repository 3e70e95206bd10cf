"""Where pretraining starts from: bins in their places, gene embeddings from training cells alone."""

import numpy as np
import pytest
import torch

from cellprism.models.aido.parts import ValueEmbedding
from cellprism.models.aido.pretrain import Counts, fresh_model, held_out_cells
from cellprism.models.aido.pretrain_start import GENE_SCALE, LARGEST_VALUE, SHARPNESS, place_bins, spectral_embeddings
from cellprism.models.aido.settings import AidoConfig
from models.conftest import same_weights
from models.planted import GENES, QUICK, TABLE, planted_cells


@pytest.fixture
def embedding() -> ValueEmbedding:
    torch.manual_seed(0)
    made = ValueEmbedding(AidoConfig(5, 14, 1, 2, 19))
    place_bins(made)
    return made


def test_a_value_is_looked_up_in_the_bins_around_it(embedding):
    """The formula of the docstring in double precision: weights fall with the squared distance to the bin."""
    centre = np.linspace(0, LARGEST_VALUE, 100)
    values = np.array([0.0, 0.31, 1.7, 4.0, 6.9])
    weights = np.exp(-SHARPNESS * (values[:, None] - centre) ** 2 / 2)
    expected = weights / weights.sum(1, keepdims=True) @ embedding.lookup_table.weight.detach().double().numpy()
    found = embedding(torch.tensor(values, dtype=torch.float32)[None])[0].detach()
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_the_places_of_the_bins_are_not_trained_and_their_meaning_is(embedding):
    trained = {name for name, p in embedding.named_parameters() if p.requires_grad}
    assert trained == {"lookup_table.weight", "mask_embedding.weight", "pad_embedding.weight"}


def test_gene_embeddings_tell_planted_programs_apart():
    cells = planted_cells()
    expression = np.log1p(cells.X.toarray())
    table = spectral_embeddings(expression, 16, 0).numpy()
    assert table.shape == (GENES, 16)
    assert np.linalg.matrix_rank(table, tol=1e-6) == 8, "half of the axes are filled"
    assert 0.3 * GENE_SCALE < table.std() < 3 * GENE_SCALE
    directions = table - table.mean(0)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    cosine = directions @ directions.T
    left, right = slice(0, 13), slice(13, 24)
    assert cosine[left, left].mean() > 0.5 > 0 > cosine[left, right].mean()


def test_no_axis_of_the_embedding_is_special():
    expression = np.log1p(planted_cells().X.toarray())
    spread = spectral_embeddings(expression, 16, 0).numpy().std(0)
    assert spread.min() > 0
    assert not np.allclose(spectral_embeddings(expression, 16, 1), spectral_embeddings(expression, 16, 0))


def test_the_start_uses_training_cells_only():
    cells = planted_cells()
    train, held_out = held_out_cells(cells.n_obs, QUICK.held_out, QUICK.seed)
    altered = cells.copy()
    counts = altered.X.toarray()
    counts[held_out] = counts[held_out][:, ::-1] * 7 + 2
    altered.X = counts
    start = fresh_model(QUICK, TABLE, Counts.of(cells), train)
    assert same_weights(start, fresh_model(QUICK, TABLE, Counts.of(altered), train))
    counts[train[0]] = counts[train[0]][::-1] * 7 + 2
    altered.X = counts
    assert not same_weights(start, fresh_model(QUICK, TABLE, Counts.of(altered), train))


def test_depth_tokens_start_as_small_as_genes():
    cells = planted_cells()
    model = fresh_model(QUICK, TABLE, Counts.of(cells), np.arange(40))
    assert 0 < model.position_embedding.weight[GENES:].abs().max() < 5 * GENE_SCALE
