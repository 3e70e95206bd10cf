"""Figures on held-out cells: halves that are independent, yardsticks that are what they say."""

import numpy as np
import pytest
import scipy.sparse as sp

from cellprism.models.aido.pretrain import held_out_cells
from cellprism.models.latent.assess import assess, halves, latent_vectors
from models.latent.conftest import CELLS, planted_cells


@pytest.fixture(scope="module")
def figures(scvi_like, planted):
    return assess(scvi_like, planted, *held_out_cells(CELLS, 0.3, 0))


def test_every_count_goes_to_one_half(planted):
    counts = sp.csr_matrix(planted.X)
    before = counts.copy()
    one, other = halves(counts, seed=0)
    assert ((one + other) != counts).nnz == 0
    assert (counts != before).nnz == 0
    assert min(one.data.min(), other.data.min()) >= 0
    assert one.sum() == pytest.approx(counts.sum() / 2, rel=0.02)
    assert (halves(counts, seed=0)[0] != one).nnz == 0
    assert (halves(counts, seed=1)[0] != one).nnz > 0


def test_halves_of_poisson_counts_are_independent():
    counts = sp.csr_matrix(np.random.default_rng(0).poisson(5.0, (400, 29)).astype(np.float32))
    one, other = (half.toarray().ravel() for half in halves(counts, seed=3))
    assert abs(np.corrcoef(one, other)[0, 1]) < 3 / np.sqrt(400 * 29)


def test_the_mean_of_the_cells_own_type_beats_the_mean_of_all(figures):
    methods = figures["reconstruction"]
    assert methods["gene mean"]["gain"] == 0
    assert methods["gene mean"]["interval"] == [0, 0]
    assert methods["type mean"]["interval"][0] > 0.1
    assert methods["type mean"]["nats_per_count"] < methods["gene mean"]["nats_per_count"]


def test_an_untrained_network_predicts_no_better_than_gene_means_and_is_measured_as_one(figures):
    methods = figures["reconstruction"]
    assert methods["model"]["gain"] < 0
    assert methods["untrained network"]["gain"] < 0
    assert figures["cell_types"]["readout"]["raw expression"]["accuracy"] > 0.9
    assert 1 / 3 <= figures["cell_types"]["largest_type"] < 0.5


def test_counts_what_it_was_measured_on(figures):
    assert (figures["train_cells"], figures["test_cells"], figures["genes"]) == (148, 63, 29)


def test_cells_without_a_type_are_left_out(scvi_like):
    cells = planted_cells(101)
    cells.obs["cell_type"] = ["unlabelled"] * 20 + list(cells.obs["cell_type"][20:])
    assert assess(scvi_like, cells, np.arange(60), np.arange(60, 101))["train_cells"] == 40
    del cells.obs["cell_type"]
    figures = assess(scvi_like, cells, np.arange(60), np.arange(60, 101))
    assert figures["cell_types"] == {}
    assert figures["train_cells"] == 60
    assert "type mean" not in figures["reconstruction"]


def test_vectors_come_in_the_order_of_the_cells(scvi_like, planted):
    np.testing.assert_allclose(
        latent_vectors(scvi_like, planted, 50), latent_vectors(scvi_like, planted, 211), atol=1e-5
    )
