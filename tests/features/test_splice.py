"""An autoencoder in the place of what it reconstructs: nothing lost, all lost, and what lies between."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from anndata import AnnData
from scipy.sparse import csr_matrix

from cellprism.cells.genes import GeneTable
from cellprism.errors import ModelError
from cellprism.features.splice import LossRecovered, loss_recovered, masked_errors
from cellprism.features.tokens.residuals import residual_tokens
from cellprism.models.latent.scvi import ScviModel, ScviSizes
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.centre import group_means
from cellprism.types import CellBatch
from features.conftest import CELLS, D_MODEL, LAYER, MODEL_GENES, make_model
from features.latent import LatentModel

WIDTH = 7


def exact(width: int) -> SparseAutoencoder:
    """A feature for each direction and its opposite, all allowed to fire: it reconstructs anything."""
    both = torch.cat([torch.eye(width), -torch.eye(width)])
    return SparseAutoencoder(both.T.contiguous(), torch.zeros(2 * width), both, torch.zeros(width), k=width)


def recovered(model, sae: SparseAutoencoder, adata: AnnData, layer: int, **given) -> LossRecovered:
    """Of one autoencoder."""
    return loss_recovered(model, {"one": sae}, adata, layer, **given)["one"]


def silent(width: int) -> SparseAutoencoder:
    """Reconstructs zero, or where it is centred the centre."""
    sae = exact(width)
    return replace(sae, W_dec=torch.zeros_like(sae.W_dec))


@pytest.fixture(scope="module")
def counts_model() -> ScviModel:
    return ScviModel.random(
        ScviSizes(MODEL_GENES, WIDTH, 11, 1), GeneTable.of([f"G{i}" for i in range(MODEL_GENES)]), 3
    )


def test_a_perfect_reconstruction_loses_nothing(model, cells):
    found = recovered(model, exact(D_MODEL), cells, LAYER)
    assert found.cells == CELLS
    assert found.spliced == pytest.approx(found.original, rel=1e-5)
    worth = {name: loss - found.original for name, loss in found.ablated.items()}
    assert set(worth) == {"zero", "mean", "gene_mean"}
    for name, value in worth.items():
        if value > 0:
            assert found.recovered[name] == pytest.approx(1, abs=1e-5 * found.original / value)
        else:
            assert np.isnan(found.recovered[name])


def test_what_an_ablation_leaves_recovers_nothing_against_it(model, cells):
    zero = recovered(model, silent(D_MODEL), cells, LAYER)
    assert zero.spliced == pytest.approx(zero.ablated["zero"], rel=1e-6)
    means = group_means(((t.x, t.gene) for t in residual_tokens(model, cells, LAYER)), MODEL_GENES)
    same = recovered(model, replace(silent(D_MODEL), centre=means), cells, LAYER)
    assert same.spliced == pytest.approx(same.ablated["gene_mean"], rel=1e-6)
    assert same.original == zero.original


def test_with_every_gene_hidden_the_loss_is_that_of_the_model_that_sees_none(model, cells):
    found = recovered(model, exact(D_MODEL), cells, LAYER, share=1.0, batch_size=5)
    errors = []
    for batch in model.batches(cells, 1):
        blind = batch.values.masked_fill(batch.present, model.config.mask_value)
        masked = CellBatch(blind, batch.gene, batch.present, batch.cell)
        predicted = model.resume(masked, LAYER, model.residual(masked, LAYER)).expression
        genes = batch.gene >= 0
        present = batch.present[:, genes]
        errors.append(float((predicted - batch.values[:, genes])[present].square().mean()))
    assert found.original == pytest.approx(np.mean(errors), rel=1e-5)


def test_passes_may_be_made_in_any_order_and_hide_each_its_own_genes(model, cells, sae):
    made = {}

    def backwards(splicing, passes):
        made.update({number: masked_errors(splicing, number) for number in reversed(passes)})
        return [made[number] for number in passes]

    one = recovered(model, sae, cells, LAYER, batch_size=5)
    assert str(one) == str(recovered(model, sae, cells, LAYER, batch_size=5, each=backwards))
    assert [len(errors["original"]) for errors in made.values()] == [
        CELLS % 5 or 5,
        *[5] * (CELLS // 5 - (CELLS % 5 == 0)),
    ]
    alike = AnnData(csr_matrix(np.repeat(cells.X[[3]].toarray(), 10, axis=0)), var=cells.var)
    made.clear()
    recovered(model, sae, alike, LAYER, batch_size=5, each=backwards)
    assert not set(made[0]["original"]) & set(made[1]["original"]), "the same cell, asked of other genes"


def test_intervals_hold_the_value_and_the_seed_decides_what_is_hidden(model, cells, sae):
    one, again, other = (recovered(model, sae, cells, LAYER, seed=seed) for seed in (1, 1, 2))
    assert one == again or str(one) == str(again)  # NaN is not itself
    assert one.original != other.original
    for name, value in one.recovered.items():
        if np.isfinite(value):
            assert one.interval[name][0] <= value <= one.interval[name][1]


def test_a_model_of_counts_is_asked_which_genes_the_hidden_counts_are_of(counts_model, cells):
    found = recovered(counts_model, exact(WIDTH), cells, 0, share=0.4, seed=6, batch_size=5)
    assert found.loss == "nats per count"
    assert found.spliced == pytest.approx(found.original, rel=1e-6)
    assert set(found.recovered) == {"zero", "mean"}
    counts = cells.X.toarray().astype(np.int64)
    stored = csr_matrix(cells.X)
    drawn = stored.copy()
    drawn.data = np.random.default_rng(6).binomial(stored.data.astype(np.int64), 0.4).astype(np.float32)
    hidden, columns = drawn.toarray(), [int(name[1:]) for name in cells.var_names]
    read = AnnData(csr_matrix((counts - hidden).astype(np.float32)), var=cells.var)
    losses = []
    for batch, truth in zip(counts_model.batches(read, 1), hidden, strict=True):
        share = counts_model.log_shares(counts_model.residual(batch, 0)[:, 0])[0].double().exp().numpy()[columns]
        losses.append(-(truth * np.log(share / share.sum())).sum() / truth.sum())
    assert found.original == pytest.approx(np.mean(losses), rel=1e-6)


def test_a_cell_of_which_nothing_is_hidden_or_read_is_left_out(counts_model, cells):
    counts = cells.X.toarray()
    counts[4] = 0
    counts[4, 2] = 1
    few = AnnData(csr_matrix(counts), var=cells.var)
    assert recovered(counts_model, exact(WIDTH), few, 0).cells == CELLS - 1


def test_what_reconstructs_zero_is_the_ablation_to_zero_of_a_model_of_counts(counts_model, cells):
    found = recovered(counts_model, silent(WIDTH), cells, 0)
    assert found.spliced == pytest.approx(found.ablated["zero"], rel=1e-9)


@pytest.mark.parametrize(
    ("which", "message"),
    [("transcoder", "a transcoder reconstructs another layer"), ("latent", "has no value for a hidden gene")],
)
def test_what_cannot_be_spliced_says_so(which, message, cells):
    model, sae = LatentModel(cells), exact(D_MODEL)
    if which == "transcoder":
        sae = replace(sae, is_transcoder=True)
    with pytest.raises(ModelError, match=message):
        recovered(model, sae, cells, LAYER)


@pytest.mark.parametrize("kind", ["masked", "counts"])
def test_what_all_autoencoders_share_is_computed_once_and_gives_the_same_bits(kind, counts_model, cells):
    model, layer, width = (make_model(True), LAYER, D_MODEL) if kind == "masked" else (counts_model, 0, WIDTH)
    saes = {"exact": exact(width), "silent": silent(width)}
    runs = Resumed(model)
    together = loss_recovered(runs if kind == "masked" else model, saes, cells, layer, seed=3, batch_size=5)
    if kind == "masked":
        assert runs.resumed == (1 + 3 + len(saes)) * CELLS
    for name, one in saes.items():
        assert str(together[name]) == str(recovered(model, one, cells, layer, seed=3, batch_size=5))
    assert together["exact"].spliced != together["silent"].spliced


class Resumed:
    """A model, with a count of the cells that were run past the site."""

    def __init__(self, model):
        self.model, self.resumed = model, 0

    def __getattr__(self, name):
        return getattr(self.model, name)

    def resume(self, batch, layer, x):
        self.resumed += len(batch.values)
        return self.model.resume(batch, layer, x)
