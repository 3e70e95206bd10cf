"""A network as a straight line: attention and normalisation held fixed, and the derivative of an attention layer.

Notable choices

- Within ``frozen`` the attention's weights and the norms' scales count as constants. What is computed stays the same;
  gradients then say what a change would do if it moved neither, which holds over longer distances than the gradient:
  norms undo small changes of length, and attention saturates.
- It works on whatever calls torch's own attention and norms, so that no model has to know of it.
- With the keys and values of attention held, tokens no longer see each other change: one pass then says what any number
  of changes, one at each token, do to their own tokens.
- A vector that is added at one token reaches another through attention alone, so its effect there has a closed form.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


@contextmanager
def frozen() -> Iterator[None]:
    """Within this block gradients pass through values alone: attention weights and scales of norms are constants.

    Source: Jafari et al. 2025 (relevance patching), whose rules for attention and norms these are.
    """
    with _Frozen():
        yield


class _Frozen(TorchFunctionMode):
    """Calls other functions in place of torch's attention and norms."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        call = _REPLACED.get(func) or func
        return call(*args, **(kwargs or {}))


def _attention(query: Tensor, key: Tensor, value: Tensor, *rest: Any, **named: Any) -> Tensor:
    return F.scaled_dot_product_attention(query.detach(), key.detach(), value, *rest, **named)


def _layer_norm(
    input: Tensor, shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """(x - mean) / constant."""
    dims = tuple(range(-len(shape), 0))
    return _scaled(input - input.mean(dims, keepdim=True), weight, bias, eps, dims)


def _rms_norm(input: Tensor, shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    """x / constant."""
    least = torch.finfo(input.dtype).eps if eps is None else eps
    return _scaled(input, weight, None, least, tuple(range(-len(shape), 0)))


def _scaled(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, dims: tuple[int, ...]) -> Tensor:
    out = x / (x.detach().square().mean(dims, keepdim=True) + eps).sqrt()
    out = out if weight is None else out * weight
    return out if bias is None else out + bias


_REPLACED: dict[Any, Callable[..., Any]] = {
    F.scaled_dot_product_attention: _attention, F.layer_norm: _layer_norm, F.rms_norm: _rms_norm
}  # fmt: skip


@contextmanager
def attention_noted() -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Within this block the keys and values that attention is called with are noted, call by call."""
    mode = _Attention(None)
    with mode:
        yield mode.noted


@contextmanager
def attention_held(noted: Sequence[tuple[Tensor, Tensor]]) -> Iterator[None]:
    """Within this block attention is called with these keys and values, call by call, whatever it is given: a token
    sees the others as they were noted, so that what is done to it reaches itself alone."""
    with _Attention(noted):
        yield


class _Attention(TorchFunctionMode):
    """Notes keys and values, or puts noted ones in their place."""

    def __init__(self, held: Sequence[tuple[Tensor, Tensor]] | None):
        super().__init__()
        self.noted: list[tuple[Tensor, Tensor]] = []
        self.left = None if held is None else iter(held)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        query, key, value, *rest = args
        if self.left is None:
            self.noted.append((key.detach(), value.detach()))
        else:
            key, value = next(self.left)
        return func(query, key, value, *rest, **(kwargs or {}))


def norm_derivative(
    x: Float[Tensor, "token d_model"],
    w: Float[Tensor, "token d_model"],
    weight: Float[Tensor, " d_model"],
    eps: float,
    centred: bool,
) -> Float[Tensor, "token d_model"]:
    """How a norm answers to a vector w added at x.

    Formula: weight (c - n mean(n c)) / s, with c = w - mean(w) and n = (x - mean(x)) / s for a layer norm, c = w and
    n = x / s for a root-mean-square norm, s the scale.
    """
    if centred:
        x, w = x - x.mean(dim=-1, keepdim=True), w - w.mean(dim=-1, keepdim=True)
    scale = (x.square().mean(dim=-1, keepdim=True) + eps).sqrt()
    n = x / scale
    return weight * (w - n * (n * w).mean(dim=-1, keepdim=True)) / scale


def attention_derivative(
    upstream: Float[Tensor, "head some d_head"],
    query: Float[Tensor, "head some d_head"],
    key: Float[Tensor, "head token d_head"],
    value: Float[Tensor, "head token d_head"],
    at: Int[Tensor, " pair"],
    own: Int[Tensor, " pair"],
    d_query: Float[Tensor, "head pair d_head"],
    d_key: Float[Tensor, "head pair d_head"],
    d_value: Float[Tensor, "head pair d_head"],
) -> Float[Tensor, "pair some"]:
    """How what some tokens attend to answers to changes of query, key and value at single tokens, one change at a time.

    Formula, for token g, and change i at token t, summed over heads: P_gt (<u_g, dv_i> + <q_g, dk_i> / sqrt(d_head)
    <u_g, v_t - o_g>), and where g is t itself also <dq_i, sum_s P_gs <u_g, v_s - o_g> k_s> / sqrt(d_head), with P the
    attention, o_g what g attends to and u_g the derivative by it.

    Args:
        upstream: u, by what each of the tokens attends to.
        query: q of these tokens.
        key: of all tokens.
        value: of all tokens.
        at: t of each change.
        own: where t stands among these tokens; -1 where it does not.
        d_query: dq of each change.
        d_key: dk of each change.
        d_value: dv of each change.
    """
    root = query.shape[-1] ** -0.5
    weights = torch.softmax(query @ key.transpose(1, 2) * root, dim=-1)
    found = d_value.new_zeros(len(at), query.shape[1])
    turned = weights.transpose(1, 2).contiguous()
    attended = ((weights @ value) * upstream).sum(dim=-1)  # <u_g, o_g>
    seen = value @ upstream.transpose(1, 2) - attended[:, None]
    by_query = (turned * seen).transpose(1, 2) @ key * root
    inside = (own >= 0).nonzero()[:, 0]
    for head in range(len(query)):
        for part in torch.arange(len(at), device=at.device).split(PAIRS):
            token = at[part]
            moved = d_value[head, part] @ upstream[head].T
            moved.addcmul_(d_key[head, part] @ (query[head] * root).T, seen[head].index_select(0, token))
            found[part] += moved * turned[head].index_select(0, token)
        found[inside, own[inside]] += (by_query[head, own[inside]] * d_query[head, inside]).sum(dim=-1)
    return found


PAIRS = 1024  # changes at once, so that they stay in a processor's cache
