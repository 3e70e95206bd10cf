"""Neurons, components, clusters and factors find what is planted, and are read as features are."""

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData

from cellprism.errors import InputError
from cellprism.features.decompositions import (
    cluster_features,
    count_programs,
    independent_features,
    neuron_features,
    principal_features,
)
from cellprism.features.dictionaries import TokenSample
from cellprism.sae.autoencoder import SparseAutoencoder

WIDTH, TOKENS, FEATURES = 7, 1201, 41


def sample(x: np.ndarray) -> TokenSample:
    gene = torch.zeros(len(x), dtype=torch.long)
    return TokenSample(torch.from_numpy(x).float(), gene, torch.arange(len(x)))


def autoencoder(centre: bool = False) -> SparseAutoencoder:
    rows = torch.eye(FEATURES, WIDTH)
    mean = torch.full((3, WIDTH), 5.0) if centre else None
    return SparseAutoencoder(rows.T, torch.zeros(FEATURES), rows, torch.zeros(WIDTH), k=2, centre=mean)


def directions(found: Any) -> np.ndarray:
    rows = found.W_dec.double().numpy()
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def sources() -> tuple[np.ndarray, np.ndarray]:
    """Three independent uneven sources, and the directions that mix them."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((3, WIDTH))
    return (rng.gamma(0.3, size=(TOKENS, 3)) * [1.0, 2.0, 1.5]) @ mixing, mixing


def test_neurons_are_centred_and_their_tails_apart():
    x = np.random.default_rng(1).normal(3, 1, size=(TOKENS, WIDTH))
    found = neuron_features(sample(x), autoencoder())
    code = found.encode(torch.from_numpy(x).float())
    assert (found.n_features, code.values.shape) == (2 * WIDTH, (TOKENS, 2 * WIDTH))
    centred = x - x.mean(axis=0)
    np.testing.assert_allclose(code.values[:, 4], np.maximum(centred[:, 2], 0), atol=1e-5)
    np.testing.assert_allclose(code.values[:, 5], np.maximum(-centred[:, 2], 0), atol=1e-5)
    assert code.features[0].tolist() == list(range(2 * WIDTH))


def test_directions_see_what_the_autoencoder_sees():
    """Vectors of the model, whose centre per gene is taken off first."""
    x = np.random.default_rng(2).normal(size=(TOKENS, WIDTH))
    found = neuron_features(sample(x), autoencoder(centre=True))
    group = torch.arange(TOKENS) % 3
    code = found.encode(torch.from_numpy(x).float() + 5.0, group)
    np.testing.assert_allclose(code.values, neuron_features(sample(x), autoencoder()).encode(
        torch.from_numpy(x).float()).values, atol=1e-5)  # fmt: skip


def test_principal_components_are_those_of_the_tokens():
    x = np.random.default_rng(3).normal(size=(TOKENS, WIDTH)) * np.arange(7, 0, -1)
    rows = directions(principal_features(sample(x), autoencoder()))
    _, axes = np.linalg.eigh(np.cov(x.T))
    assert abs(rows[0] @ axes[:, -1]) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(rows[0], -rows[1])


def test_independent_components_are_the_sources(sources):
    """Each source is followed by one tail of one component; principal components mix them."""
    x, mixing = sources
    both = {
        "independent": independent_features(sample(x), autoencoder(), 7, 0),
        "principal": principal_features(sample(x), autoencoder()),
    }
    truth = np.linalg.lstsq(mixing.T, (x - x.mean(axis=0)).T, rcond=None)[0]
    best = {}
    for name, found in both.items():
        values = ((torch.from_numpy(x).float() - found.b_dec) @ found.W_enc).double().numpy()
        best[name] = np.abs(np.corrcoef(values.T, truth)[: values.shape[1], values.shape[1] :]).max(axis=0).min()
    assert both["independent"].n_features == 6
    assert best["independent"] > 0.97 > best["principal"]
    with pytest.raises(InputError, match="do not vary"):
        independent_features(sample(np.ones((19, WIDTH))), autoencoder(), 3, 0)


def test_clusters_are_the_groups_of_the_tokens():
    rng = np.random.default_rng(4)
    kind = rng.integers(5, size=TOKENS)
    x = 9 * rng.standard_normal((5, WIDTH))[kind] + 0.1 * rng.standard_normal((TOKENS, WIDTH))
    found = cluster_features(sample(x), autoencoder(), 0)
    code = found.encode(torch.from_numpy(x).float())
    assert found.n_features == FEATURES
    assert code.values.shape == (TOKENS, 1)
    assert (code.values == 1).all()
    for cluster in code.features.unique():
        assert len(set(kind[(code.features[:, 0] == cluster).numpy()])) == 1
    assert cluster_features(sample(x[:11]), autoencoder(), 0).n_features == 5


def test_factors_of_the_counts_are_the_planted_programs():
    rng = np.random.default_rng(5)
    activity = rng.gamma(0.4, size=(301, 3))
    rate = 0.3 * np.ones((301, 47))
    for program in range(3):
        rate[:, 13 * program : 13 * program + 13] += 4 * activity[:, [program]]
    cells = AnnData(sp.csr_matrix(rng.poisson(rate).astype(np.float32)))
    genes = cells.var_names = [f"G{i}" for i in range(47)]
    cells.obs["total_counts"] = 200.0
    found = count_programs(cells, tuple(genes[:45]), 3, 0)
    assert (found.cells.shape, found.genes.shape) == ((301, 3), (3, 45))
    np.testing.assert_allclose(np.linalg.norm(found.genes, axis=1), 1)
    owned = found.genes.argmax(axis=0)[:39].reshape(3, 13)
    assert len({row[0] for row in owned}) == 3
    assert all(len(set(row)) == 1 for row in owned)
    assert count_programs(cells[:2].copy(), tuple(genes), 64, 0).genes.shape == (2, 47)
