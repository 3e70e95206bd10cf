import numpy as np
import pytest
import torch

from cellprism.equations.within import within_groups, without_value


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    group = np.array([7] * 11 + [2] * 13 + [3])
    return rng.normal(size=(25, 5)), rng.normal(size=25), group


def test_every_group_has_its_own_mean_taken_off(rows):
    x, _, group = rows
    found = within_groups(torch.from_numpy(x), torch.from_numpy(group)).numpy()
    for g in (7, 2, 3):
        np.testing.assert_allclose(found[group == g], x[group == g] - x[group == g].mean(0), atol=1e-12)


def test_what_is_left_is_the_residual_of_a_regression_in_each_group(rows):
    x, value, group = rows
    value[group == 2] = 4.0  # constant: there is nothing to take off but the mean
    found = without_value(*(torch.from_numpy(part) for part in (x, value, group))).numpy()
    design = np.column_stack([np.ones(11), value[group == 7]])
    expected = x[group == 7] - design @ np.linalg.lstsq(design, x[group == 7], rcond=None)[0]
    np.testing.assert_allclose(found[group == 7], expected, atol=1e-12)
    np.testing.assert_allclose(found[group == 2], x[group == 2] - x[group == 2].mean(0), atol=1e-12)
    np.testing.assert_allclose(found[group == 3], 0, atol=1e-12)
