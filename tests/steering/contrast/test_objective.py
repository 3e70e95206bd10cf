"""Losses of steered cells and their gradients, on a transformer in double precision."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from cellprism.steering.contrast import recipe_search
from cellprism.steering.contrast.objective import EACH, ENERGY, MEAN, UNSQUARED, Aim, ContrastProblem, read_values
from cellprism.steering.contrast.recipe_search import sampled_tokens
from cellprism.steering.contrast.turning import turning
from cellprism.steering.site_cache import read_site_cache

ROWS = np.array([0, 2, 3, 5, 11, 13, 16])


@pytest.fixture(scope="module", params=["visible", "hidden"])
def cache(real_model, real_sae, cells, request):
    """All cells in double precision, read either way."""
    cache = read_site_cache(real_model, real_sae, cells, 1, 5, read=request.param)
    kept = replace(cache.kept, x=cache.kept.x.double(), code_values=cache.kept.code_values.double())
    sae = replace(real_sae, W_dec=real_sae.W_dec.double())
    return replace(cache, model=deepcopy(real_model).double(), sae=sae, kept=kept)


def dense_codes(cache):
    z = torch.zeros(*cache.kept.x.shape[:2], 41, dtype=torch.float64)
    return z.scatter_(2, cache.kept.code_features, cache.kept.code_values)


OBJECTIVES = ["latent", "latent at some tokens", "expression", "latent-by-cell", "expression-by-cell"]
OBJECTIVES += ["latent-unsquared-by-cell", "latent-energy"]


def aim(cache, objective) -> Aim:
    rng = torch.Generator().manual_seed(0)
    columns = torch.tensor([0, 2, 3, 5, 7, 11, 13, 17, 19, 23, 28]) if objective.startswith("expression") else None
    size = 16 if columns is None else 11
    source, target = torch.randn(2, size, generator=rng, dtype=torch.float64)
    weight = torch.ones(size, dtype=torch.float64) if columns is None else torch.rand(size, generator=rng).double()
    tokens = torch.tensor([1, 4, 5, 9, 20]) if objective.endswith("some tokens") else None
    form = EACH if objective.endswith("by-cell") else MEAN
    form = {"latent-unsquared-by-cell": UNSQUARED, "latent-energy": ENERGY}.get(objective, form)
    sample = torch.randn(7, size, generator=rng, dtype=torch.float64) if form == ENERGY else None
    return Aim(source, target, weight, columns, tokens, form, sample)


def by_the_formula(cache, aim, x):
    """The objective of all cells together, from residual streams of single passes."""
    (part,) = replace(cache, batch_size=68).take_rows(cache.one_row_each(ROWS))
    after, before = (read_values(cache, part, y, aim) for y in (x, part.x))
    if aim.form == ENERGY:
        pairs = [(after, aim.sample), (after, after), (aim.sample, aim.sample)]
        between, own, others = ((a[:, None] - b).norm(dim=2).mean() for a, b in pairs)
        return 2 * between - own - others
    if aim.form == UNSQUARED:
        return (after - aim.target).norm(dim=1).mean()
    if aim.by_cell:
        return (((after - aim.target) ** 2) * aim.weight).nansum(dim=1).mean()
    move = (after - before).nanmean(dim=0).nan_to_num(0.0)
    return ((move - aim.target + aim.source) ** 2 * aim.weight).sum()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_loss_and_gradient_are_those_of_the_formula(cache, objective):
    problem = ContrastProblem(cache, ROWS, aim(cache, objective))
    rng = torch.Generator().manual_seed(1)
    strengths = 1 + torch.randn(41, generator=rng, dtype=torch.float64)
    loss, gradient = problem.loss_and_gradient(strengths)
    rows = cache.one_row_each(ROWS)
    x = cache.kept.x[rows] + ((strengths - 1) * dense_codes(cache)[rows]) @ cache.W_dec
    assert loss == pytest.approx(by_the_formula(cache, problem.aim, x).item(), rel=1e-9)
    for _ in range(3):
        way = 1e-5 * torch.randn(41, generator=rng, dtype=torch.float64)
        apart = problem.loss(strengths + way) - problem.loss(strengths - way)
        assert apart / 2 == pytest.approx((gradient @ way).item(), rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("edit", ["add", "clamp"])
def test_the_gradient_of_edits_that_recruit_is_exact(cache, edit):
    turn = turning(cache, edit, np.arange(7), np.arange(7, 17))
    problem = ContrastProblem(cache, ROWS, aim(cache, "expression"), turn)
    rng = torch.Generator().manual_seed(1)
    strengths = 1 + 0.3 * torch.randn(41, generator=rng, dtype=torch.float64)
    _, gradient = problem.loss_and_gradient(strengths)
    way = 1e-5 * torch.randn(41, generator=rng, dtype=torch.float64)
    apart = problem.loss(strengths + way) - problem.loss(strengths - way)
    assert apart / 2 == pytest.approx((gradient @ way).item(), rel=1e-5)
    (part,) = replace(cache, batch_size=68).take_rows(cache.one_row_each(ROWS))
    squares = turn.squared_norm(cache, part)
    for feature in (0, 7, 40):
        one = torch.ones(41, dtype=torch.float64)
        one[feature] = 3
        change = turn.edited(cache, part, one) - part.x
        assert change.square().sum().item() == pytest.approx(4 * squares[feature].item(), rel=1e-6)
        assert not change[~part.batch.present].any()
        whole = (change @ cache.W_dec[feature]).sum() / cache.W_dec[feature].square().sum()
        assert whole.item() == pytest.approx(2 * turn.summed(cache, part)[feature].item(), rel=1e-6)
    assert turn.edited(cache, part, torch.ones(41, dtype=torch.float64)) is part.x


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_loss_and_gradient_do_not_depend_on_the_batch_size(cache, objective):
    strengths = torch.full((41,), 1.5, dtype=torch.float64)
    parts = [ContrastProblem(replace(cache, batch_size=n), ROWS, aim(cache, objective)) for n in (2, 28)]
    (loss, gradient), (other_loss, other_gradient) = (part.loss_and_gradient(strengths) for part in parts)
    assert loss == pytest.approx(other_loss, rel=1e-9)
    assert parts[0].loss(strengths) == pytest.approx(loss, rel=1e-9)
    torch.testing.assert_close(gradient, other_gradient, rtol=1e-7, atol=1e-10)


def test_the_cells_own_place_does_not_matter_where_their_mean_is_to_move(cache):
    still = torch.ones(41, dtype=torch.float64)
    wanted = aim(cache, "latent")
    gap = ((wanted.target - wanted.source) ** 2).sum().item()
    for rows in (ROWS, ROWS[:3]):
        assert ContrastProblem(cache, rows, wanted).loss(still) == pytest.approx(gap)


def test_at_some_tokens_the_embedding_is_the_mean_of_those_that_are_seen(cache):
    wanted = aim(cache, "latent at some tokens")
    (part,) = replace(cache, batch_size=68).take_rows(cache.one_row_each(ROWS))
    token = cache.model.resume(part.batch, 1, part.x).token[:, wanted.tokens]
    seen = part.batch.present[:, wanted.tokens, None]
    assert seen.all() == (cache.fold is None)
    expected = (token * seen).sum(dim=1) / seen.sum(dim=1).clamp(min=1)
    torch.testing.assert_close(read_values(cache, part, part.x, wanted), expected)


def test_a_sample_of_tokens_is_drawn_of_genes_alone_and_only_where_there_are_more(cache, monkeypatch):
    assert sampled_tokens(cache, np.random.default_rng(0)) is None
    monkeypatch.setattr(recipe_search, "TOKENS", 7)
    one, other = (sampled_tokens(cache, np.random.default_rng(seed)) for seed in (0, 1))
    assert len(one.unique()) == len(other.unique()) == 7
    assert (cache.whole.gene[one] >= 0).all()
    assert not one.equal(other)


def test_a_model_that_leaves_out_tokens_says_the_same_of_the_others(cache):
    wanted = aim(cache, "expression")
    (part,) = replace(cache, batch_size=68).take_rows(cache.one_row_each(ROWS))
    said = read_values(cache, part, part.x, wanted)
    whole = cache.model.resume(part.batch, 1, part.x).expression[:, wanted.columns]
    there = ~said.isnan()
    torch.testing.assert_close(said[there], whole[there])
    assert there.all() == (cache.fold is None)


def test_the_squared_edit_norm_is_0_exactly_for_features_that_never_fire(cache):
    problem = ContrastProblem(cache, ROWS, aim(cache, "latent"))
    z = dense_codes(cache)
    expected = z[cache.one_row_each(ROWS)].square().sum(dim=(0, 1)) * cache.W_dec.square().sum(dim=1) / len(ROWS)
    torch.testing.assert_close(problem.squared_edit_norm(), expected)


def test_reading_the_pool_predicts_every_cell_as_the_whole_model_does(real_model, real_sae, cells):
    cache = read_site_cache(real_model, real_sae, cells, 1, 5, read="visible")
    batch = next(real_model.batches(cells, 17))
    output = real_model.resume(batch, 1, real_model.residual(batch, 1))
    assert cache.output_kind == "expression"
    np.testing.assert_allclose(cache.baseline.values, output.expression, atol=1e-5)
    np.testing.assert_allclose(cache.baseline.embedding, output.embedding, atol=1e-5)
    neutral = cache.predict(np.array([16, 3]), torch.ones(41))
    np.testing.assert_allclose(neutral.values, output.expression[[16, 3]], atol=1e-5)
    assert cache.genes.equals(cells.var_names)
