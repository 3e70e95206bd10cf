"""How many cells fit into one pass: counted from a model's sizes and the number of tokens, before anything runs.

- Counted are the tensors alive at the worst moment, the feed-forward of a block: three of its width, and the residual
  stream in the four hands that hold it. Attention needs no token x token matrix, so all grows with the tokens alone.
- With gradients each block after the site keeps its inputs, queries, keys, values and feed-forward. If no cell fits
  that way, blocks are calculated again when their gradient is asked for (``checkpointing``): a third more time.
- Tensors are the same on every processor, what kernels lay aside is not: in bfloat16 a processor without AVX-512 makes
  products without oneDNN, and 0.94 of the count was measured there. ``SLACK`` is what makes the plan an upper bound.
- Allocators hold more than is asked of them. On Linux pieces below 32 MiB come from a heap whose holes fit badly: up to
  twice the count was seen there, next to nothing above. The figure for GPUs has not been measured.
"""

import torch

from cellprism.models.aido.settings import AidoConfig
from cellprism.models.passes import free_memory, pass_plan
from cellprism.types import PassPlan, Site

HEAP_PIECE = 1 << 25
SLACK = {"heap": 2.0, "cpu": 1.2, "cuda": 1.25}
STREAM = 4  # bytes of a number in the residual stream, whatever the blocks calculate in


def plan_pass(
    config: AidoConfig,
    dtype: torch.dtype,
    device: torch.device,
    tokens: int,
    layer: int = 0,
    gradient: bool = False,
    free: int | None = None,
) -> PassPlan:
    """Cells a pass, and whether to set ``model.checkpointing``, for what is free where the model lies.

    Args:
        config: the model's sizes.
        dtype: what its blocks calculate in.
        device: where it lies.
        tokens: tokens a cell: genes read and the depth tokens.
        layer: the site that ``resume`` starts from, for gradients.
        gradient: whether gradients are taken through ``resume``.
        free: bytes to plan for; by default what is free now.

    Raises:
        ModelError: the model has no such layer.
    """
    blocks = config.layers - 1 - Site(layer, config.layers).layer if gradient else 0
    free = free_memory(device) if free is None else free
    kind = "cuda" if device.type == "cuda" else "cpu"
    in_heap = kind == "cpu" and tokens * config.intermediate * dtype.itemsize < HEAP_PIECE
    slack = SLACK["heap" if in_heap else kind]
    plans = []
    for checkpointing in (False, True)[: 2 if blocks else 1]:
        needed = int(slack * cell_bytes(config, tokens, blocks, checkpointing, dtype.itemsize))
        plans.append(pass_plan(needed, tokens, device, free, blocks, checkpointing))
    return next((plan for plan in plans if plan.fits), plans[-1])


def cell_bytes(config: AidoConfig, tokens: int, blocks: int = 0, checkpointing: bool = False, size: int = 4) -> int:
    """Bytes of the tensors alive at the worst moment of one cell's pass.

    Args:
        config: the model's sizes.
        tokens: tokens a cell.
        blocks: blocks under gradients.
        checkpointing: whether these keep their input alone.
        size: bytes of a number inside the blocks: 4 for float32, 2 for bfloat16.
    """
    h, f = config.hidden, config.intermediate
    forward = 4 * h * STREAM + 3 * f * size + (h * size if size < STREAM else 0)
    kept = 2 * h * STREAM + (4 * h + 3 * f) * size + config.heads * 4
    if checkpointing:
        return tokens * (blocks * h * STREAM + kept + forward)
    return tokens * (blocks * kept + forward)
