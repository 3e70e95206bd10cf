"""Where a model is read: planted models whose output is right at hidden genes and backwards at visible ones."""

import numpy as np
import pytest
import torch

from cellprism.errors import ConfigError, ModelError
from cellprism.models.aido.model import AidoCell
from cellprism.steering.contrast.contrast import contrast
from cellprism.steering.dose import dose_sweep
from cellprism.steering.intervene import edited, read_site, steer
from cellprism.steering.reading import FOLDS, passes_of, reads_at
from cellprism.steering.settings import ContrastSettings, DoseSettings
from cellprism.steering.site_cache import read_site_cache
from steering.planted import (
    GENES,
    PROGRAMS,
    PlantedHidden,
    PlantedModel,
    PlantedRanks,
    PlantedWhole,
    planted_cells,
    planted_sae,
    program_cells,
    values_of,
)
from steering.test_model_output import sparse_cells

RECIPE = {1: 2.5, 2: 0.3}
PROGRAM = np.arange(GENES) % PROGRAMS
FEW = {"matched_genes": 3, "top_genes": 5}
QUICK = {
    "penalties": 6, "iterations": 25, "null_replicates": 0, "random_edits": 2, "resamples": 99, "n_genes": 14
}  # fmt: skip


class HiddenRanks(PlantedRanks):
    """Genes of each cell's own, one of which can be hidden."""

    trained_at = "hidden"

    def mask(self, batch, hidden):
        return PlantedHidden.mask(self, batch, hidden)


@pytest.mark.parametrize("model", [PlantedHidden(), HiddenRanks()])
def test_every_present_token_is_hidden_in_one_pass_and_open_to_edits_in_the_others(model):
    adata = sparse_cells()
    batch = next(model.batches(adata, adata.n_obs))
    passes = passes_of(model, batch, "hidden")
    shown = passes.batch.present.unflatten(0, (-1, FOLDS))
    assert torch.equal(shown.sum(dim=1), batch.present * (FOLDS - 1))
    hidden = batch.present[:, None] & ~shown
    most = hidden.sum(dim=2).amax(dim=1) / batch.present.sum(dim=1)
    assert (most[batch.present.sum(dim=1) >= 14] <= 0.3).all()
    assert (passes.batch.values.unflatten(0, (-1, FOLDS))[hidden] == 0).all()
    seen = passes.batch.values.unflatten(0, (-1, FOLDS))[shown]
    assert torch.equal(seen, batch.values[:, None].expand_as(shown)[shown])


def test_no_edit_reaches_a_hidden_token(real_model, real_sae, cells):
    (chunk, passes) = next(read_site(real_model, real_sae, cells, 1, 68, where="hidden"))
    closed = ~passes.batch.present
    changed = edited(chunk.x, chunk.code, torch.full((41,), 5.0), real_sae.W_dec)
    assert (chunk.code.values.unflatten(0, closed.shape)[closed] == 0).all()
    assert torch.equal(changed[closed], chunk.x[closed])
    assert not torch.equal(changed[~closed], chunk.x[~closed])


def test_a_hidden_gene_is_read_where_it_is_hidden_and_a_visible_one_where_it_is_seen():
    model, adata = PlantedHidden(), program_cells({})
    out = steer(model, planted_sae(model), adata, 1, {5: 3.0})
    counts = values_of(adata).numpy()
    # A gene is filled in from the genes of its program; read where it is seen it would be below 0.
    np.testing.assert_allclose(out.layers["baseline"], counts, rtol=0.4)
    effect = out.layers["steered"] - out.layers["baseline"]
    mates = (PROGRAM == 1) & (np.arange(GENES) != 5)
    assert np.abs(effect[:, ~mates]).max() < 1e-2, "its own gene is hidden and cannot be edited"
    assert (effect[:, mates] >= -1e-2).all()
    assert (effect[:, mates].max(axis=1) > 0.2).all()
    np.testing.assert_allclose(out.layers["direct"][:, 5], -2 * counts[:, 5], rtol=1e-3)
    assert out.uns["cellprism"]["steer"]["read"] == "hidden"


