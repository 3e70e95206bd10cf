"""What a model says of genes, in one shape for every kind of model."""

import numpy as np
import pandas as pd
import pytest
import torch

from cellprism.steering.model_output import (
    expressing_mean,
    expressing_moves,
    gene_columns,
    gene_values,
    lacks_expression,
    lacks_genes,
    spoken_of,
)
from cellprism.types import CellBatch, CellOutput
from steering.planted import COUNTS_OF_ONE, PlantedModel, PlantedRanks, PlantedWhole, planted_cells, values_of

KINDS = {
    "expression": PlantedModel,
    "token_logit": PlantedRanks,
    "whole": PlantedWhole,
    "nothing": lambda: PlantedWhole(decodes=False),
}


def sparse_cells(zeros: float = 0.4):
    """Cells in which some genes are not seen; G11 is seen in two cells alone."""
    adata = planted_cells({}, n_source=17, n_target=13)
    counts = adata.X.toarray() * (np.random.default_rng(2).random(adata.shape) > zeros)
    counts[2:, 11] = 0
    counts[:2, 11] = 1.5 * COUNTS_OF_ONE
    adata.X = type(adata.X)(counts.astype(np.float32))
    return adata


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_of_the_data_s_genes_in_its_order(kind):
    model = KINDS[kind]()
    adata = sparse_cells()[:, np.random.default_rng(0).permutation(29)[:23]].copy()
    batch = next(model.batches(adata, 30))
    output = model.resume(batch, 1, model.residual(batch, 1))
    values = gene_values(output, batch, gene_columns(model, batch, output, adata.var_names)).numpy()
    counts = values_of(adata).numpy()
    if kind == "nothing":
        assert values.shape == (30, 0)
        return
    assert values.shape == (30, 23)
    assert (np.isnan(values) == ((counts == 0) & (kind == "token_logit"))).all()
    np.testing.assert_allclose(np.nan_to_num(values), counts, atol=1e-4)


def test_the_quantity_is_stated_by_the_model():
    assert [make().predicts for make in KINDS.values()] == [
        "expression", "token_logit", "expression", "nothing",
    ]  # fmt: skip


def test_logits_of_one_row_of_genes_for_all_cells_are_found_too():
    model = PlantedModel()
    batch = next(model.batches(sparse_cells(), 30))
    logit = torch.arange(30.0).expand(30, 30)
    output = CellOutput(None, torch.zeros(30, 3), None, logit)
    genes = pd.Index(["G7", "G2"])
    assert gene_values(output, batch, gene_columns(model, batch, output, genes))[3].tolist() == [7, 2]


def test_a_token_that_is_no_gene_is_nobody_s_value():
    gene = torch.tensor([[-1, 2, 0, -1], [-1, 1, -1, -1]])
    batch = CellBatch(torch.ones(2, 4), gene, gene >= 0, torch.arange(2))
    output = CellOutput(None, torch.zeros(2, 3), None, torch.tensor([[9.0, 2, 3, 9], [9, 5, 9, 9]]))
    found = gene_values(output, batch, np.array([0, 1, 2, 3]))
    np.testing.assert_array_equal(found, [[3, np.nan, 2, np.nan], [np.nan, 5, np.nan, np.nan]])


def test_means_are_over_expressing_cells_and_need_a_few_of_them():
    values = np.full((11, 3), np.nan)
    values[:, 0], values[:4, 1], values[3:9, 2] = np.arange(11), 7.0, [1, 2, 3, 4, 5, 6]
    np.testing.assert_array_equal(expressing_mean(values), [5, np.nan, 3.5])
    assert spoken_of(values).tolist() == [0, 2]
    assert expressing_mean(values[:4])[1] == 7, "of four cells all can be asked for"
    assert spoken_of(np.empty((11, 0))).size == 0


def test_moves_average_to_the_mean_move_of_the_expressing_cells():
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=(2, 13, 5))
    before[:4, 1] = after[:4, 1] = np.nan
    before[:, 2] = after[:, 2] = np.nan
    moves = expressing_moves(before, after)
    assert moves.mean(axis=0)[1] == pytest.approx((after - before)[4:, 1].mean())
    assert (moves[:, 2] == 0).all()
    np.testing.assert_array_equal(moves[:, [0, 3, 4]], (after - before)[:, [0, 3, 4]])


def test_what_is_missing_is_said_with_what_to_use_instead():
    ranks, bare = PlantedRanks(), PlantedWhole(decodes=False)
    assert lacks_expression(PlantedModel()) == lacks_genes(ranks) == ""
    assert "'planted ranks' predicts which gene stands at a place, not how much of it" in lacks_expression(ranks)
    assert "use objective='latent'" in lacks_expression(ranks)
    for said in (lacks_expression(bare), lacks_genes(bare)):
        assert "has no decoder" in said
        assert "obsm:KEY+ridge" in said
        assert "objective='latent'" in said
