"""A deep generative decoder: its search finds each cell's vector alone, and training finds planted types."""

import math

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from cellprism.cells.genes import GeneTable
from cellprism.equations.likelihood import mixture_density, negative_binomial
from cellprism.errors import CellsError, ConfigError
from cellprism.models.aido.pretrain import held_out_cells
from cellprism.models.latent.assess import assess, latent_vectors
from cellprism.models.latent.dgd import DgdModel, DgdSizes
from cellprism.models.latent.dgd_train import DgdTraining, loss, start, train_dgd
from cellprism.models.latent.training import TrainingCells
from cellprism.models.registry import load_model, save_model
from models.conftest import same_weights
from models.latent.conftest import GENES, TYPES, WIDTH, planted_cells

BRIEF = DgdTraining(d_model=5, components=7, hidden=19, epochs=11, batch_size=37)


@pytest.fixture(scope="module")
def brief(planted, table):
    """A short training run, and the figures it reported on the way."""
    told = []
    model = train_dgd(planted, table, BRIEF, lambda epoch, figures: told.append((epoch, dict(figures))))
    return model, told


@pytest.fixture
def counts(planted):
    return torch.from_numpy(planted[:17].X.toarray())


def objective(model, z, counts):
    """Log likelihood of counts plus log density of the vector, with every constant."""
    log_mean = model.log_shares(z) + counts.sum(dim=1, keepdim=True).log()
    fit = negative_binomial(counts, log_mean, model.log_dispersion).sum(dim=1)
    mixture = model.mixture
    return fit + mixture_density(z, mixture.logit.log_softmax(0), mixture.mean, mixture.log_spread)


def test_the_search_ends_where_the_objective_is_flat_and_higher_than_at_every_mean(brief, counts):
    model, _ = brief
    z = model.encode(counts).requires_grad_(True)
    reached = objective(model, z, counts)
    (slope,) = torch.autograd.grad(reached.sum(), z)
    for mean in model.mixture.mean:
        at_mean = mean.expand_as(z).clone().requires_grad_(True)
        started = objective(model, at_mean, counts)
        assert (reached > started).all()
        (steep,) = torch.autograd.grad(started.sum(), at_mean)
        assert slope.norm(dim=1).max() < 0.01 * steep.norm(dim=1).median()


def test_more_steps_change_nothing(brief, counts, table):
    model, _ = brief
    longer = DgdModel(DgdSizes(GENES, 5, 7, 19, 2, search_steps=450), table).requires_grad_(False)
    longer.load_state_dict(model.state_dict())
    torch.testing.assert_close(longer.encode(counts), model.encode(counts), atol=2e-3, rtol=0)


def test_a_cells_vector_does_not_depend_on_the_others(dgd, counts):
    together = dgd.encode(counts)
    for rows in ([3], [16, 3, 8], list(range(17))[::-1]):
        torch.testing.assert_close(dgd.encode(counts[rows]), together[rows], atol=1e-5, rtol=1e-5)
    assert torch.equal(dgd.encode(counts), together)


def test_the_search_draws_no_random_numbers_and_runs_where_gradients_are_off(dgd, counts):
    before = torch.get_rng_state()
    found = dgd.encode(counts)
    with torch.no_grad():
        assert torch.equal(dgd.encode(counts), found)
    with torch.inference_mode():
        assert torch.equal(dgd.encode(counts.clone()), found)
    assert torch.equal(torch.get_rng_state(), before)
    assert not found.requires_grad
    assert all(p.grad is None for p in dgd.parameters())


def test_genes_that_were_not_measured_have_no_say(dgd, counts, table):
    """The vector is that of a model that never had these genes."""
    kept = torch.arange(GENES)[torch.randperm(GENES, generator=torch.Generator().manual_seed(0))[:23]].sort().values
    smaller = DgdModel(
        DgdSizes(23, WIDTH, components=5, hidden=19, search_steps=43), GeneTable.of([table.symbol[i] for i in kept])
    )
    state = dgd.state_dict()
    per_gene = ("output.weight", "output.bias", "log_dispersion")
    smaller.load_state_dict({name: value[kept] if name in per_gene else value for name, value in state.items()})
    marked = torch.full_like(counts, -1.0)
    marked[:, kept] = counts[:, kept]
    torch.testing.assert_close(dgd.encode(marked), smaller.encode(counts[:, kept]), atol=1e-5, rtol=1e-5)
    assert (dgd.encode(marked) - dgd.encode(counts)).abs().max() > 0.01


