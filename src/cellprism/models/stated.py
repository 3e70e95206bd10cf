"""Single values of a model's settings: of the kind that is computed with, or refused by name."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cellprism.errors import ModelError


def object_of(settings: Any, path: Path) -> dict[str, Any]:
    """The settings, where they are an object.

    Raises:
        ModelError: they are a list, a text, a number, true or null.
    """
    if not isinstance(settings, dict):
        raise ModelError(f"the configuration of {path} is {str(settings)!r:.40}, expected a JSON object of settings")
    return settings


def stated(settings: Mapping[str, Any], names: Sequence[str], default: Any, path: Path) -> Any:
    """A setting under the first of its names that is there, of the default's kind; the default where none is.

    Raises:
        ModelError: it is of another kind, or no finite number.
    """
    name = next((n for n in names if n in settings), None)
    if name is None:
        return default
    value = settings[name]
    if isinstance(default, bool):
        right, expected = isinstance(value, bool), "true or false"
    elif isinstance(default, int):
        right, expected = isinstance(value, int) and not isinstance(value, bool), "a whole number"
    elif isinstance(default, float):
        right, expected = isinstance(value, int | float) and not isinstance(value, bool), "a finite number"
        right = right and math.isfinite(value)
    else:
        right, expected = isinstance(value, str), "text"
    if not right:
        raise ModelError(f"the configuration of {path} says {name} = {value!r:.60}, expected {expected}; correct it")
    return type(default)(value)
