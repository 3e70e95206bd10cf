"""Random edits are as large as those that they stand in for."""

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

from cellprism.steering.contrast.trials import edit_norms
from cellprism.steering.intervene import edited
from cellprism.steering.nulls import (
    difference_of_means,
    drawn_summary,
    firing_and_edit_norms,
    moved_along,
    nearest_features,
    random_recipe,
)
from cellprism.steering.site_cache import read_site_cache

ROWS = np.arange(0, 17, 2)


@pytest.fixture(scope="module", params=["visible", "hidden"])
def cache(real_model, real_sae, cells, request):
    return read_site_cache(real_model, real_sae, cells, 1, 5, read=request.param)


def total_norm(cache, rows, residuals) -> float:
    moved = torch.cat([x for _, x in residuals])
    return float((moved - cache.kept.x[cache.rows(rows)]).norm())


def test_firing_and_edit_norms_are_loops_over_tokens(cache):
    firing, squared_norm = firing_and_edit_norms(cache, ROWS)
    z = torch.zeros(*cache.kept.x.shape[:2], 41).scatter_(2, cache.kept.code_features, cache.kept.code_values)
    z = z[cache.rows(ROWS)]
    np.testing.assert_allclose(
        firing, (z != 0).float().sum(dim=(0, 1)) / cache.present[cache.rows(ROWS)].sum(), atol=1e-6
    )
    np.testing.assert_allclose(squared_norm, z.square().sum(dim=(0, 1)), rtol=1e-4)


def read_whole(cache):
    from dataclasses import replace

    return list(replace(cache, batch_size=68).take(np.arange(17)))


@pytest.mark.parametrize("per_token", [False, True])
def test_vectors_are_added_at_present_tokens_with_exactly_the_norm_asked_for(cache, per_token):
    rng = torch.Generator().manual_seed(0)
    vectors = torch.randn(31, 16, generator=rng) if per_token else torch.ones(31, 16)
    moved = list(moved_along(cache, ROWS, vectors, 7.0))
    assert total_norm(cache, ROWS, moved) == pytest.approx(7, rel=1e-4)
    assert all(torch.equal(x[:, 29:], cache.kept.x[batch.cell][:, 29:]) for batch, x in moved)


def test_the_difference_of_means_is_a_loop_over_tokens(cache):
    source, target = np.array([0, 3, 5]), np.array([1, 2, 8, 13])
    found = difference_of_means(cache, source, target)
    for t in range(29):
        seen = [rows[cache.present[rows, t]] for rows in (cache.rows(target), cache.rows(source))]
        expected = cache.kept.x[seen[0], t].mean(dim=0) - cache.kept.x[seen[1], t].mean(dim=0)
        torch.testing.assert_close(found[t], expected, atol=1e-5, rtol=1e-4)
    assert (found[29:] == 0).all()


def test_types_with_the_same_mean_have_no_difference_to_be_scaled_up(real_model, real_sae, cells):
    rows = [2, 3, 5, 5, 3, 2, 3, 5, 2]
    same = AnnData(
        cells.X[rows], obs=cells.obs.iloc[rows].reset_index(drop=True).set_index(pd.Index(list("abcdefghi")))
    )
    same.var_names = cells.var_names
    cache = read_site_cache(real_model, real_sae, same, 1, 4)
    found = difference_of_means(cache, np.array([0, 1, 2]), np.arange(3, 9))
    assert not found.any()
    for batch, x in moved_along(cache, np.arange(3), found, 7.0):
        assert torch.equal(x, cache.kept.x[batch.cell])


def test_matched_controls_are_the_features_most_alike_and_never_silent_ones():
    firing = np.array([0.1, 0.11, 0.5, 0.1, 0.0, 0.09])
    squared_norm = np.array([1.0, 1.1, 1.0, 30.0, 0.0, 0.9])
    assert nearest_features(firing, squared_norm, 0, np.arange(6), 3).tolist() == [1, 5, 2]
    assert 4 not in nearest_features(firing, squared_norm, 0, np.arange(6), 6)
    assert 0 not in nearest_features(firing, squared_norm, 0, np.arange(6), 6)


def test_a_random_recipe_has_the_same_strengths_on_other_features(cache):
    firing, squared_norm = firing_and_edit_norms(cache, ROWS)
    strengths = torch.ones(41)
    fires = np.flatnonzero(squared_norm > 0)[:7]
    strengths[fires] = torch.tensor([2.0, -1.0, 0.5, 3.0, 0.0, 1.5, -4.0])
    other = random_recipe(strengths, firing, squared_norm, np.random.default_rng(0))
    assert sorted(other[other != 1].tolist()) == sorted(strengths[fires].tolist())
    assert not ((other != 1) & (strengths != 1)).any()
    assert (squared_norm[(other != 1).numpy()] > 0).all()


def test_where_few_features_are_left_the_largest_edits_of_a_recipe_go_to_them():
    firing = squared_norm = np.full(5, 0.1)
    strengths = torch.tensor([2.0, 1.0, 6.0, -7.0, 1.0])
    for seed in range(11):
        other = random_recipe(strengths, firing, squared_norm, np.random.default_rng(seed))
        assert sorted(other[[1, 4]].tolist()) == [-7.0, 6.0]
        assert (other[[0, 2, 3]] == 1).all()
    assert (random_recipe(torch.full((5,), 2.0), firing, squared_norm, np.random.default_rng(0)) == 1).all()


def test_norms_of_a_recipe_are_frobenius_norms_at_present_tokens(cache):
    strengths = torch.full((41,), 2.5)
    edit, residual = edit_norms(cache, ROWS, strengths)
    (cells,) = read_whole(cache)
    change = (edited(cells.x, cells.code, strengths, cache.W_dec) - cells.x)[cache.rows(ROWS)]
    assert edit == pytest.approx(float(change.norm()), rel=1e-4)
    seen = cache.kept.x * cache.present[..., None]
    assert residual == pytest.approx(float(seen[cache.rows(ROWS)].norm()), rel=1e-4)


def test_draws_judge_by_the_two_sided_p_of_a_permutation_test():
    drawn = np.array([1.0, 2.0, 3.0, np.nan, 4.0])
    found = drawn_summary(3.5, drawn)
    assert (found["n"], found["mean"], found["p"]) == (5, 2.5, pytest.approx(1))
    assert drawn_summary(-3.5, drawn)["p"] == pytest.approx(4 / 6), "the draw without a value is as extreme as ours"
    assert drawn_summary(-3.5, drawn[:3])["p"] == pytest.approx(2 / 4)
    assert drawn_summary(np.nan, drawn)["p"] is None
