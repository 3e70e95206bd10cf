"""Every steering verb on models that read expressed genes alone, that read a cell as a whole, or have no decoder."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cellprism.errors import ModelError
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.contrast.contrast import contrast
from cellprism.steering.dose import dose_sweep
from cellprism.steering.edits import encode_site
from cellprism.steering.intervene import edited, steer
from cellprism.steering.nulls import difference_of_means, moved_along, shared_vector, tokens_at
from cellprism.steering.settings import ContrastSettings, DoseSettings
from cellprism.steering.site_cache import read_site_cache
from steering.planted import PlantedModel, PlantedRanks, PlantedWhole, planted_cells, planted_sae, values_of
from steering.test_model_output import sparse_cells

RECIPE = {3: 2.5, 11: 0.2}
QUICK = ContrastSettings(penalties=5, iterations=12, null_replicates=2, random_edits=2, resamples=19, n_genes=4)
FEW = DoseSettings(matched_genes=2, top_genes=5)


def whole_sae(model: PlantedModel) -> SparseAutoencoder:
    """Every gene's feature fires in a cell, with the gene's value."""
    return replace(planted_sae(model), k=29)


def with_gaps(adata, share: float = 0.3):
    """The same cells with some readings lost, but never of the recipe's genes."""
    counts = adata.X.toarray()
    lost = np.random.default_rng(5).random(counts.shape) < share
    lost[:, list(RECIPE)] = False
    counts[lost] = 0
    adata.X = type(adata.X)(counts)
    return adata


def test_token_logits_are_steered_and_written_under_their_name():
    model, adata = PlantedRanks(), sparse_cells()
    out = steer(model, planted_sae(model), adata, 1, {7: -3.0})
    assert set(out.layers) == {"token_logit_baseline", "token_logit_steered"}
    assert out.uns["cellprism"]["steer"]["output_kind"] == "token_logit"
    expected = np.where(values_of(adata).numpy() == 0, np.nan, values_of(adata).numpy())
    np.testing.assert_allclose(out.layers["token_logit_baseline"], expected, atol=1e-4)
    expected[:, 7] *= -3
    np.testing.assert_allclose(out.layers["token_logit_steered"], expected, atol=1e-3)


def test_a_cell_read_as_a_whole_is_steered_through_its_one_token():
    model, adata = PlantedWhole(), planted_cells({})
    out = steer(model, whole_sae(model), adata, 1, {7: -3.0, 11: 0.0}, batch_size=13)
    expected = values_of(adata).numpy()
    np.testing.assert_allclose(out.layers["baseline"], expected, atol=1e-3)
    expected[:, 7] *= -3
    expected[:, 11] = 0
    np.testing.assert_allclose(out.layers["steered"], expected, atol=1e-2)


def test_without_a_decoder_steering_gives_embeddings_alone():
    model = PlantedWhole(decodes=False)
    out = steer(model, whole_sae(model), planted_cells({}), 1, {7: 3.0})
    assert not out.layers
    assert out.uns["cellprism"]["steer"]["output_kind"] == "nothing"
    assert not np.array_equal(out.obsm["embedding_baseline"], out.obsm["embedding_steered"])


@pytest.mark.parametrize("positions", ["present", "all"])
def test_padding_is_never_edited(positions):
    model, adata = PlantedRanks(), sparse_cells()
    sae = replace(planted_sae(model), b_enc=torch.ones(41))  # would fire anywhere
    batch = next(model.batches(adata, 30))
    x = model.residual(batch, 1)
    assert (~batch.present).any()
    code = encode_site(sae, x, batch, positions)
    assert (code.values.view(*x.shape[:2], -1)[~batch.present] == 0).all()
    moved = edited(x, code, torch.full((41,), 5.0), sae.W_dec)
    assert (moved[~batch.present] == 0).all()
    assert (moved[batch.present] != x[batch.present]).any()


def test_a_cache_takes_any_cells_whatever_their_genes():
    model, adata = PlantedRanks(), sparse_cells()
    cache = read_site_cache(model, planted_sae(model), adata, 1, 7)
    assert cache.output_kind == "token_logit"
    assert "G11" not in cache.genes, "two cells are too few to speak of a gene"
    assert len(cache.genes) == 28
    rows = np.array([29, 3, 14])
    found = cache.predict(rows, torch.ones(41))
    np.testing.assert_allclose(found.values, cache.baseline.values[rows], atol=1e-5)
    np.testing.assert_allclose(np.nan_to_num(found.values), values_of(adata[rows, cache.genes]).numpy(), atol=1e-4)
    other = read_site_cache(model, planted_sae(model), adata, 1, 30)
    np.testing.assert_allclose(other.baseline.values, cache.baseline.values, atol=1e-5)


