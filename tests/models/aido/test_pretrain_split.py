"""Training on split counts: parts are independent, the loss is scipy's, and what is learned is more than copying."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy import stats
from torch.nn import functional as F

from cellprism.errors import ConfigError, ModelError
from cellprism.features.splice import loss_recovered
from cellprism.models.aido.assess import expression_of, predict_masked
from cellprism.models.aido.files import load, save
from cellprism.models.aido.pretrain import Counts, PretrainConfig, draw_split, fresh_model, held_out_cells, pretrain
from cellprism.models.aido.pretrain_split import flatness, split_counts, split_loss
from cellprism.models.aido.pretrain_state import history
from cellprism.models.aido.rates import log_rate
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.studies.assess.hidden import output_with
from models.conftest import same_weights
from models.planted import CELLS, GENES, QUICK, SPLIT, TABLE, planted_cells

SHORT = replace(SPLIT, steps=6, report_every=3)


@pytest.fixture(scope="module")
def cells():
    return planted_cells()


@pytest.fixture(scope="module")
def counts(cells) -> Counts:
    return Counts.of(cells)


@pytest.fixture(scope="module")
def rows(cells) -> tuple[np.ndarray, np.ndarray]:
    return held_out_cells(cells.n_obs, QUICK.held_out, QUICK.seed)


@pytest.fixture(scope="module")
def trained(cells, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    return pretrain(cells, TABLE, SPLIT, folder), folder


def test_parts_are_binomial_and_add_up():
    rng = np.random.default_rng(0)
    counts = sp.csr_matrix(np.full((4, 5003), 7.0, dtype=np.float32))
    share = np.array([0.3, 0.5, 0.7, 0.85])
    totals = np.full(4, 50_000.0)
    part, depth = split_counts(counts, totals, share, rng)
    for c in range(4):
        drawn = part[c].toarray().ravel()
        seen = np.bincount(drawn.astype(int), minlength=8)
        expected = stats.binom.pmf(np.arange(8), 7, share[c]) * 5003
        rare = np.where(expected < 5, 8, np.arange(8))  # too few for the test; counted together
        observed, expected = (np.bincount(rare, x, minlength=9) for x in (seen, expected))
        there = expected > 0
        assert stats.chisquare(observed[there], expected[there], sum_check=False).pvalue > 1e-3
    assert ((counts - part).toarray() >= 0).all()
    elsewhere = totals - 7 * 5003
    spread = np.sqrt(elsewhere * share * (1 - share))
    assert (np.abs(depth - part.toarray().sum(1) - elsewhere * share) < 4 * spread).all()


def test_parts_of_poisson_counts_are_independent():
    rng = np.random.default_rng(1)
    whole = sp.csr_matrix(rng.poisson(6.0, (1, 20_011)).astype(np.float32))
    part, _ = split_counts(whole, np.array([1e6]), np.array([0.4]), rng)
    one, other = part.toarray().ravel(), (whole - part).toarray().ravel()
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(len(one))


def test_a_draw_is_one_part_as_the_model_reads_it_and_the_other_in_counts(cells, counts, rows):
    totals = cells.obs["total_counts"].to_numpy()
    for step in range(20):
        drawn = draw_split(counts, rows[0], SPLIT, step)
        genes, some = drawn.batch.gene[:-2].numpy(), drawn.batch.cell.numpy()
        assert set(some) <= set(rows[0])
        depth = totals[some] - drawn.totals.numpy()
        np.testing.assert_allclose(drawn.batch.values[:, -1], np.log10(depth), rtol=1e-5)
        shown = cells.X.toarray()[np.ix_(some, genes)] - drawn.counts.numpy()
        read = np.log1p(shown / depth[:, None] * 1e4)
        values = np.where(drawn.hidden[:, :-2], -1.0, read)
        np.testing.assert_allclose(drawn.batch.values[:, :-2], values, rtol=1e-4, atol=1e-5)
        assert not drawn.hidden[:, -2:].any()
        share = depth / totals[some]
        assert (share > 0.2).all()
        assert (share < 0.95).all()


def test_a_steps_draw_depends_on_seed_and_step_alone(counts, rows):
    one, again = (draw_split(counts, rows[0], SPLIT, 5) for _ in range(2))
    assert torch.equal(one.batch.values, again.batch.values)
    assert torch.equal(one.counts, again.counts)
    other = draw_split(counts, rows[0], SPLIT, 6)
    assert one.counts.shape != other.counts.shape or not torch.equal(one.counts, other.counts)


def test_the_loss_is_scipys_at_all_genes_hidden_and_visible(counts, rows):
    model = fresh_model(SPLIT, TABLE, counts, rows[0]).requires_grad_(False)
    model.head.rates.log_dispersion.copy_(torch.linspace(-1, 2, GENES))
    drawn = draw_split(counts, rows[0], SPLIT, 1)
    expression = model.resume(drawn.batch, 1, model.residual(drawn.batch, 1)).expression.double().numpy()
    r = np.exp(np.linspace(-1, 2, GENES))[drawn.batch.gene[:-2].numpy()]
    m = np.expm1(expression) * drawn.totals.numpy()[:, None] / 1e4
    expected = -stats.nbinom.logpmf(drawn.counts.numpy(), r, r / (r + m)).mean()
    loss, penalty = split_loss(model, drawn, 0, 0.0)
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    assert penalty.item() == 0


def test_flatness_is_that_of_hidden_tokens_and_of_cells():
    rng = np.random.default_rng(2)
    x, hidden = rng.normal(size=(7, 11, 5)) * np.r_[4, 1, 1, 1, 1], rng.random((7, 11)) < 0.5
    rows = []
    for g in range(11):
        own = x[hidden[:, g], g]
        rows.extend(own - own.mean(0) if len(own) else own)

    def inverse(y):
        values = np.linalg.eigvalsh(y.T @ y)
        return (values**2).sum() / values.sum() ** 2

    pooled = x.mean(1) - x.mean((0, 1))
    expected = inverse(np.array(rows)) + 0.3 * inverse(pooled)
    assert flatness(torch.from_numpy(x), torch.from_numpy(hidden)).item() == pytest.approx(expected, rel=1e-9)


def test_the_penalty_is_its_weight_times_the_flatness_of_its_block(counts, rows):
    model = fresh_model(SPLIT, TABLE, counts, rows[0]).requires_grad_(False)
    drawn = draw_split(counts, rows[0], SPLIT, 1)
    loss, _ = split_loss(model, drawn, 0, 0.0)
    for block in (0, 1):
        same, penalty = split_loss(model, drawn, block, 0.7)
        x = model.residual(drawn.batch, block)[:, :-2]
        assert penalty.item() == pytest.approx(0.7 * flatness(x, drawn.hidden[:, :-2]).item(), rel=1e-5)
        assert torch.equal(same, loss)


def test_expression_is_the_softplus_of_head_bias_and_readout(trained, cells):
    model, _ = trained
    batch = next(model.batches(cells, 7))
    x = model.residual(batch, 1)
    rates = model.head.rates
    eta = model.head(model.final_norm(x))[:, :-2] + rates.bias + (x[:, :-2] * rates.readout).sum(-1)
    expression = model.resume(batch, 1, x).expression
    torch.testing.assert_close(expression, torch.log1p(eta.exp()))
    torch.testing.assert_close(expression, F.softplus(eta))
    torch.testing.assert_close(log_rate(expression), eta, rtol=1e-4, atol=1e-4)
    some = torch.tensor([3, 11, 2])
    torch.testing.assert_close(model.resume_at(batch, 1, x, some).expression, expression[:, some])


def test_biases_start_at_log_mean_rates_and_predictions_at_the_linear_models(counts, rows):
    train = rows[0]
    plain = fresh_model(replace(SPLIT, factors=0), TABLE, counts, train)
    rate = counts.matrix[train].toarray().sum(0) / counts.totals[train].sum() * 1e4
    torch.testing.assert_close(plain.head.rates.bias.detach(), torch.from_numpy(np.log(rate)).float())
    fitted = fresh_model(SPLIT, TABLE, counts, train)
    losses = [
        np.mean([split_loss(m, draw_split(counts, rows[1], SPLIT, s), 0, 0.0)[0].item() for s in range(8)])
        for m in (plain, fitted)
    ]
    assert losses[1] < losses[0] - 0.1, "two planted types are one factor"


def test_held_out_loss_falls_and_is_what_is_reported(trained):
    model, folder = trained
    curve = history(folder)
    assert [line["step"] for line in curve] == [20, 40, 60, 80, 100]
    assert {"loss", "flatness", "held_out_loss", "step"} == set(curve[0])
    assert curve[-1]["held_out_loss"] < curve[0]["held_out_loss"]
    assert model.trained_at == "visible"


def test_it_beats_gene_means_at_hidden_genes_and_their_own_counts_at_visible_ones(trained, cells, rows):
    model, _ = trained
    train, held_out = rows
    rng = np.random.default_rng(3)
    truth = expression_of(model, cells)
    hidden = np.arange(GENES) % 3 == 0
    error = ((predict_masked(model, cells[held_out], hidden) - truth[held_out])[:, hidden] ** 2).mean()
    assert error < 0.7 * ((truth[train].mean(0) - truth[held_out])[:, hidden] ** 2).mean()

    part, depth = split_counts(
        sp.csr_matrix(cells.X), cells.obs["total_counts"].to_numpy(), np.full(len(truth), 0.5), rng
    )
    shown, rest = cells.copy(), cells.copy()
    shown.X, rest.X = part, sp.csr_matrix(cells.X - part)
    shown.obs["total_counts"], rest.obs["total_counts"] = depth, cells.obs["total_counts"].to_numpy() - depth
    seen, other = expression_of(model, shown), expression_of(model, rest)
    said = predict_masked(model, shown[held_out], np.zeros(GENES, dtype=bool))
    regressed = np.empty_like(said)
    for g in range(GENES):
        fitted = np.polyfit(seen[train, g], other[train, g], 1)
        regressed[:, g] = np.polyval(fitted, seen[held_out, g])
    assert ((said - other[held_out]) ** 2).mean() < 0.95 * ((regressed - other[held_out]) ** 2).mean()


def test_errors_on_counts_are_of_what_is_counted_at_the_cells_depth(trained, cells):
    """With few counts expected most readings are zero, and log1p of the rate lies far above what is read."""
    model, _ = trained
    hidden = np.arange(GENES) % 3 == 0
    part, depth = split_counts(
        cells.X, cells.obs["total_counts"].to_numpy(), np.full(CELLS, 0.1), np.random.default_rng(4)
    )
    shallow = cells.copy()
    shallow.X, shallow.obs["total_counts"] = part, depth
    batch = next(model.batches(shallow, CELLS))
    masked = model.mask(batch, F.pad(torch.from_numpy(hidden), (0, 2)).expand(batch.values.shape))
    rate = model.resume(masked, 1, model.residual(masked, 1)).expression
    r = model.head.rates.log_dispersion.exp().numpy()
    m = np.expm1(rate.numpy()) * depth[:, None] / 1e4
    x = np.arange(400)[:, None, None]
    expected = (stats.nbinom.pmf(x, r, r / (r + m)) * np.log1p(x * 1e4 / depth[:, None])).sum(0)
    said = output_with(model, shallow, hidden, CELLS)
    np.testing.assert_allclose(said, expected, rtol=2e-3, atol=1e-4)
    assert (said < rate.numpy()).all()
    truth = batch.values[:, :-2].numpy()
    assert ((said - truth)[:, hidden] ** 2).mean() < ((rate.numpy() - truth)[:, hidden] ** 2).mean()

    sae = SparseAutoencoder(torch.zeros(16, 3), torch.zeros(3), torch.zeros(3, 16), torch.zeros(16), k=2)
    found = loss_recovered(model, {"one": sae}, shallow, 1)["one"]
    assert found.original < ((rate.numpy() - truth) ** 2).mean()


def test_a_saved_model_comes_back_the_same(trained, cells, tmp_path):
    model, _ = trained
    save(model, tmp_path, model.card | {"name": "planted"})
    loaded = load(tmp_path)
    assert loaded.config == model.config
    assert loaded.trained_at == "visible"
    assert same_weights(loaded, model)
    batch = next(loaded.batches(cells, 7))
    one, other = (m.resume(batch, 0, m.residual(batch, 0)).expression for m in (model, loaded))
    assert torch.equal(one, other)


def test_a_stopped_run_goes_on_bit_for_bit(cells, tmp_path):
    class Stopped(Exception):
        pass

    def stop(step, figures):
        if step == 5:
            raise Stopped

    whole = pretrain(cells, TABLE, SHORT, tmp_path / "whole")
    with pytest.raises(Stopped):
        pretrain(cells, TABLE, SHORT, tmp_path / "parts", stop)
    seen = []
    assert same_weights(pretrain(cells, TABLE, SHORT, tmp_path / "parts", lambda s, _: seen.append(s)), whole)
    assert seen == [4, 5, 6]
    assert history(tmp_path / "parts") == history(tmp_path / "whole")


def test_counts_of_held_out_cells_change_no_weight(cells, rows, tmp_path):
    other = cells.copy()
    altered = other.X.toarray()
    altered[rows[1]] = altered[rows[1]][:, ::-1] + 1
    other.X = altered
    one = pretrain(cells, TABLE, SHORT, tmp_path / "one")
    assert same_weights(one, pretrain(other, TABLE, SHORT, tmp_path / "other"))


def test_a_batch_without_a_depth_token_is_refused(trained, cells):
    model, _ = trained
    batch = next(model.batches(cells, 7))
    bare = replace(batch, values=batch.values[:, :-2], gene=batch.gene[:-2], present=batch.present[:, :-2])
    with pytest.raises(ModelError, match="reads a cell's depth, and the batch has no token for it"):
        model.residual(bare, 0)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"split_low": 0.0}, "split_low 0.0 and split_high 0.85: expected 0 < low <= high < 1"),
        ({"split_low": 0.9}, "split_low 0.9 and split_high 0.85"),
        ({"split_high": 1.0}, "split_high 1.0"),
        ({"factors": 64}, "factors is 64: expected 0 to 63, fewer than hidden"),
        ({"factors": -1}, "factors is -1"),
        ({"dimension_block": 3}, "dimension_block is 3: expected 0 to 2, a block"),
        ({"objective": "masked", "factors": 2}, "factors and dimension belong to objective = 'split'"),
        ({"objective": "masked", "dimension": 0.1}, "factors and dimension belong to objective = 'split'"),
    ],
)
def test_settings_out_of_range_are_refused_with_what_was_expected(setting, message):
    with pytest.raises(ConfigError, match=message):
        PretrainConfig(**({"objective": "split"} | setting))
