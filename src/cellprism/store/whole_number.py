"""Whole numbers that people give, such as that of a feature: what is none is refused, and never rounded or guessed."""

import operator
from typing import Any

from cellprism.errors import ConfigError


def whole_number(value: Any, name: str) -> int:
    """A whole number of at least 1, such as how many cells go through a model at once.

    Raises:
        ConfigError: it is none; ``name`` says which.
    """
    found = _whole(value)
    if found is None or found < 1:
        raise ConfigError(f"{name} is {value!r}: expected a whole number of at least 1")
    return found


def feature_number(feature: Any, n_features: int) -> int:
    """The number of one of ``n_features`` features.

    Raises:
        ConfigError: it is no whole number, or no feature has it.
    """
    found = _whole(feature)
    if found is None or not 0 <= found < n_features:
        shown = feature if found is None else found
        raise ConfigError(f"feature {shown!r} does not exist: features are whole numbers from 0 to {n_features - 1}")
    return found


def _whole(value: Any) -> int | None:
    """A whole number of Python, NumPy or torch; None for anything else, truth values among it."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None
