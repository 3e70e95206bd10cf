"""Seeds that every generator takes, and no others."""

import numpy as np
import pytest
import torch
from sklearn.utils import check_random_state

from cellprism.errors import ConfigError
from cellprism.store.seed import LARGEST, check_seed


@pytest.mark.parametrize("seed", [0, 7, LARGEST])
def test_a_seed_is_one_for_every_generator(seed):
    assert check_seed(seed) == seed
    np.random.default_rng([seed, 3]).random()
    check_random_state(seed).random()
    torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("seed", [-1, LARGEST + 1, 2**64, 10**30])
def test_others_are_refused_by_name(seed):
    with pytest.raises(ConfigError, match=f"order is {seed}: expected a whole number from 0 to 2,147,483,647"):
        check_seed(seed, "order")
