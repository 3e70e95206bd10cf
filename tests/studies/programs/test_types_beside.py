"""Features and types beside directions that nobody trained."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from features.conftest import D_MODEL, LAYER, make_cells, make_model
from torch.nn.functional import normalize

from cellprism.features.dictionaries import TokenSample, trained_dictionary
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.studies.programs import types_beside as module
from cellprism.studies.programs.types_beside import types_beside


@pytest.fixture(scope="module")
def tokens():
    return CellTokens(make_model(True), make_cells(61), [LAYER], batch_size=32)


@pytest.fixture
def sae():
    W_dec = normalize(torch.randn(41, D_MODEL, generator=torch.Generator().manual_seed(0)), dim=1)
    return SparseAutoencoder(W_dec.T.contiguous(), torch.zeros(41), W_dec, torch.zeros(D_MODEL), k=5)


def test_all_are_compared_on_the_same_cells(tokens, sae):
    found = types_beside(tokens, sae, tokens.adata, 39, 0)
    assert (found.cells, found.tokens) == (30, 32)
    assert [row.name for row in found.rows] == ["tokens", "components"]
    for row in found.rows:
        assert row.draws == 39
        assert row.interval[0] <= row.share_apart <= row.interval[1]
        assert 0.05 <= row.p <= 1
    assert found.rows[found.hardest].share_apart == max(row.share_apart for row in found.rows)


@pytest.mark.slow
def test_features_that_are_directions_of_the_same_kind_are_not_beyond_them(tokens, sae):
    """Autoencoders made of tokens themselves: p is no smaller than it should be."""
    low = 0
    for seed in range(12):
        x = tokens.read(np.arange(61)).x[0].float()
        rows = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:41]] - x.mean(dim=0)
        rows = normalize(rows, dim=1)
        made = replace(sae, W_enc=rows.T.contiguous(), W_dec=rows, b_dec=x.mean(dim=0))
        found = types_beside(tokens, trained_dictionary(made), tokens.adata, 39, seed)
        low += found.rows[0].p <= 0.05
    assert low <= 3


def test_the_share_counts_features_that_fire_and_differ():
    """Direction 0 is on in one type alone, 1 in all cells alike with noise, 2 never."""
    rng = np.random.default_rng(0)
    axes = torch.eye(4)[:3]
    labels = np.repeat(["a", "b"], 30)
    on = np.repeat(labels == "b", 5)[:, None] * 1.0
    x = np.zeros((300, 4), dtype=np.float32)
    x[:, 0] = on[:, 0] + 0.01 * (1 + rng.random(300))
    x[:, 1] = np.tile(rng.random(150), 2) + 0.5  # the same in both types
    sample = TokenSample(torch.from_numpy(x), torch.zeros(300, dtype=torch.long), torch.arange(300) // 5)
    sae = SparseAutoencoder(axes.T.contiguous(), torch.zeros(3), axes, torch.zeros(4), k=2)
    assert module._share(sae, sample, labels) == 0.5


@pytest.mark.parametrize("labels", [None, "unlabelled", "helper"])
def test_without_types_nothing_is_compared(tokens, sae, labels):
    cells = tokens.adata.copy()
    if labels is None:
        del cells.obs["cell_type"]
    else:
        cells.obs["cell_type"] = labels
    assert types_beside(tokens, sae, cells, 39, 0) is None
