"""Pretraining on planted cells: it learns, it never sees held-out cells, and its draws favour no gene."""

from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest

from cellprism.cells.genes import GeneTable
from cellprism.errors import CellsError, ConfigError, ModelError
from cellprism.models.aido.files import load, save
from cellprism.models.aido.pretrain import (
    Counts,
    PretrainConfig,
    draw,
    fresh_model,
    held_out_cells,
    learning_rate,
    masked_error,
    pretrain,
)
from cellprism.models.aido.pretrain_state import history
from models.conftest import same_weights
from models.planted import GENES, QUICK, TABLE, planted_cells

SHORT = replace(QUICK, steps=6, report_every=3)


@pytest.fixture(scope="module")
def cells():
    return planted_cells()


@pytest.fixture(scope="module")
def counts(cells) -> Counts:
    return Counts.of(cells)


@pytest.fixture(scope="module")
def split(cells) -> tuple[np.ndarray, np.ndarray]:
    return held_out_cells(cells.n_obs, QUICK.held_out, QUICK.seed)


@pytest.fixture(scope="module")
def trained(cells, tmp_path_factory):
    """A model after 100 steps, its folder, and what it reported on the way."""
    folder = tmp_path_factory.mktemp("trained")
    seen = []
    model = pretrain(cells, TABLE, QUICK, folder, lambda step, figures: seen.append((step, dict(figures))))
    return model, folder, seen


def gene_mean_error(cells, split) -> float:
    """Error of each gene's mean over training cells at all entries of the held-out cells."""
    train, held_out = split
    expression = np.log1p(cells.X.toarray() / cells.obs["total_counts"].to_numpy()[:, None] * 1e4)
    return float(((expression[held_out] - expression[train].mean(0)) ** 2).mean())


def test_training_learns_more_than_gene_means(cells, split, trained):
    _, folder, _ = trained
    errors = [line["held_out_error"] for line in history(folder)]
    assert errors[-1] < 0.6 * gene_mean_error(cells, split)
    assert errors[-1] < 0.6 * errors[0]


def test_every_step_is_reported_and_the_curve_is_kept(trained):
    _, folder, seen = trained
    assert [step for step, _ in seen] == list(range(1, QUICK.steps + 1))
    assert [line["step"] for line in history(folder)] == [20, 40, 60, 80, 100]
    assert history(folder)[2] == {"step": 60, **seen[59][1]}


def test_the_reported_error_is_that_of_the_model_which_is_kept(counts, split, trained):
    model, folder, _ = trained
    steps = range(10_000_000, 10_000_016)
    errors = [masked_error(model, *draw(counts, split[1], QUICK, step)).item() for step in steps]
    assert history(folder)[-1]["held_out_error"] == pytest.approx(np.mean(errors), rel=1e-6)


def test_the_trained_folder_loads_as_a_model_with_its_checkpoint_beside(trained, cells):
    model, folder, _ = trained
    save(model, folder, {"name": "planted"})
    loaded = load(folder)
    assert same_weights(loaded, model)
    assert loaded.config.gene_subset
    assert loaded.config.total == "cell"
    batch = next(loaded.batches(cells, 7))
    assert torch.isfinite(loaded.resume(batch, 0, loaded.residual(batch, 0)).expression).all()


def test_the_kept_model_is_frozen_and_carries_the_genes(trained):
    model, _, _ = trained
    assert model.genes == TABLE.symbol
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())


def test_counts_of_held_out_cells_change_no_weight(cells, split, tmp_path):
    _, held_out = split
    other = cells.copy()
    altered = other.X.toarray()
    altered[held_out] = altered[held_out][:, ::-1] * 3 + 1
    other.X = altered
    one = pretrain(cells, TABLE, SHORT, tmp_path / "one")
    same = pretrain(other, TABLE, SHORT, tmp_path / "other")
    assert same_weights(one, same)
    first, second = history(tmp_path / "one"), history(tmp_path / "other")
    assert [f["loss"] for f in first] == [f["loss"] for f in second]
    assert first[0]["held_out_error"] != second[0]["held_out_error"], "the alteration must be visible somewhere"


