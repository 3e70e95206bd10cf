"""How the loops of this package are compiled.

Notable choices

- Loops release Python's lock, so that plain threads run them side by side.
- Sums may be reordered (``SUMS``), without which none would use vector instructions. The order chosen depends on the
  lengths alone, so results repeat. NaN and infinity keep their meaning everywhere.
- Division by zero gives infinity, as in numpy. Looking out for it would rule out vector instructions too.
- A loop calls only loops of its own file: a stored result is found out of date by the date of that file alone.
- Loops carry no annotations and are marked ``no_type_check``: checkers that wrap functions cannot wrap these.
"""

from collections.abc import Callable
from typing import Any

import numba

SUMS = {"reassoc", "contract", "nsz"}


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile at first use and keep the result on disk, where there is a place for it.

    Args:
        options: of ``numba.njit``, such as ``fastmath``.
    """

    def compile_later(function: Callable[..., Any]) -> Callable[..., Any]:
        settings = {"nogil": True, "error_model": "numpy", **options}
        try:
            return numba.njit(function, cache=True, **settings)
        except RuntimeError:  # neither this package's folder nor the user's cache can be written
            return numba.njit(function, **settings)

    return compile_later