def test_means_and_vectors_go_by_gene_where_cells_have_genes_of_their_own():
    model, adata = PlantedRanks(), sparse_cells()
    cache = read_site_cache(model, planted_sae(model), adata, 1, 7)
    source, target = np.arange(17), np.arange(17, 30)
    counts = values_of(adata).numpy()
    vectors = difference_of_means(cache, source, target)
    for g in range(29):
        means = [counts[rows, g][counts[rows, g] > 0] for rows in (source, target)]
        gap = means[1].mean() - means[0].mean() if all(m.size for m in means) else 0.0
        torch.testing.assert_close(vectors[g], gap * model.rows[g], atol=1e-4, rtol=1e-3)
    assert (tokens_at(cache, source)[:29].numpy() == (counts[source] > 0).sum(axis=0)).all()
    weight = (counts[source] > 0).sum(axis=0)
    expected = (weight[:, None] * vectors[:29].numpy()).sum(axis=0) / weight.sum()
    np.testing.assert_allclose(shared_vector(cache, vectors, source)[5], expected, atol=1e-5)
    moved = torch.cat([x - cache.kept.x[batch.cell] for batch, x in moved_along(cache, source, vectors, 3.0)])
    assert float(moved.norm()) == pytest.approx(3, rel=1e-4)
    assert (moved[~cache.present[source]] == 0).all()


def test_effects_are_means_over_the_cells_that_carry_a_gene():
    model, adata = PlantedRanks(), sparse_cells()
    result = dose_sweep(model, planted_sae(model), adata, 1, {7: ["G7"]}, held_out={7: ["G9", "G11"]}, settings=FEW)
    assert result.output_kind == "token_logit"
    effects = result.effects.pivot(index="alpha", columns="gene", values="effect")
    assert "G11" not in effects
    seen = values_of(adata).numpy()[:, 7]
    np.testing.assert_allclose(effects["G7"], (effects.index - 1) * seen[seen > 0].mean(), atol=1e-2)
    assert np.abs(effects.drop(columns="G7")).to_numpy().max() < 1e-2
    assert (result.effects.loc[result.effects["gene"] == "G7", "edited"] == 1).all()
    (seven,) = result.summary
    assert seven["genes_held_out"] == 1


def test_a_feature_whose_genes_too_few_cells_carry_is_not_judged():
    model, adata = PlantedRanks(), sparse_cells()
    result = dose_sweep(model, planted_sae(model), adata, 1, {7: ["G11"]}, settings=FEW)
    (seven,) = result.summary
    assert (seven["feature"], seven["status"]) == (7, "too few of these cells express its genes")


def test_effects_of_a_cell_s_one_vector_reach_all_genes_and_edit_none_of_their_tokens():
    model, adata = PlantedWhole(), planted_cells({5: 0.0})
    result = dose_sweep(model, whole_sae(model), adata, 1, {7: ["G7"]}, settings=FEW)
    effects = result.effects.pivot(index="alpha", columns="gene", values="effect")
    np.testing.assert_allclose(effects["G7"], (effects.index - 1) * values_of(adata).numpy()[:, 7].mean(), atol=1e-2)
    assert (result.effects["edited"] == 0).all()
    (seven,) = result.summary
    assert (seven["effect_edited"], seven["genes_edited"]) == (None, 0)


@pytest.mark.parametrize("objective", ["latent", "expression"])
def test_a_recipe_is_found_for_cells_read_as_a_whole(objective):
    model = PlantedWhole()
    adata = planted_cells(RECIPE, noise=0.02)
    found = contrast(model, whole_sae(model), adata, 1, "helper", "killer", objective, settings=QUICK, seed=1)
    assert {f for f, s in found.strengths.items() if abs(s - 1) > 0.1} == set(RECIPE)
    assert found.summary["scores"]["expression_progress"]["value"] == pytest.approx(1, abs=0.15)
    assert "difference of means per gene" not in set(found.trials["kind"]), "there is one place, so it is no other edit"


