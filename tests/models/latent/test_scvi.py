"""scVI: what we compute from converted weights is what scvi-tools computes from its own."""

import sys
import warnings

import numpy as np
import pytest
import torch

from cellprism.errors import CellsError, ConfigError, ModelError
from cellprism.models.aido.pretrain import held_out_cells
from cellprism.models.latent.assess import assess
from cellprism.models.latent.scvi_convert import from_scvi
from cellprism.models.latent.scvi_train import ScviTraining, train_scvi
from models.latent.conftest import GENES, planted_cells

BRIEF = ScviTraining(d_model=5, hidden=19, layers=2, epochs=7, batch_size=37)


@pytest.fixture(scope="module")
def scvi():
    """scvi-tools, whose imports and training warn its own developers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield pytest.importorskip("scvi", reason="scvi-tools is not installed: pip install 'cellprism[scvi]'")


@pytest.fixture(scope="module")
def brief(scvi, planted, table):
    """A short training run, and the figures it reported on the way."""
    told = []
    model = train_scvi(planted, table, BRIEF, lambda epoch, figures: told.append((epoch, figures)))
    return model, told


def trained_by_scvi(scvi, adata, setup=None, epochs=3, **options):
    adata = adata.copy()
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        scvi.model.SCVI.setup_anndata(adata, **(setup or {}))
        model = scvi.model.SCVI(adata, **{"n_latent": 5, "n_hidden": 19} | options)
        model.train(max_epochs=epochs, accelerator="cpu", enable_progress_bar=False, logger=False)
    return model


@pytest.fixture(scope="module")
def of_three_batches(scvi, planted):
    cells = planted.copy()
    cells.obs["donor"] = np.array(["a", "b", "c"])[np.arange(cells.n_obs) % 3]
    return trained_by_scvi(scvi, cells, {"batch_key": "donor"}, n_layers=2)


@pytest.mark.parametrize(
    "options",
    [
        {"n_layers": 1},
        {"n_layers": 3, "gene_likelihood": "zinb"},
        {"use_batch_norm": "none", "dispersion": "gene-cell"},
        {"use_batch_norm": "encoder", "dropout_rate": 0.0},
    ],
)
def test_latent_and_expression_are_those_of_scvi_tools(scvi, planted, table, options):
    trained = trained_by_scvi(scvi, planted, **options)
    assert_same(from_scvi(trained, table), trained, planted)


def test_a_model_of_several_batches_decodes_as_the_chosen_one(of_three_batches, planted, table):
    models = {name: from_scvi(of_three_batches, table, batch=name) for name in "abc"}
    for name, model in models.items():
        assert_same(model, of_three_batches, planted, transform_batch=name)
    (batch,) = models["a"].batches(planted, planted.n_obs)
    one, other = (m.resume(batch, 0, m.residual(batch, 0)).expression for m in (models["a"], models["b"]))
    assert (one - other).abs().max() > 0.1, "the batches are told apart"


def assert_same(model, trained, cells, **options):
    (batch,) = model.batches(cells, cells.n_obs)
    x = model.residual(batch, 0)
    out = model.resume(batch, 0, x)
    latent = trained.get_latent_representation()
    np.testing.assert_allclose(x[:, 0].numpy(), latent, rtol=1e-4, atol=1e-5)
    trained.module.eval()
    index = torch.full((len(latent), 1), "abc".index(options["transform_batch"]) if options else 0)
    with torch.no_grad():
        generated = trained.module.generative(torch.from_numpy(latent), torch.zeros(len(latent), 1), index)
    expected = torch.log1p(1e4 * generated["px"].scale)
    torch.testing.assert_close(out.expression, expected, rtol=1e-4, atol=1e-4)


def test_the_batch_must_be_named_and_known(of_three_batches, table):
    for wrong in (None, "d"):
        with pytest.raises(ModelError, match=r"batch is .*, expected one of a, b, c: the model decodes as one of them"):
            from_scvi(of_three_batches, table, batch=wrong)


@pytest.mark.parametrize(
    ("setup", "options", "found"),
    [
        ({"continuous_covariate_keys": ["age"]}, {}, r"continuous_covariate_keys=\['age'\], expected none"),
        ({"size_factor_key": "age"}, {}, "size_factor_key='age', expected none"),
        ({}, {"latent_distribution": "ln"}, "latent_distribution='ln', expected 'normal'"),
        ({}, {"use_layer_norm": "both", "use_batch_norm": "none"}, "layers of type LayerNorm"),
        ({}, {"log_variational": False}, "log_variational=False, expected True"),
    ],
)
def test_options_that_change_what_is_computed_are_refused(scvi, planted, table, setup, options, found):
    cells = planted.copy()
    cells.obs["age"] = np.arange(cells.n_obs) + 1.0
    with pytest.raises(ModelError, match=rf"cannot be converted: {found}.*use its latent as an embedding"):
        from_scvi(trained_by_scvi(scvi, cells, setup, epochs=1, **options), table)


def test_other_objects_are_refused(table):
    with pytest.raises(ModelError, match="it is of type dict, expected scvi.model.SCVI"):
        from_scvi({}, table)


def test_weights_that_are_not_finite_are_refused(scvi, planted, table):
    trained = trained_by_scvi(scvi, planted, epochs=1)
    with torch.no_grad():
        trained.module.z_encoder.mean_encoder.bias[3] = torch.nan
    with pytest.raises(ModelError, match=r"cannot be converted: encoder.*bias holds NaN or infinite weights"):
        from_scvi(trained, table)


def test_training_learns_the_planted_types(scvi, planted, table):
    model = train_scvi(planted, table, ScviTraining(d_model=5, hidden=19, epochs=60, learning_rate=5e-3))
    train, test = held_out_cells(planted.n_obs, 0.1, 0)
    figures = assess(model, planted, train, test)
    assert figures["reconstruction"]["model"]["interval"][0] > 0.1
    assert figures["cell_types"]["readout"]["vectors"]["accuracy"] > 0.9


def test_training_tells_every_epoch_and_keeps_the_curve(brief):
    model, told = brief
    assert [epoch for epoch, _ in told] == [1, 2, 3, 4, 5, 6, 7]
    assert model.card["curve"] == [{"epoch": epoch, **figures} for epoch, figures in told]
    assert told[-1][1]["elbo"] > told[0][1]["elbo"]
    assert model.card["settings"]["epochs"] == 7


def test_training_is_repeatable_and_leaves_random_numbers_alone(brief, planted, table):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - others' global state
    again = train_scvi(planted, table, BRIEF)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    for name, value in brief[0].state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_held_out_cells_have_no_part_in_training(brief, planted, table):
    _, test = held_out_cells(planted.n_obs, 0.1, 0)
    others = planted.copy()
    counts = others.X.toarray()
    counts[test] = counts[test][:, ::-1] + 1
    others.X = type(others.X)(counts)
    again = train_scvi(others, table, BRIEF)
    assert torch.equal(again.encoder[0].weight, brief[0].encoder[0].weight)


def test_a_last_batch_of_one_cell_is_left_out(scvi, table):
    cells = planted_cells(41)  # 37 of them are trained on
    model = train_scvi(cells, table, ScviTraining(d_model=2, hidden=7, epochs=2, batch_size=18))
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_wrong_cells_and_settings_are_refused(planted, table):
    with pytest.raises(ConfigError, match="columns of the cells are not the genes of the list"):
        train_scvi(planted[:, ::-1].copy(), table)
    empty = planted.copy()
    empty.X = empty.X.multiply(np.arange(planted.n_obs)[:, None] > 1).tocsr()
    with pytest.raises(CellsError, match="2 cells have no counts in the model's genes"):
        train_scvi(empty, table)
    with pytest.raises(ConfigError, match="epochs is 0: expected at least 1"):
        ScviTraining(epochs=0)
    with pytest.raises(ConfigError, match=r"held_out is 1.0: expected a share between 0 and 1"):
        ScviTraining(held_out=1.0)


def test_without_scvi_tools_training_says_what_to_install(planted, table, monkeypatch):
    monkeypatch.setitem(sys.modules, "scvi", None)
    with pytest.raises(ModelError, match=r"training scVI needs scvi-tools .*pip install 'cellprism\[scvi\]'"):
        train_scvi(planted, table)


def test_a_converted_model_runs_without_scvi_tools(scvi_like, planted, monkeypatch):
    monkeypatch.setitem(sys.modules, "scvi", None)
    (batch,) = scvi_like.batches(planted[:3], 3)
    assert scvi_like.resume(batch, 0, scvi_like.residual(batch, 0)).expression.shape == (3, GENES)