def test_read_where_it_sees_the_same_model_answers_backwards():
    model, adata = PlantedHidden(), program_cells({})
    out = steer(model, planted_sae(model), adata, 1, {5: 3.0}, read="visible")
    np.testing.assert_allclose(out.layers["baseline"], -values_of(adata).numpy(), rtol=1e-3)
    assert "direct" not in out.layers
    assert out.uns["cellprism"]["steer"]["read"] == "visible"


def test_batch_sizes_and_what_is_kept_do_not_matter(real_model, real_sae, cells):
    outs = [steer(real_model, real_sae, cells, 1, {3: 5.0}, batch_size=size) for size in (3, 32)]
    for layer in ("baseline", "steered", "direct"):
        np.testing.assert_allclose(outs[0].layers[layer], outs[1].layers[layer], atol=1e-5)
    caches = [read_site_cache(real_model, real_sae, cells, 1, 9, memory=memory) for memory in (0, 1 << 30)]
    rows, strengths = np.array([16, 3, 4]), torch.ones(41)
    strengths[3] = 5.0
    for cache in caches:
        found = cache.predict(rows, strengths)
        np.testing.assert_allclose(found.values, outs[1].layers["steered"][rows], atol=1e-5)
        np.testing.assert_allclose(found.embedding, outs[1].obsm["embedding_steered"][rows], atol=1e-5)
        change = found.direct - cache.baseline.direct[rows]
        np.testing.assert_allclose(change, outs[1].layers["direct"][rows], atol=1e-5)


@pytest.mark.parametrize("read", ["hidden", "visible"])
@pytest.mark.parametrize("model", [AidoCell, PlantedHidden, HiddenRanks])
def test_some_genes_are_read_as_all_are(real_model, real_sae, cells, model, read):
    """Whether the model can leave out the others, or all are read and these taken."""
    if model is AidoCell:
        model, sae, adata = real_model, real_sae, cells
    else:
        model, adata = model(), sparse_cells()
        sae = planted_sae(model)
    cache = read_site_cache(model, sae, adata, 1, 9, read=read)
    strengths = torch.ones(sae.n_features)
    strengths[3] = 4.0
    rows, some = np.array([11, 3, 4, 16]), np.array([8, 2, 5])
    whole = cache.predict(rows, strengths).of_genes(some)
    cells_read, found = zip(*cache.values_at(cache.steered(rows, strengths), some), strict=True)
    assert np.concatenate(cells_read).tolist() == rows.tolist()
    np.testing.assert_allclose(np.concatenate([values for values, _ in found]), whole.values, atol=1e-5)
    if read == "hidden":
        np.testing.assert_allclose(np.concatenate([direct for _, direct in found]), whole.direct, atol=1e-5)
    else:
        assert {direct is None for _, direct in found} == {True}


def test_doses_of_a_feature_raise_the_hidden_genes_of_its_program_and_keep_direct_effects_apart():
    model, adata = PlantedHidden(), program_cells({})
    own = [f"G{g}" for g in np.flatnonzero(PROGRAM == 1)]
    result = dose_sweep(model, planted_sae(model), adata, 1, {5: own}, settings=DoseSettings(**FEW))
    (five,) = result.summary
    assert (result.read, result.passes) == ("hidden", FOLDS)
    assert five["response"]["value"] > 0.1
    assert five["direct"] < -0.1, "read where the model sees its genes, the sign is wrong"
    at = result.effects[result.effects["alpha"] == 5].set_index("gene")
    assert abs(at.loc["G5", "effect"]) < 1e-2
    assert at.loc["G5", "direct"] == pytest.approx(-4 * values_of(adata).numpy()[:, 5].mean(), rel=1e-3)
    assert at.loc["G5", "edited"] == 1
    assert (result.effects.loc[result.effects["alpha"] == 1, ["effect", "direct"]] == 0).all(axis=None)


def test_read_where_it_sees_doses_lower_the_genes_that_they_raise():
    model, adata = PlantedHidden(), program_cells({})
    settings = DoseSettings(**FEW, read="visible")
    result = dose_sweep(model, planted_sae(model), adata, 1, {5: ["G5"]}, settings=settings)
    assert (result.read, result.passes) == ("visible", 1)
    assert result.summary[0]["response"]["value"] < -1
    assert result.summary[0]["direct"] == result.summary[0]["response"]["value"]


