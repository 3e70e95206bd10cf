"""A training step and an encoding on CPU, several times faster than plain torch; the same equations.

``select`` finds the features of each token, ``backward`` turns a code into gradients, ``adam`` moves the weights. They
do what ``equations.sparse`` says; only the order of the work differs.

Notable choices

- Pre-activations are made and searched a slice of tokens at a time, while they are in cache, and never all exist. Most
  features are ruled out in bfloat16, with a bound on its error; float32 decides among the few that are left.
- Everything after the selection touches only the rows of the features that fired: pairs are sorted by feature, and each
  row of a gradient is written once, by one thread.
- Compiled by numba at first use and kept on disk after that: nothing is compiled at installation. Nothing here imports
  numba until it is needed.
- Results are the same, bit for bit, whatever the number of threads: work is cut in the same pieces, each piece has one
  thread, and sums across pieces are taken in order.
- Weights have a feature's row in both matrices: ``encoder [feature d_model]`` and ``decoder [feature d_target]``.
"""

from importlib.util import find_spec

import torch


def unsupported(device: torch.device, dtype: torch.dtype) -> str | None:
    """Why the kernels do not cover a case, in words; None where they do.

    Args:
        device: where vectors and weights are.
        dtype: their type.
    """
    if device.type != "cpu":
        return f"the kernels are for CPUs and the weights are on {device.type}"
    if dtype != torch.float32:
        return f"the kernels are for float32 and the weights are {str(dtype).removeprefix('torch.')}"
    if find_spec("numba") is None:
        return "numba is not installed"
    from numba import config

    # a debugging switch under which loops run as plain Python
    return "numba's compiler is switched off (NUMBA_DISABLE_JIT)" if config.DISABLE_JIT else None  # pyright: ignore[reportAttributeAccessIssue]
