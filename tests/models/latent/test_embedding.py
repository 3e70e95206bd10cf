"""Embeddings as models: vectors pass through as they are, and a decoder is what the user asked for or none."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cellprism.errors import CellsError, ModelError
from cellprism.models.conformance import FAILS, conformance, table
from cellprism.models.latent import embedding
from cellprism.models.latent.embedding import EmbeddingModel
from cellprism.models.registry import load_model
from models.latent.conftest import GENES, KEY, WIDTH


def predicted(model, cells):
    (batch,) = model.batches(cells, cells.n_obs)
    return model.resume(batch, 0, model.residual(batch, 0)).expression


def test_without_a_decoder_vectors_are_read_and_nothing_is_predicted(planted):
    model = EmbeddingModel(KEY).fitted(planted)
    assert (model.name, model.d_model, model.n_layers) == (f"obsm:{KEY}", WIDTH, 1)
    assert model.genes == tuple(planted.var_names)
    (batch,) = model.batches(planted, planted.n_obs)
    x = model.residual(batch, 0)
    np.testing.assert_array_equal(x[:, 0].numpy(), planted.obsm[KEY].astype(np.float32))
    assert model.resume(batch, 0, x).expression is None
    outcomes = conformance(model, planted[:17].copy())
    assert [o.check for o in outcomes if o.verdict == FAILS] == [], table(outcomes)


@pytest.mark.parametrize("declared", [False, True])
def test_the_ridge_decoder_is_that_of_scikit_learn_on_standardised_dimensions(planted, declared, monkeypatch):
    monkeypatch.setattr(embedding, "CHUNK", 7)
    cells = planted.copy()
    counts = cells.X.toarray().astype(np.float64)
    total = counts.sum(axis=1) + (np.arange(len(counts)) if declared else 0)
    if declared:
        cells.obs["total_counts"] = total
    expression = np.log1p(1e4 * counts / total[:, None])
    reference = make_pipeline(StandardScaler(), Ridge(alpha=1.0)).fit(cells.obsm[KEY], expression)
    model = EmbeddingModel(KEY, "ridge").fitted(cells)
    assert model.name == f"obsm:{KEY}+ridge"
    np.testing.assert_allclose(predicted(model, cells), reference.predict(cells.obsm[KEY]), rtol=1e-4, atol=1e-4)
    assert model.card["decoder"] == {"kind": "ridge", "penalty": 1.0, "cells": cells.n_obs, "genes": GENES}


def test_the_ridge_decoder_does_not_depend_on_the_scale_of_the_embedding(planted, ridge):
    scaled = planted.copy()
    scaled.obsm[KEY] = planted.obsm[KEY] * 1000 - 7
    other = predicted(EmbeddingModel(KEY, "ridge").fitted(scaled), scaled)
    torch.testing.assert_close(other, predicted(ridge, planted), atol=1e-3, rtol=1e-3)


def test_a_dimension_that_does_not_vary_and_a_single_gene_are_no_trouble(planted):
    cells = planted[:, :1].copy()
    cells.obsm[KEY] = np.column_stack([planted.obsm[KEY][:, 0], np.full(planted.n_obs, 3.0)])
    assert predicted(EmbeddingModel(KEY, "ridge").fitted(cells), cells).isfinite().all()


def test_a_dimension_that_varies_by_rounding_alone_is_one_that_does_not_vary(planted):
    rounding = 1e-8 * np.random.default_rng(0).normal(size=planted.n_obs)
    values = np.column_stack([planted.obsm[KEY], 3 * (1 + rounding)])
    weight, _ = embedding.ridge_decoder(values, planted)
    assert weight[:, -1].abs().max() < 1e-3


def test_any_function_can_be_the_decoder(planted):
    weight = torch.randn(WIDTH, GENES, generator=torch.Generator().manual_seed(0))
    model = EmbeddingModel(KEY, lambda z: z @ weight).fitted(planted)
    assert model.name == f"obsm:{KEY}+decoder"
    (batch,) = model.batches(planted[:5], 5)
    x = model.residual(batch, 0)
    assert torch.equal(model.resume(batch, 0, x).expression, x[:, 0] @ weight)
    short = EmbeddingModel(KEY, lambda z: z @ weight[:, :7]).fitted(planted)
    with pytest.raises(ModelError, match=r"gave shape \(5, 7\) for 5 cells; expected one column for each of 29 genes"):
        short.resume(batch, 0, x)


def test_cells_come_first(planted):
    model = EmbeddingModel(KEY)
    assert (model.genes, model.gene_table, model.d_model) == ((), None, 0)
    with pytest.raises(ModelError, match=r"known by name only: its width and genes come from cells; call fitted"):
        next(model.batches(planted, 5))
    (batch,) = EmbeddingModel(KEY).fitted(planted[:5].copy()).batches(planted[:5], 5)
    with pytest.raises(ModelError, match="known by name only"):
        model.residual(batch, 0)


def test_what_cannot_be_read_is_told(planted):
    with pytest.raises(ModelError, match="unknown decoder 'lasso' for obsm:X_mine; expected 'ridge', a function, or"):
        EmbeddingModel(KEY, "lasso")
    with pytest.raises(CellsError, match="no embedding 'X_pca' in obsm; found 'X_mine'"):
        EmbeddingModel("X_pca").fitted(planted)
    broken = planted.copy()
    broken.obsm[KEY][3, 2] = np.nan
    with pytest.raises(CellsError, match=r"obsm\['X_mine'\] holds NaN, infinite or huge values; expected finite"):
        EmbeddingModel(KEY).fitted(broken)
    for odd, said in (
        (np.full((planted.n_obs, 3), "a", dtype=object), "holds values of type object; expected numbers"),
        (np.ones((planted.n_obs, 3)) * 1j, "holds values of type complex128; expected numbers"),
        (np.full((planted.n_obs, 3), 1e39), "holds NaN, infinite or huge values"),
        (np.ones((planted.n_obs, 0)), r"has shape \(211, 0\); expected one row of numbers for each of 211 cells"),
    ):
        broken.obsm[KEY] = odd
        with pytest.raises(CellsError, match=said):
            EmbeddingModel(KEY).fitted(broken)
    for name in ("obsm:", "obsm:+ridge"):
        with pytest.raises(ModelError, match="obsm: names no embedding; expected obsm:KEY"):
            load_model(name)
    narrow = planted.copy()
    narrow.obsm[KEY] = planted.obsm[KEY][:, :5]
    with pytest.raises(CellsError, match="has 5 dimensions, but obsm:X_mine was fitted on 13; use cells embedded"):
        next(EmbeddingModel(KEY).fitted(planted).batches(narrow, 4))


def test_a_source_names_an_embedding_and_its_decoder(planted):
    plain, ridge = load_model(f"obsm:{KEY}"), load_model(f"obsm:{KEY}+ridge")
    assert (plain.name, ridge.name) == (f"obsm:{KEY}", f"obsm:{KEY}+ridge")
    assert plain.fitted(planted).resume(*_site(plain, planted)).expression is None
    assert ridge.fitted(planted).resume(*_site(ridge, planted)).expression.shape == (planted.n_obs, GENES)
    with pytest.raises(ModelError, match=r"no decoder 'lasso'; expected obsm:X_mine or obsm:X_mine\+ridge"):
        load_model(f"obsm:{KEY}+lasso")


def _site(model, cells):
    fitted = model.fitted(cells)
    (batch,) = fitted.batches(cells, cells.n_obs)
    return batch, 0, fitted.residual(batch, 0)


def test_ensembl_ids_of_the_cells_become_the_models(planted):
    cells = planted.copy()
    cells.var["ensembl"] = [f"ENSG{i:011d}" for i in range(GENES)]
    assert EmbeddingModel(KEY).fitted(cells).gene_table.ensembl[5] == "ENSG00000000005"