def test_a_seed_is_a_result_and_the_callers_random_numbers_are_left_alone(cells, tmp_path):
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    one = pretrain(cells, TABLE, SHORT, tmp_path / "one")
    assert torch.equal(torch.rand(3), expected)
    assert same_weights(one, pretrain(cells, TABLE, SHORT, tmp_path / "again"))
    assert not same_weights(one, pretrain(cells, TABLE, replace(SHORT, seed=4), tmp_path / "other"))


def test_bfloat16_products_train_too(cells, tmp_path):
    pretrain(cells, TABLE, replace(SHORT, bf16=True), tmp_path)
    assert np.isfinite([line["held_out_error"] for line in history(tmp_path)]).all()


@pytest.mark.parametrize(("n", "share", "held"), [(61, 0.2, 12), (17, 0.1, 2), (5, 0.01, 1)])
def test_held_out_cells_are_apart_from_training_cells_and_the_same_every_time(n, share, held):
    train, held_out = held_out_cells(n, share, 7)
    assert len(held_out) == held
    assert sorted([*train, *held_out]) == list(range(n))
    assert np.array_equal(train, np.sort(train))
    again = held_out_cells(n, share, 7)
    assert np.array_equal(train, again[0])
    assert np.array_equal(held_out, again[1])


def test_another_seed_holds_out_other_cells():
    assert not np.array_equal(held_out_cells(61, 0.2, 0)[1], held_out_cells(61, 0.2, 1)[1])


def test_genes_are_drawn_uniformly_whatever_their_expression(counts, split):
    drawn = np.zeros(GENES)
    for step in range(500):
        batch, _, _ = draw(counts, split[0], QUICK, step)
        genes = batch.gene[batch.gene >= 0].numpy()
        assert len(np.unique(genes)) == len(genes), "no gene twice in a cell"
        drawn[genes] += 1
    assert chisquare(drawn).pvalue > 1e-3, "without replacement the counts vary less than chi-square allows"
    high = counts.matrix.toarray().mean(0) > 10
    assert drawn[high].mean() == pytest.approx(drawn[~high].mean(), rel=0.05)


def test_a_draw_is_training_cells_as_the_model_reads_them_with_some_values_hidden(cells, counts, split):
    totals = cells.obs["total_counts"].to_numpy()
    for step in range(20):
        batch, hidden, truth = draw(counts, split[0], QUICK, step)
        genes, rows = batch.gene[:-2].numpy(), batch.cell.numpy()
        assert set(rows) <= set(split[0])
        expected = np.log1p(cells.X.toarray()[np.ix_(rows, genes)] / totals[rows, None] * 1e4)
        np.testing.assert_allclose(truth[:, :-2], expected, rtol=1e-5, atol=1e-6)
        assert torch.equal(batch.values, torch.where(hidden, -1.0, truth))


def test_depth_tokens_are_last_and_never_hidden(counts, split):
    for step in range(50):
        batch, hidden, _ = draw(counts, split[0], replace(QUICK, mask_low=0.97, mask_high=0.99), step)
        assert batch.gene[-2:].tolist() == [-1, -1]
        assert not batch.present[:, -2:].any()
        assert not hidden[:, -2:].any()
        assert hidden[:, :-2].float().mean() > 0.9


def test_sizes_and_shares_stay_within_the_settings(counts, split):
    config = replace(QUICK, genes_low=20, genes_high=999, mask_low=0.3, mask_high=0.5)
    sizes, shares = [], []
    for step in range(300):
        batch, hidden, _ = draw(counts, split[0], config, step)
        n_genes = int((batch.gene >= 0).sum())
        sizes.append(n_genes)
        shares.extend(hidden[:, :n_genes].float().mean(1).tolist())
        assert len(batch.cell) == config.tokens // n_genes
    assert min(sizes) >= 20
    assert max(sizes) == GENES, "never more than the model's genes"
    logs = np.log(np.array(sizes) + np.random.default_rng(0).uniform(-0.5, 0.5, 300))
    assert kstest(logs, "uniform", (np.log(19.5), np.log(37.5 / 19.5))).pvalue > 1e-3
    assert np.mean(shares) == pytest.approx(0.4, abs=0.01)