def test_training_learns_the_planted_types_with_more_than_one_component(planted, table):
    settings = DgdTraining(d_model=5, components=7, hidden=19, layers=1, epochs=60, learning_rate=5e-3)
    model = train_dgd(planted, table, settings)
    train, test = held_out_cells(planted.n_obs, 0.1, 0)
    figures = assess(model, planted, train, test)
    assert figures["reconstruction"]["model"]["interval"][0] > 0.1
    assert figures["reconstruction"]["untrained network"]["gain"] < figures["reconstruction"]["model"]["gain"]
    assert figures["cell_types"]["readout"]["vectors"]["accuracy"] > 0.9
    nearest = torch.cdist(torch.from_numpy(latent_vectors(model, planted)), model.mixture.mean).argmin(dim=1).numpy()
    kind = np.asarray(planted.obs["cell_type"])
    shares = [max(np.mean(kind[nearest == k] == t) for t in TYPES) for k in np.unique(nearest)]
    assert len(shares) >= len(TYPES)
    assert np.mean(shares) > 0.9, "components gather cells of one type"


def test_cells_that_fill_few_dimensions_start_at_rounding_in_none(planted, table):
    alike = planted.X[np.arange(41) % 3]
    model = DgdModel.random(DgdSizes(GENES, 5, components=7, hidden=19), table, 0)
    with pytest.warns(ConvergenceWarning, match="distinct clusters"):
        vectors = start(model, TrainingCells(alike), 0)
    spread = vectors.std(dim=0, correction=0)
    assert spread[:2] == pytest.approx([1, 1], abs=1e-5)
    assert spread[2:].max() < 1e-5
    assert model.mixture.logit.isfinite().all()


def test_loss_is_the_objective_and_the_priors_of_the_mixture(dgd, counts):
    z = torch.randn(17, WIDTH, generator=torch.Generator().manual_seed(0))
    fit, prior = loss(dgd, z, counts)
    mixture = dgd.mixture
    of_mixture = 0.0
    for k in range(5):
        for j in range(WIDTH):
            of_mixture += 0.5 * mixture.mean[k, j].item() ** 2
            of_mixture += 0.5 * ((mixture.log_spread[k, j].item() - math.log(0.5)) / 0.3) ** 2
    torch.testing.assert_close(fit + prior, of_mixture / 5 - objective(dgd, z, counts))


def test_training_tells_every_epoch_and_keeps_the_curve(brief):
    model, told = brief
    assert [epoch for epoch, _ in told] == list(range(1, 12))
    assert model.card["curve"] == [{"epoch": epoch, **figures} for epoch, figures in told]
    assert told[-1][1]["likelihood"] > told[0][1]["likelihood"]
    assert model.card["settings"]["epochs"] == 11


def test_training_is_repeatable_and_leaves_random_numbers_alone(brief, planted, table):
    before = torch.get_rng_state()
    assert same_weights(train_dgd(planted, table, BRIEF), brief[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_held_out_cells_have_no_part_in_training(brief, planted, table):
    _, test = held_out_cells(planted.n_obs, 0.1, 0)
    others = planted.copy()
    counts = others.X.toarray()
    counts[test] = counts[test][:, ::-1] + 1
    others.X = type(others.X)(counts)
    assert same_weights(train_dgd(others, table, BRIEF), brief[0])


def test_a_trained_model_comes_back_from_its_folder(brief, tmp_path, counts):
    model, _ = brief
    save_model(model, tmp_path)
    loaded = load_model(tmp_path)
    assert torch.equal(loaded.encode(counts), model.encode(counts))
    assert loaded.card["settings"] == model.card["settings"]


def test_wrong_cells_and_settings_are_refused(planted, table):
    with pytest.raises(ConfigError, match="columns of the cells are not the genes of the list"):
        train_dgd(planted[:, ::-1].copy(), table)
    empty = planted.copy()
    empty.X = empty.X.multiply(np.arange(planted.n_obs)[:, None] > 1).tocsr()
    with pytest.raises(CellsError, match="2 cells have no counts in the model's genes"):
        train_dgd(empty, table)
    with pytest.raises(ConfigError, match="too many for 15 training cells and 29 genes; lower them"):
        train_dgd(planted_cells(17), table)
    with pytest.raises(ConfigError, match="components is 0: expected at least 1"):
        DgdTraining(components=0)
    with pytest.raises(ConfigError, match=r"held_out is 0.0: expected a share between 0 and 1"):
        DgdTraining(held_out=0.0)
    with pytest.raises(ConfigError, match="search_steps is 0: expected at least 1"):
        DgdSizes(GENES, search_steps=0)
