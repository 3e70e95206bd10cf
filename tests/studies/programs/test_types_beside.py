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
    others = [replace(sae, W_enc=sae.W_enc.roll(i, 0), W_dec=sae.W_dec.roll(i, 1)) for i in range(1, 5)]
    found = types_beside(tokens, [sae, *others], tokens.adata, 3, 0)
    assert (found.cells, found.tokens, found.draws) == (30, 32, 3)
    assert [row.name for row in found.rows] == ["tokens", "components"]
    for row in found.rows:
        assert len(row.shares) == len(row.controls) == 5
        assert row.shares == found.rows[0].shares
        assert row.shares[0] == found.share_apart
        assert len(set(row.controls)) > 1, "each autoencoder has draws of its own"


@pytest.mark.slow
def test_features_that_are_directions_of_the_same_kind_are_not_beyond_them(tokens, sae):
    """Autoencoders made of tokens themselves: p is no smaller than it should be."""
    low = 0
    for seed in range(12):
        made = []
        for i in range(5):
            x = tokens.read(np.arange(61)).x[0].float()
            rows = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(10 * seed + i))[:41]] - x.mean(
                dim=0
            )
            rows = normalize(rows, dim=1)
            one = replace(sae, W_enc=rows.T.contiguous(), W_dec=rows, b_dec=x.mean(dim=0))
            made.append(trained_dictionary(one))
        low += (types_beside(tokens, made, tokens.adata, 8, 1000 * seed).rows[0].p or 1.0) <= 0.05
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
    assert types_beside(tokens, [sae], cells, 3, 0) is None
