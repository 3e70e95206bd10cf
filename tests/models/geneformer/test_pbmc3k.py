"""A random Geneformer for real cells: a dictionary made from PBMC3K, a folder, and the tokens of its cells."""

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="Geneformer needs the package transformers")

from cellprism.cells.read import read_cells
from cellprism.models import geneformer
from cellprism.models.geneformer.dictionaries import Dictionary
from cellprism.models.geneformer.model import Geneformer
from cellprism.models.registry import save_model


@pytest.fixture(scope="module")
def source(test_data):
    return test_data / "pbmc3k_raw_labelled.h5ad"


@pytest.fixture(scope="module")
def folder(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("geneformer")
    dictionary = Dictionary.of_cells(read_cells(source))
    save_model(Geneformer.random(dictionary, hidden=26, layers=2, heads=2, intermediate=19), folder)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    assert geneformer.recognises(folder)
    return geneformer.load(folder)


@pytest.fixture(scope="module")
def cells(source, model):
    return read_cells(source, model, labels="louvain")


def test_the_dictionary_covers_every_gene_that_is_seen(model, cells):
    mapping = cells.uns["cellprism"]["mapping"]
    assert len(model.genes) == cells.n_vars == 16_634
    assert mapping["matched_by"]["ensembl"] == 16_634
    assert mapping["umi_share_kept"] == 1.0
    assert all(e.startswith("ENSG") for e in model.gene_table.ensembl)
    assert {"CD3D", "NKG7", "MS4A1", "MALAT1"} <= set(model.genes)
    (said,) = model.card["gene_dictionary"].values()
    assert said.startswith("medians over 2,700 cells of ")
    assert said.endswith("no corpus")


def test_every_cell_is_its_expressed_genes_and_the_fullest_are_cut(model, cells):
    expressed = np.diff(cells.X.indptr)
    lengths = np.concatenate([b.present.sum(1).numpy() for b in model.batches(cells, 300)])
    np.testing.assert_array_equal(lengths, np.minimum(expressed, 2_046))
    assert (expressed > 2_046).sum() == 6
    assert expressed.sum() - lengths.sum() == 5_135  # of 2,286,884 readings


def test_ranks_on_real_counts_are_those_of_the_formula(model, cells):
    some = cells[[0, 555, 2_699]].copy()
    medians = np.array([model.dictionary.medians[e] for e in cells.var["ensembl"]])
    batch = next(model.batches(some, 3))
    for i in range(3):
        counts = some.X[i].toarray()[0].astype(float)
        value = counts / some.obs["total_counts"].iloc[i] * 1e4 / medians
        named = [model.genes[j] for j in batch.gene[i][batch.present[i]].tolist()]
        ranked = value[cells.var_names.get_indexer(named)]
        assert (np.diff(ranked) <= ranked[:-1] * 1e-12).all()
        assert len(named) == (counts > 0).sum()


def test_padding_does_not_matter_on_real_cells(model, cells):
    lengths = np.diff(cells.X.indptr)
    some = cells[np.argsort(lengths, kind="stable")[[0, 1_300, 2_600]]].copy()
    whole = next(model.batches(some, 3))
    together = model.resume(whole, 0, model.residual(whole, 0))
    for i, batch in enumerate(model.batches(some, 1)):
        alone = model.resume(batch, 0, model.residual(batch, 0))
        assert torch.equal(alone.token[0], together.token[i, : batch.values.shape[1]])
        torch.testing.assert_close(alone.embedding[0], together.embedding[i], rtol=1e-5, atol=1e-5)
        logit = together.token_logit[i, : batch.values.shape[1]]
        torch.testing.assert_close(alone.token_logit[0], logit, rtol=1e-5, atol=1e-5)