def test_a_recipe_is_reported_on_token_logits_where_there_is_no_expression():
    model = PlantedRanks()
    adata = with_gaps(planted_cells(RECIPE, noise=0.02))
    found = contrast(
        model, planted_sae(model), adata, 1, "helper", "killer", settings=QUICK, seed=1, named=("G3", "CD8A")
    )
    scores = found.summary["scores"]
    assert found.summary["output_kind"] == "token_logit"
    assert not [name for name in scores if "expression" in name]
    assert scores["token_logit_progress"]["value"] == pytest.approx(1, abs=0.25)
    assert scores["token_logit_progress"]["low"] <= scores["token_logit_progress"]["value"]
    assert found.summary["named"]["G3"]["gap_fraction"] > found.summary["named"]["G3"]["permuted_labels"]["high"]
    assert found.summary["named"]["CD8A"] == {"measured": False}
    table = found.genes.set_index("gene")
    assert table.loc["G3", "gap_fraction"] == pytest.approx(1, abs=0.2)
    assert table.loc[["G3", "G11"], "correct"].all()


def test_without_a_decoder_a_recipe_is_judged_in_the_embedding_alone():
    model = PlantedWhole(decodes=False)
    adata = planted_cells(RECIPE, noise=0.02)
    found = contrast(model, whole_sae(model), adata, 1, "helper", "killer", settings=QUICK, seed=1)
    assert found.summary["output_kind"] == "nothing"
    assert set(found.summary["scores"]) == {
        "nearer_target", "fraction_closer", "latent_progress", "drift", "variance_kept",
        "fraction_closer_to_source",
    }  # fmt: skip
    assert found.summary["scores"]["latent_progress"]["value"] == pytest.approx(1, abs=0.1)
    assert found.genes.empty
    assert found.summary["named"] == {"CD8A": {"measured": False}, "CD8B": {"measured": False}}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (PlantedRanks(), "'planted ranks' predicts which gene stands at a place, not how much.*use objective='latent'"),
        (PlantedWhole(decodes=False), r"'planted whole' has no decoder.*objective='latent', or give.*obsm:KEY\+ridge"),
    ],
)
def test_an_expression_objective_needs_expression(model, message):
    with pytest.raises(ModelError, match=message):
        contrast(model, planted_sae(model), planted_cells(RECIPE), 1, "helper", "killer", "expression")


def test_doses_need_genes_to_read():
    model = PlantedWhole(decodes=False)
    with pytest.raises(ModelError, match="has no decoder, so what an edit does to genes cannot be read from it"):
        dose_sweep(model, whole_sae(model), planted_cells({}), 1, {7: ["G7"]})


def test_a_transcoder_is_not_steered(planted):
    model, sae = planted
    transcoder = replace(sae, is_transcoder=True, metadata={"target_layer": 2})
    message = r"read after block 1 and written after block 2.*steer an autoencoder that was trained on block 2"
    with pytest.raises(ModelError, match=message):
        steer(model, transcoder, planted_cells({}), 1, {7: 2.0})
    with pytest.raises(ModelError, match=message):
        dose_sweep(model, transcoder, planted_cells({}), 1, {7: ["G7"]})
    with pytest.raises(ModelError, match=message):
        contrast(model, transcoder, planted_cells({}), 1, "helper", "killer")


def test_an_autoencoder_with_thresholds_is_steered_like_one_with_k(planted):
    """As many features as clear their threshold: other numbers in every batch."""
    model, sae = planted
    adata = with_gaps(planted_cells({}))
    threshold = replace(sae, k=None, threshold=torch.full((41,), 1e-3), architecture="jumprelu")
    pools = [read_site_cache(model, s, adata, 1, 7) for s in (sae, threshold)]
    strengths = torch.linspace(-2, 3, 41)
    rows = np.array([111, 3, 50])
    np.testing.assert_allclose(*(cache.predict(rows, strengths).values for cache in pools), atol=1e-4)
    outs = [steer(model, s, adata, 1, {7: -3.0, 11: 0.0}, batch_size=9).layers["steered"] for s in (sae, threshold)]
    np.testing.assert_allclose(*outs, atol=1e-4)


def test_one_mean_for_all_tokens_may_be_taken_off_anywhere():
    model, adata = PlantedWhole(), planted_cells({})
    centre = model.residual(next(model.batches(adata, 112)), 1)[:, 0].mean(dim=0, keepdim=True)
    sae = replace(whole_sae(model), centre=centre)
    out = steer(model, sae, adata, 1, {7: 3.0})
    assert not np.array_equal(out.layers["baseline"], out.layers["steered"])
    ranks = PlantedModel()
    out = steer(ranks, replace(planted_sae(ranks), centre=torch.zeros(1, 43)), adata, 1, {7: 3.0}, positions="all")
    np.testing.assert_allclose(out.layers["steered"][:, 7], 3 * values_of(adata).numpy()[:, 7], atol=1e-2)
