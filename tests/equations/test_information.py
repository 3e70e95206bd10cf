import math

import numpy as np
import pytest

from cellprism.equations.information import information_content, lin_similarity


def test_information_content_is_minus_the_logarithm_of_the_share():
    count, total = np.array([17, 5, 1, 0]), np.array([17, 17, 17, 17])
    found = information_content(count, total)
    assert found[:3].tolist() == pytest.approx([0.0, -math.log(5 / 17), math.log(17)])
    assert math.copysign(1, found[0]) == 1
    assert np.isnan(found[3])


def test_lin_is_one_for_all_that_two_terms_have_and_zero_for_nothing():
    shared, one, other = np.array([2.0, 0.0, 1.0, 0.0]), np.array([2.0, 2.0, 1.5, 0.0]), np.array([2.0, 3.0, 2.5, 0.0])
    assert lin_similarity(shared, one, other).tolist() == pytest.approx([1.0, 0.0, 0.5, 0.0])
