"""TopK training on vectors that stay on a GPU: the whole step is one CUDA graph.

A step is some thirty small kernels; launched one by one from Python they take several times as long as they run. Here
they are recorded once and replayed. Nothing in a step depends on the host: the batch is drawn on the device, schedule,
counters and figures are device tensors, and figures are read only when asked for.

Notable choices

- Products are in ``dtype`` (bfloat16 by default), weights, optimiser and gradients' sums in float32.
- The gradient is either dense, three more products of the encoder's size, or sparse, sums over the pairs that fire.
  Which is faster depends on width, k and device, so ``fastest`` times both on the data at hand.
- On a processor the same step runs without a graph. That is how it is tested where there is no GPU; to train there,
  ``fit_sae`` is faster.
"""

import time
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from cellprism.equations.sparse import Gradients, bias_gradient, decode, pair_gradients, pairs_of, tangential, top_k
from cellprism.types import SparseCode

Backward = Literal["dense", "sparse"]


@dataclass(frozen=True)
class CapturedSettings:
    """What a captured step needs to know."""

    k: int
    """Features kept at each token."""
    batch_size: int = 4096
    """Tokens per step."""
    learning_rate: float = 1e-3
    """Peak of Adam's learning rate."""
    warmup: float = 0.05
    """Share of the steps spent on linear warm-up; then a cosine to zero."""
    backward: Backward = "sparse"
    """How gradients are computed."""
    dtype: torch.dtype = torch.bfloat16
    """Arithmetic of the products."""


class CapturedTraining:
    """A TopK training whose step is replayed on the device.

    ``weights`` (encoder, b_enc, decoder, b_dec; a feature is a row of both matrices) are changed in place.
    """

    def __init__(
        self,
        vectors: Float[Tensor, "all_tokens d_model"],
        weights: dict[str, Tensor],
        settings: CapturedSettings,
        steps: int,
        seed: int = 0,
    ):
        self.vectors, self.weights, self.settings, self.steps = vectors, weights, settings, steps
        device = vectors.device
        self.done = torch.zeros((), dtype=torch.long, device=device)
        self.silent = torch.zeros_like(weights["b_enc"], dtype=torch.long)
        self.error = torch.zeros((), device=device)  # of the last batch: mean squared error
        self.generator = torch.Generator(device).manual_seed(seed)
        self.rate = torch.zeros((), device=device)
        self.optimiser = torch.optim.Adam(
            list(weights.values()), lr=self.rate, fused=True, capturable=device.type == "cuda"
        )
        self.graph: torch.cuda.CUDAGraph | None = None

    @torch.no_grad()
    def run(self, steps: int) -> None:
        """Do some steps; returns before a GPU has finished them."""
        if self.vectors.is_cuda and self.graph is None:
            steps -= self._capture()
        for _ in range(steps):
            if self.graph is None:
                self._step()
            else:
                self.graph.replay()

    def _capture(self) -> int:
        """Warm up and record; returns the steps that this took."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self._step()
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        self.graph.register_generator_state(self.generator)
        with torch.cuda.graph(self.graph):
            self._step()
        return 3  # recording does not run the step

    def _step(self) -> None:
        w, settings = self.weights, self.settings
        rows = torch.randint(
            len(self.vectors), (settings.batch_size,), generator=self.generator, device=self.vectors.device
        )
        self.train_on(self.vectors[rows].to(w["b_dec"].dtype))

    @torch.no_grad()
    def train_on(self, x: Float[Tensor, "token d_model"]) -> None:
        """One step on given vectors."""
        w, dtype = self.weights, self.settings.dtype
        read = x - w["b_dec"]
        h = (read.to(dtype) @ w["encoder"].to(dtype).T).to(x.dtype) + w["b_enc"]
        code = top_k(h, self.settings.k)
        work = self._dense if self.settings.backward == "dense" else self._sparse
        gradients, error = work(code, read)
        upstream = error.sum(dim=0) * (2 / error.numel())
        w["b_dec"].grad = bias_gradient(upstream, gradients.b_enc, w["encoder"])
        w["encoder"].grad, w["b_enc"].grad = gradients.encoder, gradients.b_enc
        w["decoder"].grad = tangential(gradients.decoder, w["decoder"])
        self._schedule()
        self.optimiser.step()
        w["decoder"].copy_(normalize(w["decoder"], dim=1))
        fired = torch.zeros_like(w["b_enc"]).index_add_(0, code.features.flatten(), (code.values > 0).flatten().to(x))
        self.silent.copy_(torch.where(fired > 0, 0, self.silent + len(x)))
        self.error.copy_(error.square().mean())
        self.done += 1

    def _sparse(
        self, code: SparseCode, read: Float[Tensor, "token d_model"]
    ) -> tuple[Gradients, Float[Tensor, "token d_model"]]:
        pairs = pairs_of(code)
        error = decode(code, self.weights["decoder"]) - read
        return pair_gradients(pairs, read, error * (2 / error.numel()), self.weights["decoder"]), error

    def _dense(
        self, code: SparseCode, read: Float[Tensor, "token d_model"]
    ) -> tuple[Gradients, Float[Tensor, "token d_model"]]:
        w, dtype = self.weights, self.settings.dtype
        z = torch.zeros(len(read), code.n_features, dtype=dtype, device=read.device)
        z.scatter_(1, code.features, code.values.to(dtype))
        decoder = w["decoder"].to(dtype)
        error = (z @ decoder).to(read.dtype) - read
        upstream = (error * (2 / error.numel())).to(dtype)
        u = (upstream @ decoder.T) * (z > 0)
        encoder_gradient = (u.T @ read.to(dtype)).to(read.dtype)
        return Gradients(encoder_gradient, u.sum(dim=0).to(read.dtype), (z.T @ upstream).to(read.dtype)), error

    def _schedule(self) -> None:
        """Linear warm-up, then a cosine that would reach zero one step after the last; see ``Trainer``."""
        warmup = round(self.settings.warmup * self.steps)
        rising = (self.done + 1) / (warmup + 1)
        falling = 0.5 * (1 + torch.cos(torch.pi * (self.done - warmup) / (self.steps - warmup)))
        self.rate.copy_(self.settings.learning_rate * torch.where(self.done < warmup, rising, falling))


def fastest(
    vectors: Float[Tensor, "all_tokens d_model"],
    weights: dict[str, Tensor],
    settings: CapturedSettings,
    trial: int = 50,
) -> tuple[Backward, dict[str, float]]:
    """The way of computing gradients that is faster here, and the seconds a step of each takes.

    ``weights`` are not changed.
    """
    seconds: dict[str, float] = {}
    for way in ("dense", "sparse"):
        copies = {name: w.clone() for name, w in weights.items()}
        training = CapturedTraining(vectors, copies, replace(settings, backward=way), 10 * trial)
        training.run(5)
        _wait(vectors)
        began = time.perf_counter()
        training.run(trial)
        _wait(vectors)
        seconds[way] = (time.perf_counter() - began) / trial
    return ("dense" if seconds["dense"] < seconds["sparse"] else "sparse"), seconds


def _wait(vectors: Tensor) -> None:
    if vectors.is_cuda:
        torch.cuda.synchronize()
