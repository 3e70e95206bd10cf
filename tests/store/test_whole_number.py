"""Whole numbers are taken as Python, NumPy and torch have them; what is none is refused by name."""

import numpy as np
import pytest
import torch

from cellprism.errors import ConfigError
from cellprism.store.whole_number import feature_number, whole_number

NONE = ["3", 1.5, 3.0, None, True, np.bool_(1), [3], torch.tensor(3.0)]


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), torch.tensor(3)])
def test_a_whole_number_is_one_of_whatever_kind(value):
    assert whole_number(value, "size") == feature_number(value, 4) == 3


@pytest.mark.parametrize("value", [0, -1, *NONE])
def test_a_size_is_a_whole_number_of_at_least_1(value):
    with pytest.raises(ConfigError, match="batch_size is .*: expected a whole number of at least 1"):
        whole_number(value, "batch_size")


@pytest.mark.parametrize("feature", [-1, 41, np.int64(41), *NONE])
def test_a_feature_is_a_whole_number_below_their_count(feature):
    with pytest.raises(ConfigError, match="feature .* does not exist: features are whole numbers from 0 to 40"):
        feature_number(feature, 41)