@pytest.mark.parametrize("read", ["", "visible"])
def test_predicted_gaps_follow_the_counts_where_the_model_was_trained_alone(read):
    model, adata = PlantedHidden(), program_cells(RECIPE)
    found = contrast(
        model, planted_sae(model), adata, 1, "helper", "killer", "expression", named=("G1", "G2"), seed=1,
        settings=ContrastSettings(**QUICK, read=read),
    )  # fmt: skip
    gaps, direct = found.summary["gaps"], found.summary["gaps_direct"]
    table = found.genes.set_index("gene")
    assert set(table.index[table["direction"] == "up"]) == {f"G{g}" for g in np.flatnonzero(PROGRAM == 1)}
    if read == "visible":
        assert gaps["correlation"] < -0.9
        assert gaps["high"] < 0
        assert (gaps["sign_right"], direct) == (0, None)
        return
    assert (found.summary["read"], found.summary["passes"]) == ("hidden", FOLDS)
    assert gaps["correlation"] > 0.9
    assert 0 < gaps["low"] <= gaps["correlation"] <= gaps["high"]
    assert gaps["sign_right"] == 1
    assert direct["correlation"] < -0.9
    scores = found.summary["scores"]
    assert scores["expression_progress"]["value"] == pytest.approx(1, abs=0.15)
    assert scores["up_correct"]["value"] == scores["down_correct"]["value"] == 1
    up = {int(f) for f, s in found.strengths.items() if s > 1.1}
    assert up
    assert {PROGRAM[f] for f in up} == {1}


def test_a_model_trained_where_it_sees_is_read_there():
    model = PlantedModel()
    cache = read_site_cache(model, planted_sae(model), planted_cells({}), 1, 7)
    assert (cache.read, cache.folds, cache.baseline.direct) == ("visible", 1, None)
    assert model.residual_cells == 112
    stated = AidoCell.random(["A", "B"], hidden=14, layers=2, heads=2, intermediate=19)
    assert reads_at(stated, "") == "hidden"
    seeing = AidoCell(stated.config, stated.gene_table, card={"trained_at": "visible"})
    assert reads_at(seeing, "") == reads_at(seeing.reinitialised(0), "") == "visible"
    assert reads_at(seeing, "hidden") == "hidden"


def test_a_card_that_says_neither_is_refused():
    stated = AidoCell.random(["A", "B"], hidden=14, layers=2, heads=2, intermediate=19)
    with pytest.raises(ModelError, match="the card of 'unnamed' says trained_at 'both'; expected one of"):
        AidoCell(stated.config, stated.gene_table, card={"trained_at": "both"})


def test_what_cannot_be_read_is_refused(real_model, real_sae, cells):
    whole = PlantedWhole()
    with pytest.raises(ModelError, match="'planted whole' has no value for a hidden gene.*use read='visible'"):
        steer(whole, planted_sae(whole), planted_cells({}), 1, {7: 2.0}, read="hidden")
    with pytest.raises(ConfigError, match=r"read is 'both'; expected one of \['', 'hidden', 'visible'\]"):
        steer(real_model, real_sae, cells, 1, {3: 2.0}, read="both")
    with pytest.raises(ConfigError, match="read is 'both'"):
        ContrastSettings(read="both")
    with pytest.raises(ConfigError, match="read is 'both'"):
        DoseSettings(read="both")
    with pytest.raises(ConfigError, match="positions='all' edits every token.*use positions='present', or read="):
        steer(real_model, real_sae, cells, 1, {3: 2.0}, positions="all")


def test_genes_that_only_some_cells_carry_are_read_in_the_pass_that_hides_them():
    model, adata = HiddenRanks(), sparse_cells()
    cache = read_site_cache(model, planted_sae(model), adata, 1, 9)
    counts = values_of(adata[:, cache.genes]).numpy()
    assert (np.isnan(cache.baseline.values) == (counts == 0)).all()
    # A hidden token of this model has a residual of 0, and so the logit 0; a visible one that of its count.
    assert np.abs(np.nan_to_num(cache.baseline.values)).max() == 0
    np.testing.assert_allclose(np.nan_to_num(cache.baseline.direct), counts, atol=1e-4)