def test_a_steps_draw_depends_on_seed_and_step_alone(counts, split):
    one, again = (draw(counts, split[0], QUICK, 5) for _ in range(2))
    assert torch.equal(one[0].values, again[0].values)
    for other in (draw(counts, split[0], QUICK, 6), draw(counts, split[0], replace(QUICK, seed=4), 5)):
        assert one[0].values.shape != other[0].values.shape or not torch.equal(one[0].values, other[0].values)


def test_the_loss_is_the_squared_error_at_hidden_genes_alone(counts, split):
    model = fresh_model(QUICK, TABLE, counts, split[0]).requires_grad_(False)
    batch, hidden, truth = draw(counts, split[0], QUICK, 1)
    predicted = model.resume(batch, 1, model.residual(batch, 1)).expression
    total, n = 0.0, 0
    for cell in range(len(truth)):
        for token in range(predicted.shape[1]):
            if hidden[cell, token]:
                total, n = total + (float(predicted[cell, token]) - float(truth[cell, token])) ** 2, n + 1
    assert masked_error(model, batch, hidden, truth).item() == pytest.approx(total / n, rel=1e-5)


def test_the_learning_rate_warms_up_and_falls_to_zero_along_a_cosine():
    config = PretrainConfig(steps=1100, warmup=100, learning_rate=2e-3)
    assert learning_rate(config, 0) == pytest.approx(2e-5)
    assert learning_rate(config, 99) == learning_rate(config, 100) == 2e-3
    assert learning_rate(config, 600) == pytest.approx(1e-3)
    assert 0 < learning_rate(config, 1099) < 1e-8


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"mask_low": 0.0}, "mask_low 0.0 and mask_high 0.65: expected 0 < low <= high < 1"),
        ({"mask_low": 0.7}, "mask_low 0.7 and mask_high 0.65"),
        ({"mask_high": 1.0}, "mask_high 1.0"),
        ({"held_out": 0.0}, "held_out is 0.0: expected a share between 0 and 1, such as 0.1"),
        ({"held_out": 1.0}, "held_out is 1.0"),
        ({"genes_low": 1}, "genes_low 1 must lie between 2 and genes_high 800"),
        ({"genes_low": 900}, "genes_low 900 must lie between 2 and genes_high 800"),
        ({"report_every": 0}, "report_every is 0: expected at least 1"),
        ({"steps": 0}, "steps is 0: expected at least 1"),
    ],
)
def test_settings_out_of_range_are_refused_with_what_was_expected(setting, message):
    with pytest.raises(ConfigError, match=message):
        PretrainConfig(**setting)


def test_heads_that_do_not_divide_the_width_are_refused(cells, tmp_path):
    with pytest.raises(ModelError, match="hidden 16 is not a multiple of heads 3"):
        pretrain(cells, TABLE, replace(SHORT, heads=3), tmp_path)


def test_columns_in_another_order_than_the_genes_are_refused(cells, tmp_path):
    genes = GeneTable(TABLE.symbol[::-1], TABLE.ensembl, {})
    with pytest.raises(ConfigError, match="the columns of the cells are not the genes of the list, in its order"):
        pretrain(cells, genes, SHORT, tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("total", [0.0, nan])
def test_a_cell_without_counts_is_refused_before_it_turns_every_weight_into_nan(cells, tmp_path, total):
    empty = cells.copy()
    empty.obs["total_counts"] = [*cells.obs["total_counts"][:-1], total]
    with pytest.raises(CellsError, match="1 cells have no counts in the model.s genes; drop them"):
        pretrain(empty, TABLE, SHORT, tmp_path)


def test_totals_are_the_declared_ones_or_the_sums(cells):
    assert np.array_equal(Counts.of(cells).totals, cells.obs["total_counts"].to_numpy(np.float32))
    bare = cells.copy()
    del bare.obs["total_counts"]
    assert np.array_equal(Counts.of(bare).totals, cells.X.toarray().sum(1))
    assert Counts.of(bare).totals.max() < inf
