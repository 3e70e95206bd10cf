"""Several processes, one training: every process brings its share of each batch.

Started by ``torchrun``, with a process group made by ``torch.distributed.init_process_group``. In a single process
nothing here does anything.
"""

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

from cellprism.equations.sparse import Pairs, tokens_of

Named = dict[str, Tensor]


def processes() -> int:
    """Processes that train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this process writes files and talks."""
    return processes() == 1 or dist.get_rank() == 0


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
    named = {**{f"g.{n}": g * count for n, g in gradients.items()}, **{f"s.{n}": s for n, s in sums.items()}}
    like = next(iter(gradients.values()))
    flat = torch.cat([*(t.flatten().to(like) for t in named.values()), like.new_tensor([count])])
    dist.all_reduce(flat)
    total = int(flat[-1])
    whole = {n: part.view_as(t) for (n, t), part in
             zip(named.items(), flat[:-1].split([t.numel() for t in named.values()]), strict=True)}  # fmt: skip
    mean = {n: (whole[f"g.{n}"] / total).to(g.dtype) for n, g in gradients.items()}
    return mean, {n: whole[f"s.{n}"].to(s.dtype) for n, s in sums.items()}, total


def gathered(x: Float[Tensor, "token d_model"]) -> Float[Tensor, "_ d_model"]:
    """The shares of all processes, one after the other, in every process."""
    if processes() == 1:
        return x
    counts = [torch.zeros_like(torch.tensor(len(x), device=x.device)) for _ in range(processes())]
    dist.all_gather(counts, torch.tensor(len(x), device=x.device))
    most = int(max(counts))
    padded = torch.cat([x, x.new_zeros(most - len(x), *x.shape[1:])])
    shares = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(shares, padded)
    return torch.cat([share[: int(count)] for share, count in zip(shares, counts, strict=True)])


def largest_of_all(pairs: Pairs, count: int) -> tuple[Pairs, float]:
    """The pairs among the ``count`` largest values of all processes, and the smallest value that any process keeps.

    ``pairs`` must hold this process' share of them.
    """
    values = gathered(pairs.values[:, None])[:, 0]
    least = float(values.topk(min(count, len(values)), sorted=False).values.min()) if len(values) else 0.0
    keep = pairs.values >= least
    counts = torch.bincount(tokens_of(pairs)[keep], minlength=len(pairs.offsets))
    return Pairs(pairs.values[keep], pairs.features[keep], counts.cumsum(0) - counts, pairs.n_features), least


def stopped_anywhere(asked: bool) -> bool:
    """Whether any process was asked to stop, so that all stop after the same step."""
    if processes() == 1:
        return asked
    flag = torch.tensor(int(asked))
    dist.all_reduce(flag, dist.ReduceOp.MAX)
    return bool(flag)
