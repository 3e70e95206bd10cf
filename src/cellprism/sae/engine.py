"""Which steps compute: kernels where they can, else plain torch. Says which, and why, in the log."""

import logging
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.sae.kernels import unsupported
from cellprism.sae.kernels.product import Precision, usable
from cellprism.sae.plain_step import PlainSteps
from cellprism.sae.step import Steps

log = logging.getLogger(__name__)


def steps_for(x: Float[Tensor, "_ d_model"], precision: Precision = "float32") -> Steps:
    """The fastest steps for vectors like these: kernels where they can, else plain torch; says which in the log."""
    return _steps_for(x.device, x.dtype, precision)


@cache
def _steps_for(device: torch.device, dtype: torch.dtype, precision: Precision) -> Steps:
    reason = unsupported(device, dtype)
    if reason is None:
        from cellprism.sae.cpu_step import CpuSteps  # imports numba

        selected_in = usable(precision)
        log.info("autoencoders are computed by kernels, features selected in %s", selected_in)
        return CpuSteps(selected_in)
    log.info("autoencoders are computed by plain torch: %s", reason)
    return PlainSteps()
