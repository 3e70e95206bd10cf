"""How many cells go through a model at once: as many as fit where it lies, and no more than bring speed.

- More tokens a pass than ``ENOUGH`` bring no speed: on CPUs all sizes from 3,000 to 30,000 were equally fast and larger
  ones slower (measured with ``mini``); for GPUs the figure is a guess. So free memory is not filled for its own sake.
- What is free is read from the GPU, or from the system within the limit of a container.
"""

import os
import sys
from pathlib import Path

import torch

from cellprism.types import PassPlan

ENOUGH = {"cpu": 1 << 15, "cuda": 1 << 20}


def pass_plan(
    cell_bytes: int,
    tokens: int,
    device: torch.device,
    free: int | None = None,
    blocks: int = 0,
    checkpointing: bool = False,
) -> PassPlan:
    """The plan for a model of which one cell needs ``cell_bytes``.

    Args:
        cell_bytes: memory one cell is expected to need, what allocators hold besides among it.
        tokens: tokens a cell.
        device: where the model lies.
        free: bytes to plan for; by default what is free now.
        blocks: blocks under gradients.
        checkpointing: whether these are calculated again when their gradient is asked for.
    """
    free = free_memory(device) if free is None else free
    enough = ENOUGH["cuda" if device.type == "cuda" else "cpu"] // tokens
    cells = min(int(PassPlan.share * free) // cell_bytes, enough)
    return PassPlan(max(cells, 1), checkpointing, tokens, blocks, cell_bytes, free)


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
