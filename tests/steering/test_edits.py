"""Edits of features: what each kind does, where it may act, and what is left of it afterwards."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

import cellprism as cp
from cellprism.cells.genes import GeneTable
from cellprism.equations.sparse import decode
from cellprism.errors import ConfigError, ModelError
from cellprism.features.dictionaries import PursuitAutoencoder
from cellprism.models.aido.model import AidoCell
from cellprism.models.latent.scvi import ScviModel, ScviSizes
from cellprism.models.scgpt.model import ScGpt
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.edits import encode_site, feature_edit, strength_vector
from cellprism.steering.within import METHODS, running_with
from steering.planted import PlantedModel, planted_cells, planted_sae, values_of

FEATURES, LAYER = 23, 0


def aido(genes):
    return AidoCell.random(genes, hidden=14, layers=3, heads=2, intermediate=19, seed=1)


def scgpt(genes):
    return ScGpt.random(genes, hidden=14, layers=3, heads=2, intermediate=19)


def geneformer(genes):
    pytest.importorskip("transformers", reason="Geneformer needs the extra geneformer")
    from cellprism.models.geneformer.model import Geneformer

    return Geneformer.random(genes, hidden=14, layers=3, heads=2, intermediate=19, input_size=61)


def latent(genes):
    return ScviModel.random(ScviSizes(len(genes), 13, 5, 1), GeneTable.of(genes), 0)


def some_sae(model) -> SparseAutoencoder:
    """Random features, three at a token."""
    draw = torch.Generator().manual_seed(0)
    W_dec = normalize(torch.randn(FEATURES, model.d_model, generator=draw), dim=1)
    return SparseAutoencoder(W_dec.T.contiguous(), torch.zeros(FEATURES), W_dec, torch.zeros(model.d_model), k=3)


def outputs(model, batch, layer=LAYER):
    with torch.no_grad():
        return flat(model.resume(batch, layer, model.residual(batch, layer)))


def flat(said):
    return torch.cat([t.flatten() for t in (said.expression, said.embedding, said.token_logit) if t is not None])


def firing(sae, model, batch) -> int:
    """The feature that fires most often."""
    code = encode_site(sae, model.residual(batch, LAYER), batch)
    return int(torch.bincount(code.features[code.values != 0], minlength=FEATURES).argmax())


@pytest.mark.parametrize("family", [aido, scgpt, geneformer, latent])
def test_within_the_block_every_family_runs_edited_at_every_layer_and_is_itself_again_after(family, cells):
    model = family(list(cells.var_names))
    sae, batch = some_sae(model), next(model.batches(cells, 17))
    feature = firing(sae, model, batch)
    before = outputs(model, batch)
    x = model.residual(batch, LAYER)
    with torch.no_grad():
        moved = feature_edit(model, sae, {feature: 5.0})(x, batch)
        expected = flat(model.resume(batch, LAYER, moved))
    with cp.edited(model, sae, LAYER, {feature: 5.0}):
        assert torch.equal(model.residual(batch, LAYER), moved)
        for layer in range(model.n_layers):
            assert torch.equal(outputs(model, batch, layer), expected)
        if hasattr(model, "residuals"):
            assert torch.equal(model.residuals(batch, [1, 0])[1], moved)
    assert not torch.equal(expected, before)
    assert torch.equal(outputs(model, batch), before)
    assert not set(METHODS) & set(vars(model))


@pytest.mark.parametrize("family", [aido, scgpt, geneformer, latent])
def test_neutral_edits_change_no_bit(family, cells):
    model = family(list(cells.var_names))
    sae, batch = some_sae(model), next(model.batches(cells, 17))
    before, x = outputs(model, batch), model.residual(batch, LAYER)
    feature = firing(sae, model, batch)
    for change in (1.0, cp.Add(0.0)):
        assert feature_edit(model, sae, {feature: change})(x, batch) is x
        with cp.edited(model, sae, LAYER, {feature: change}):
            assert torch.equal(outputs(model, batch), before)


def test_an_exception_within_the_block_leaves_the_model_as_it_was(cells):
    model = aido(list(cells.var_names))
    sae, batch = some_sae(model), next(model.batches(cells, 17))
    before, feature = outputs(model, batch), firing(sae, model, batch)

    def fails():
        with cp.edited(model, sae, LAYER, {feature: 5.0}):
            assert not torch.equal(outputs(model, batch), before)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert torch.equal(outputs(model, batch), before)
    with pytest.raises(ModelError), cp.edited(model, sae, LAYER, {feature: 5.0}):
        model.residual(batch, 99)
    assert torch.equal(outputs(model, batch), before)
    with pytest.raises(ConfigError, match="feature 99 does not exist"), cp.edited(model, sae, LAYER, {99: 5.0}):
        raise AssertionError("never entered")


def test_blocks_lie_in_each_other(cells):
    model = aido(list(cells.var_names))
    sae, batch = some_sae(model), next(model.batches(cells, 17))
    feature, x = firing(sae, model, batch), model.residual(batch, 0)
    twice = feature_edit(model, sae, {feature: 0.0})
    with torch.no_grad(), cp.edited(model, sae, 0, {feature: 3.0}):
        once = outputs(model, batch)
        with cp.edited(model, sae, 0, {feature: 0.0}):
            expected = twice(feature_edit(model, sae, {feature: 3.0})(x, batch), batch)
            assert torch.equal(model.residual(batch, 0), expected)
        assert torch.equal(outputs(model, batch), once)


def test_steering_within_a_block_is_that_of_an_edited_model(cells):
    model = aido(list(cells.var_names))
    sae = some_sae(model)
    feature = firing(sae, model, next(model.batches(cells, 17)))
    plain = cp.steer(model, sae, cells, 1, {feature: 1.0}, read="visible")
    with cp.edited(model, sae, LAYER, {feature: 5.0}):
        within = cp.steer(model, sae, cells, 1, {feature: 1.0}, read="visible")
    assert not np.array_equal(plain.layers["baseline"], within.layers["baseline"])
    direct = cp.steer(model, sae, cells, LAYER, {feature: 5.0}, read="visible")
    np.testing.assert_allclose(direct.layers["steered"], within.layers["baseline"], atol=1e-5)


@pytest.mark.parametrize(
    ("change", "expected"),
    [(3.0, lambda v: 3 * v), (cp.Add(0.7), lambda v: v + 0.7), (cp.Ablate(), lambda v: 0 * v),
     (cp.Clamp(1.5), lambda v: 0 * v + 1.5)],
)  # fmt: skip
def test_each_kind_of_change_does_what_it_says(change, expected):
    model, adata = PlantedModel(), planted_cells({})
    sae, values = planted_sae(model), values_of(adata).numpy()
    out = cp.steer(model, sae, adata, 1, {7: change, 11: change}, genes=["G7", "G11"])
    wanted = values.copy()
    for gene in (7, 11):
        wanted[:, gene] = expected(values[:, gene])
    np.testing.assert_allclose(out.layers["steered"], wanted, atol=1e-2)
    alone = cp.steer(model, sae, adata, 1, {7: change}, genes="G7", cells=[0, 5], batch_size=13)
    wanted = values.copy()
    wanted[[0, 5], 7] = expected(values[[0, 5], 7])
    np.testing.assert_allclose(alone.layers["steered"], wanted, atol=1e-2)


def test_an_added_feature_is_switched_on_where_it_never_fires_and_a_strength_is_not():
    model, adata = PlantedModel(), planted_cells({})
    sae, values = planted_sae(model), values_of(adata).numpy()
    silent = 35  # of no gene
    out = cp.steer(model, sae, adata, 1, {silent: 9.0})
    assert (out.obs["edit_norm"] == 0).all()
    batch = next(model.batches(adata, 5))
    for change in (cp.Add(2.0), cp.Clamp(2.0)):
        with cp.edited(model, sae, 1, {silent: change}, genes=["G3"], cells=np.arange(5) == 2):
            moved = model.residual(batch, 1) - PlantedModel.residual(model, batch, 1)
        assert (moved.abs().sum(dim=-1) > 0).sum() == 1
        torch.testing.assert_close(moved[2, 3], 2 * sae.W_dec[silent], atol=1e-5, rtol=0)
    np.testing.assert_allclose(out.layers["baseline"], values, atol=1e-3)


def test_a_mask_over_cells_means_cells_where_each_passes_several_times(real_model, real_sae, cells):
    chosen = np.zeros(cells.n_obs, dtype=bool)
    chosen[[3, 16]] = True
    out = cp.steer(real_model, real_sae, cells, 1, dict.fromkeys(range(41), 3.0), cells=chosen, batch_size=8)
    assert ((out.obs["edit_norm"] > 0) == chosen).all()


def test_what_cannot_be_edited_is_said(cells):
    model = aido(list(cells.var_names))
    sae = some_sae(model)
    for changes, said in (({3: float("nan")}, "strength nan"), ({3: cp.Add(float("inf"))}, "amount inf"),
                          ({3: cp.Clamp(float("nan"))}, "value nan"), ({-1: 2.0}, "does not exist")):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            feature_edit(model, sae, changes)
    with pytest.raises(ConfigError, match="'NOGENE' not among the model's genes"):
        feature_edit(model, sae, {1: 2.0}, genes=["G1", "NOGENE"])
    with pytest.raises(ConfigError, match="no gene is named"):
        feature_edit(model, sae, {1: 2.0}, genes=[])
    with pytest.raises(ConfigError, match="row numbers"):
        feature_edit(model, sae, {1: 2.0}, cells=["cell1"])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="positions is 'some'"):
        feature_edit(model, sae, {1: 2.0}, positions="some")
    with pytest.raises(ConfigError, match="reads a cell as a whole"):
        feature_edit(latent(list(cells.var_names)), sae, {1: 2.0}, genes="G1")


def test_cells_that_no_batch_has_are_said_at_the_end(cells):
    model = aido(list(cells.var_names))
    sae, batch = some_sae(model), next(model.batches(cells, 5))
    for there in ([4], [4, 999], np.arange(5) == 4):
        with torch.no_grad(), cp.edited(model, sae, LAYER, {1: 2.0}, cells=there):
            model.residual(batch, LAYER)
    for absent in ([999], np.zeros(5, dtype=bool)):
        with (
            pytest.raises(ConfigError, match="none was in a batch, whose cells went up to number 4"),
            cp.edited(model, sae, LAYER, {1: 2.0}, cells=absent),
        ):
            model.residual(batch, LAYER)
    with cp.edited(model, sae, LAYER, {1: 2.0}, cells=[999]):
        pass  # the model did not run


def test_a_model_that_cannot_run_between_blocks_says_so(cells):
    model, adata = PlantedModel(), planted_cells({})
    batch = next(model.batches(adata, 5))
    with running_with(model, 1, feature_edit(model, planted_sae(model), {7: 2.0})):
        model.residual(batch, 0)
        with pytest.raises(ModelError, match=r"cannot run from one block to another.*RunsBetween"):
            model.residual(batch, 2)


def quotient(function, x, direction, step):
    return (function(x + step * direction) - function(x - step * direction)) / (2 * step)


@pytest.mark.parametrize("kind", ["topk", "threshold", "gated", "pursuit"])
def test_gradients_through_codes_are_difference_quotients(kind):
    draw = torch.Generator().manual_seed(3)
    W = normalize(torch.randn(FEATURES, 13, generator=draw), dim=1)
    sae = SparseAutoencoder(W.T.contiguous(), torch.full((FEATURES,), 0.1), W, torch.zeros(13), k=4)
    if kind in ("threshold", "gated"):
        sae = replace(sae, k=None, threshold=torch.full((FEATURES,), 0.3))
    if kind == "gated":
        sae = replace(sae, slope=torch.full((FEATURES,), 1.3), shift=torch.full((FEATURES,), -0.1))
    if kind == "pursuit":
        sae = PursuitAutoencoder(W.T.contiguous(), torch.zeros(FEATURES), W, torch.zeros(13), k=4)
    x, direction = torch.randn(7, 13, generator=draw), torch.randn(7, 13, generator=draw)
    weight = torch.randn(7, 13, generator=draw)

    def loss(x):
        return (decode(sae.encode(x), sae.W_dec) * weight).sum()

    leaf = x.clone().requires_grad_()
    value = loss(leaf)
    assert torch.equal(value.detach(), loss(x))
    value.backward()
    assert leaf.grad is not None
    assert float((leaf.grad * direction).sum()) == pytest.approx(float(quotient(loss, x, direction, 1e-3)), rel=0.02)


def test_gradients_reach_the_codes_of_an_edited_model(cells):
    model = aido(list(cells.var_names))
    sae, batch = some_sae(model), next(model.batches(cells, 17))
    x = model.residual(batch, LAYER).detach()
    feature = firing(sae, model, batch)

    def loss(x):
        edit = feature_edit(model, sae, {feature: 2.0})
        return model.resume(batch, LAYER, edit(x, batch)).expression.square().sum()

    leaf = x.clone().requires_grad_()
    loss(leaf).backward()
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        expected = float(quotient(loss, x, direction, 1e-3))
    assert float((leaf.grad * direction).sum()) == pytest.approx(expected, rel=0.03)
    assert torch.equal(strength_vector(sae, {feature: 2.0})[feature], torch.tensor(2.0))
