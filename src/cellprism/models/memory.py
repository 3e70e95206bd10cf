"""How many cells fit into one pass: counted from a model's sizes and the number of tokens, before anything runs.

- Counted are the tensors alive at the worst moment, the feed-forward of a block: three of its width, and the residual
  stream in the four hands that hold it. Attention needs no token x token matrix, so all grows with the tokens alone.
- With gradients each block after the site keeps its inputs, queries, keys, values and feed-forward. If no cell fits
  that way, blocks are calculated again when their gradient is asked for (``checkpointing``): a third more time.
- Tensors are the same on every processor, what kernels lay aside is not: in bfloat16 a processor without AVX-512 makes
  products without oneDNN, and 0.94 of the count was measured there. ``SLACK`` is what makes the plan an upper bound.
- Allocators hold more than is asked of them. On Linux pieces below 32 MiB come from a heap whose holes fit badly: up to
  twice the count was seen there, next to nothing above. The figure for GPUs has not been measured.
- More tokens a pass than ``ENOUGH`` bring no speed: on CPUs all sizes from 3,000 to 30,000 were equally fast and larger
  ones slower (measured with ``mini``); for GPUs the figure is a guess. So free memory is not filled for its own sake.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from cellprism.models.aido import AidoCell, AidoConfig
from cellprism.types import Site

SHARE = 0.8
HEAP_PIECE = 1 << 25
SLACK = {"heap": 2.0, "cpu": 1.2, "cuda": 1.25}
ENOUGH = {"cpu": 1 << 15, "cuda": 1 << 20}
STREAM = 4  # bytes of a number in the residual stream, whatever the blocks calculate in


@dataclass(frozen=True)
class PassPlan:
    """How a model is to be run; ``str`` says it in one line."""

    cells: int
    """Cells a pass, at least 1."""
    checkpointing: bool
    """What to set ``model.checkpointing`` to."""
    tokens: int
    """Tokens a cell."""
    blocks: int
    """Blocks under gradients; 0 without."""
    cell_bytes: int
    """Memory one cell is expected to need, weights and the process itself aside."""
    free: int
    """Bytes that were free."""

    @property
    def fits(self) -> bool:
        """Whether the pass is expected to fit into the share of free memory that is used."""
        return self.cells * self.cell_bytes <= SHARE * self.free

    def __str__(self) -> str:
        how = f", gradients through {self.blocks} blocks" if self.blocks else ""
        how += ", each calculated twice to save memory" if self.checkpointing else ""
        needed, free = self.cells * self.cell_bytes / 1e9, self.free / 1e9
        cells = "1 cell" if self.cells == 1 else f"{self.cells} cells"
        line = f"{cells} of {self.tokens:,} tokens a pass{how}: about {needed:.2g} GB of {free:.2g} GB free"
        return line if self.fits else f"{line}; expect to run out of memory, or give fewer genes or more memory"


def plan_pass(
    model: AidoCell, tokens: int, layer: int = 0, gradient: bool = False, free: int | None = None
) -> PassPlan:
    """Cells a pass, and whether to set ``model.checkpointing``, for what is free where the model lies.

    Args:
        model: the model, on its device.
        tokens: tokens a cell: genes read and the depth tokens.
        layer: the site that ``resume`` starts from, for gradients.
        gradient: whether gradients are taken through ``resume``.
        free: bytes to plan for; by default what is free now.

    Raises:
        ModelError: the model has no such layer.
    """
    device = model.position_embedding.weight.device
    blocks = model.n_layers - 1 - Site(layer, model.n_layers).layer if gradient else 0
    free = free_memory(device) if free is None else free
    kind = "cuda" if device.type == "cuda" else "cpu"
    size = model.block_dtype.itemsize
    in_heap = kind == "cpu" and tokens * model.config.intermediate * size < HEAP_PIECE
    slack = SLACK["heap" if in_heap else kind]
    plans = []
    for checkpointing in (False, True)[: 2 if blocks else 1]:
        counted = cell_bytes(model.config, tokens, blocks, checkpointing, size)
        needed = int(slack * counted)
        cells = min(int(SHARE * free) // needed, ENOUGH[kind] // tokens)
        plans.append(PassPlan(max(cells, 1), checkpointing, tokens, blocks, needed, free))
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


def free_memory(device: torch.device) -> int:
    """Bytes that a new tensor on ``device`` could take, within the limit of a container."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return min(_host_memory(), _container_memory())


def _host_memory() -> int:
    report = Path("/proc/meminfo")
    if report.is_file():
        return next(int(row.split()[1]) << 10 for row in report.read_text().splitlines() if row.startswith("MemAvail"))
    # no word of what is free: half of what there is
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _container_memory() -> int:
    """What the limit of a control group leaves; without one, more than any machine has."""
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if not limit.is_file() or not (most := limit.read_text().strip()).isdecimal():
        return sys.maxsize
    return max(int(most) - int(used.read_text()), 0)
