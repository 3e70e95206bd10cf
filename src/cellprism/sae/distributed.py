"""Several processes, one training: every process brings its share of each batch.

Started by ``torchrun``, inside ``started()`` or with a process group of one's own. In a single process nothing here
does anything.

Notable choices

- A process that fails leaves its process group, and the others then fail in their next exchange instead of waiting:
  everything here that exchanges something raises ``CellprismError``.
- Processes wait for each other a day: the first one may prepare what all will read.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta

import torch
import torch.distributed as dist
from jaxtyping import Num
from torch import Tensor

from cellprism.equations.sparse import Pairs, tokens_of
from cellprism.errors import CellprismError

Named = dict[str, Tensor]
PATIENCE = timedelta(days=1)
_ALONE: ContextVar[bool] = ContextVar("alone", default=False)


@contextmanager
def started() -> Iterator[torch.device]:
    """Join the processes that ``torchrun`` started with this one, while it lasts; yields the device to compute on.

    That is a GPU of its own for every process where there are GPUs, else the processor. Outside ``torchrun``, and in a
    process group that is there already, nothing is joined.
    """
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if dist.is_initialized() or "WORLD_SIZE" not in os.environ or "MASTER_ADDR" not in os.environ:
        yield device
        return
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        yield device
    finally:
        dist.destroy_process_group()


@contextmanager
def alone() -> Iterator[None]:
    """Train by oneself while it lasts, though there may be a process group: its others are not asked to help."""
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


def processes() -> int:
    """Processes that train together; 1 without a process group, and ``alone``."""
    if _ALONE.get():
        return 1
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process among those that train together, from 0."""
    return 0 if processes() == 1 else dist.get_rank()


def is_first() -> bool:
    """Whether this process writes files and talks."""
    return rank() == 0


@contextmanager
def _exchanging() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # what a broken connection is to torch
        raise CellprismError(
            "another of the processes that train together has stopped; what it said tells why"
        ) from error


def reduced(gradients: Named, sums: Named, count: int) -> tuple[Named, Named, int]:
    """Gradients and sums of the whole batch from those of this process' share, by one all-reduce of one flat array.

    Args:
        gradients: of losses that are means over this process' tokens.
        sums: over this process' tokens.
        count: its tokens.

    Returns: gradients of the mean over all tokens, sums over all, and their number.
    """
    if processes() == 1:
        return gradients, sums, count
    tensors = [*gradients.values(), *sums.values()]
    like = tensors[0]
    flat = torch.cat([*(t.flatten().to(like) for t in tensors), like.new_tensor([count])])
    of_gradients = flat[: sum(g.numel() for g in gradients.values())]
    of_gradients *= count
    with _exchanging():
        dist.all_reduce(flat)
    total = int(flat[-1])
    of_gradients /= total
    parts = flat[:-1].split([t.numel() for t in tensors])
    whole = [part.view_as(t).to(t.dtype) for part, t in zip(parts, tensors, strict=True)]
    return (
        dict(zip(gradients, whole, strict=False)),
        dict(zip(sums, whole[len(gradients) :], strict=True)),
        total,
    )


def gathered(x: Num[Tensor, "_ width"]) -> Num[Tensor, "_ width"]:
    """The shares of all processes, one after the other, in every process."""
    if processes() == 1:
        return x
    counts = [torch.zeros(1, dtype=torch.long, device=x.device) for _ in range(processes())]
    with _exchanging():
        dist.all_gather(counts, torch.full_like(counts[0], len(x)))
        most = max(int(count) for count in counts)
        padded = torch.cat([x, x.new_zeros(most - len(x), *x.shape[1:])]).contiguous()
        shares = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(shares, padded)
    return torch.cat([share[: int(count)] for share, count in zip(shares, counts, strict=True)])


def total(count: int) -> int:
    """The sum of a number over all processes."""
    return _combined(count, largest=False)


def anywhere(fact: bool) -> bool:
    """Whether something is so in any process; all have come here when it returns."""
    return bool(_combined(int(fact), largest=True))


def _combined(number: int, largest: bool) -> int:
    """The largest, or the sum, of a number over all processes."""
    if processes() == 1:
        return number
    on_cpu = "cpu:" in dist.get_backend_config()  # not in a group of GPUs alone
    combined = torch.tensor(number, device="cpu" if on_cpu else "cuda")
    with _exchanging():
        dist.all_reduce(combined, dist.ReduceOp.MAX if largest else dist.ReduceOp.SUM)
    return int(combined)


def largest_of_all(pairs: Pairs, count: int) -> tuple[Pairs, float]:
    """The pairs among the ``count`` largest values of all processes, and the smallest value that any process keeps.

    ``pairs`` must hold this process' share of them.
    """
    values = gathered(pairs.values[:, None])[:, 0]
    least = float(values.topk(min(count, len(values)), sorted=False).values.min()) if len(values) else 0.0
    keep = pairs.values >= least
    counts = torch.bincount(tokens_of(pairs)[keep], minlength=len(pairs.offsets))
    return Pairs(pairs.values[keep], pairs.features[keep], counts.cumsum(0) - counts, pairs.n_features), least
