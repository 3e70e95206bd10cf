"""The encoder's product, a slice of tokens at a time, in the way that is fastest on this processor.

Notable choices

- Three ways: torch's own product (MKL, half as fast as it could be on some of AMD's processors), oneDNN in float32, and
  oneDNN in bfloat16 where the processor has instructions for that. Which is fastest depends on processor and shape, so
  all are timed once a process and shape, on as many tokens as a slice has, where there is that much to do.
- With ``precision="float32"`` the choice does not alter results: see ``Screen``. So it need not be kept for a training
  that goes on in another process, and a measurement that turns out otherwise there does no harm.
- Operators that ask for oneDNN are private to torch, so each is tried first, and torch's own product stands in where it
  fails: another version, or a processor that lacks the instructions.
- In bfloat16 the encoder is brought into oneDNN's own layout once, not once a slice.
"""

import logging
import time
from functools import cache
from typing import Literal, NamedTuple

import torch
from jaxtyping import Shaped
from torch import Tensor
from torch.nn.functional import linear

from cellprism.sae.kernels.threads import run

Precision = Literal["float32", "bfloat16"]
PREACTIVATIONS = 1 << 21  # made at once by a thread: few enough to be searched in cache
WORTH_TIMING = 1 << 24  # multiplications of a slice that take longer than looking at the clock
ROUNDS = 3

log = logging.getLogger(__name__)


class Way(NamedTuple):
    """How a product is computed."""

    dtype: torch.dtype
    onednn: bool
    """By oneDNN; else as torch does."""

    def __str__(self) -> str:
        return f"{'oneDNN' if self.onednn else 'torch'} in {str(self.dtype).removeprefix('torch.')}"


class Product:
    """x encoder^T + b_enc, for slices of x; encoder, b_enc and x are all of the way's type."""

    def __init__(self, encoder: Shaped[Tensor, "feature d_model"], b_enc: Shaped[Tensor, " feature"], onednn: bool):
        self.weight, self.bias, self.onednn = encoder, b_enc, onednn
        if onednn and encoder.dtype == torch.bfloat16:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(encoder, None)

    def __call__(self, x: Shaped[Tensor, "token d_model"]) -> Shaped[Tensor, "token feature"]:
        """Pre-activations of some tokens."""
        if self.onednn:
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return linear(x, self.weight, self.bias)


def slice_of(n_features: int) -> int:
    """Tokens whose pre-activations are made at once."""
    most = max(1, PREACTIVATIONS // n_features)
    return min(1024, 1 << (most.bit_length() - 1))


def way_for(precision: Precision, tokens: int, n_features: int, d_model: int) -> Way:
    """How pre-activations of ``tokens`` vectors are best made, for a selection in some precision."""
    if precision == "bfloat16":
        return Way(torch.bfloat16, has_onednn(torch.bfloat16))
    size = slice_of(n_features)
    if tokens < size or size * n_features * d_model < WORTH_TIMING:
        return Way(torch.float32, has_onednn(torch.float32))
    return fastest(n_features, d_model)


def ways() -> list[Way]:
    """The ways that are worth timing on this processor."""
    found = [Way(torch.float32, onednn=False)]
    if has_onednn(torch.float32):
        found.append(Way(torch.float32, onednn=True))
    if multiplies_bfloat16():
        found.append(Way(torch.bfloat16, onednn=True))
    return found


@cache
def fastest(n_features: int, d_model: int) -> Way:
    """The way that takes the least time for a slice of tokens; timed once, and said in the log."""
    seconds: dict[Way, float] = {}
    run(lambda _: seconds.update(_seconds(n_features, d_model)), [None], with_torch=True)
    best = min(seconds, key=lambda way: seconds[way])
    log.info(
        "the encoder's product with %d features of %d dimensions is by %s; milliseconds for %d tokens: %s",
        n_features, d_model, best, slice_of(n_features),
        ", ".join(f"{way} {1000 * taken:.2f}" for way, taken in seconds.items()),
    )  # fmt: skip
    return best


def _seconds(n_features: int, d_model: int) -> dict[Way, float]:
    """What each way takes at its best; in turns, so that a busy moment meets all."""
    found = ways()
    if len(found) == 1:
        return dict.fromkeys(found, 0.0)
    generator = torch.Generator().manual_seed(0)
    x, encoder = (torch.randn(n, d_model, generator=generator) for n in (slice_of(n_features), n_features))
    b_enc, seconds = torch.zeros(n_features), dict.fromkeys(found, float("inf"))
    products = {way: Product(encoder.to(way.dtype), b_enc.to(way.dtype), way.onednn) for way in found}
    for _ in range(ROUNDS):
        for way, product in products.items():
            began = time.perf_counter()
            product(x.to(way.dtype))
            seconds[way] = min(seconds[way], time.perf_counter() - began)
    return seconds


@cache
def has_onednn(dtype: torch.dtype) -> bool:
    """Whether torch's private operators are there, and do on this processor what they are used for here."""
    x, weight, bias = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]), torch.ones(3)
    try:
        h = Product(weight.to(dtype), bias.to(dtype), onednn=True)(x.to(dtype))
    except (AttributeError, RuntimeError):
        return False
    return h.tolist() == [[12, 18, 24]]


@cache
def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for products in bfloat16; without, they are slower than float32."""
    asks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # private to torch as well
    return has_onednn(torch.bfloat16) and any(getattr(torch.cpu, ask, bool)() for ask in asks)


@cache
def usable(precision: Precision) -> Precision:
    """The precision asked for, or float32 where this processor is slower at it; says so in the log, once."""
    if precision == "float32" or multiplies_bfloat16():
        return precision
    log.warning(
        "this processor has no instructions for products in bfloat16, which are slower than float32 without them: "
        "features are selected in float32"
    )
    return "float32"
