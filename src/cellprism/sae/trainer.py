"""One training step after another: weights, optimiser, schedule, counters. Knows no files and no streams.

Notable choices

- The optimiser is torch's Adam. Decoder rows keep norm 1: the part of the gradient along a row is taken out before
  Adam sees it, and rows are divided by their norm after the step.
- The same batches, settings and seed give the same weights, bit for bit, on one machine with one number of threads.
  A step uses no random numbers, so everything that the next one depends on is in ``tensors``.
- On a GPU the step of a TopK autoencoder is recorded as a CUDA graph at the first batch and replayed; batches of
  another size are computed as they come. Where that fails the log says so, and steps are computed one by one.
- Under ``torch.distributed`` every process brings its share of the batch. One all-reduce of one flat array makes
  gradients, dead counters and figures those of the whole batch.
"""

import logging
import math
from collections.abc import Mapping

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from cellprism.equations.sparse import bias_gradient, explained_variance, mean_squared_error, preactivations
from cellprism.errors import RunError
from cellprism.sae.architectures import ARCHITECTURES, Counted, Penalised
from cellprism.sae.auxiliary import auxiliary_gradients
from cellprism.sae.config import SaeConfig
from cellprism.sae.cuda_graph import CudaGraph
from cellprism.sae.distributed import processes, reduced
from cellprism.sae.engine import steps_for
from cellprism.sae.step import Steps

log = logging.getLogger(__name__)
Figures = dict[str, int | float]
FROZEN = {"none": (), "frozen-decoder": ("decoder",), "frozen-encoder": ("encoder",)}


class Trainer:
    """A training in progress; ``weights`` are in the units of the vectors that it is shown."""

    def __init__(
        self,
        weights: dict[str, Tensor],
        config: SaeConfig,
        steps: int,
        sample: Float[Tensor, "token d_model"],
        is_transcoder: bool = False,
    ):
        self.config, self.steps, self.is_transcoder = config, steps, is_transcoder
        self.architecture = ARCHITECTURES[config.architecture](config)
        self.weights = dict(weights)
        if config.biases == "two":
            self.weights["b_out"] = torch.zeros_like(weights["b_dec"])
        read = sample if is_transcoder else sample - weights["b_dec"]
        self.architecture.begin(self.weights, preactivations(read, weights["encoder"].T, weights["b_enc"]))
        self.done = 0
        self.tokens = 0
        self.silent = torch.zeros_like(weights["b_enc"], dtype=torch.long)  # tokens since a feature last fired
        on_gpu, rate = self.silent.is_cuda, config.learning_rate
        lr = torch.tensor(rate, device=self.silent.device) if on_gpu else rate  # a graph reads it from a tensor
        self.optimiser = torch.optim.Adam(list(self.weights.values()), lr=lr, fused=True, capturable=on_gpu)
        self.graph: CudaGraph | None = None
        self.records = on_gpu and self._is_recordable()
        for weight in self.weights.values():
            self.optimiser.state[weight] = {
                "step": torch.zeros((), dtype=torch.float32, device=weight.device),
                "exp_avg": torch.zeros_like(weight),
                "exp_avg_sq": torch.zeros_like(weight),
            }

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next step depends on beside the settings."""
        kept = {f"weights.{name}": weight for name, weight in self.weights.items()}
        for name, weight in self.weights.items():
            kept |= {f"adam.{name}.{key}": t for key, t in self.optimiser.state[weight].items()}
        kept |= {f"architecture.{name}": t for name, t in self.architecture.state.items()}
        numbers = {"done": self.done, "tokens": self.tokens, "in_bfloat16": int(self._in_bfloat16())}
        return kept | {"silent": self.silent, **{name: torch.tensor(number) for name, number in numbers.items()}}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what ``tensors`` once returned.

        Raises:
            RunError: features were selected in another precision than this processor selects in.
        """
        before, now = bool(tensors["in_bfloat16"]), self._in_bfloat16()
        if before != now:
            names = {True: "bfloat16", False: "float32"}
            raise RunError(
                f"up to step {int(tensors['done'])} features were selected in {names[before]}, and here they would be "
                f"in {names[now]}: precision is {self.config.precision!r}, and not every processor has instructions "
                "for it. Go on where the training began, or remove the checkpoints to start again"
            )
        for name, mine in self.tensors().items():
            mine.copy_(tensors[name])
        self.done, self.tokens = int(tensors["done"]), int(tensors["tokens"])

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine that would reach zero one step after the last."""
        warmup = round(self.config.warmup * self.steps)
        if self.done < warmup:
            return self.config.learning_rate * (self.done + 1) / (warmup + 1)
        progress = (self.done - warmup) / (self.steps - warmup)
        return self.config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))

    @torch.no_grad()
    def step(self, x: Float[Tensor, "token d_model"], target: Float[Tensor, "token d_target"] | None = None) -> Figures:
        """One optimiser step; returns its figures, measured before the update.

        Args:
            x: what is encoded.
            target: what is reconstructed, for a transcoder; else ``x``.
        """
        rate = self.learning_rate()
        for group in self.optimiser.param_groups:
            group["lr"] = group["lr"].fill_(rate) if isinstance(group["lr"], Tensor) else rate
        sums = self._on_device(x, target)
        count = int(sums["tokens"])
        self.tokens += count
        figures = self._figures(sums, count)
        if isinstance(self.architecture, Penalised):
            figures["sparsity"] = float(self.architecture.state["sparsity"])
            self.architecture.adjust(figures["l0"])
        self.done += 1
        return figures

    def _is_recordable(self) -> bool:
        """Whether a step reads nothing back from the device and exchanges nothing."""
        return self.config.architecture == "topk" and self.config.auxiliary == 0 and processes() == 1

    def _on_device(
        self, x: Float[Tensor, "token d_model"], target: Float[Tensor, "token d_target"] | None
    ) -> dict[str, Tensor]:
        """Learn from a batch, by a graph where there is one; returns sums over it."""
        inputs = (x,) if target is None else (x, target)
        if self.records and self.graph is None:
            moments = [t for weight in self.weights.values() for t in self.optimiser.state[weight].values()]
            try:
                self.graph = CudaGraph(self._learn, inputs, [*self.weights.values(), *moments, self.silent])
                log.info("training steps are replayed from a CUDA graph")
            except RuntimeError as error:
                self.records = False
                log.warning("training steps could not be recorded as a CUDA graph, so they are slower: %s", error)
        if self.graph is not None and self.graph.fits(inputs):
            return self.graph(*inputs)
        return self._learn(*inputs)

    @torch.no_grad()
    def _learn(
        self, x: Float[Tensor, "token d_model"], target: Float[Tensor, "token d_target"] | None = None
    ) -> dict[str, Tensor]:
        """Gradients, counters and the update; figures of the batch as sums over it."""
        goal = x if target is None else target
        near = goal - self.weights["b_dec"]
        read = x if self.is_transcoder else near
        aim = near - self.weights["b_out"] if "b_out" in self.weights else near
        work = self._counted if isinstance(self.architecture, Counted) else self._penalised
        gradients, error, fired = work(read, aim)
        squares = near.flatten() @ near.flatten()  # near zero, where sums of squares lose fewer digits
        sums = {"error": error, "squares": squares, "total": near.sum(dim=0), "fired": fired}
        sums = {name: value.double() for name, value in sums.items()}
        gradients, sums, count = reduced(gradients, sums, len(x))
        self.silent.copy_(torch.where(sums["fired"] > 0, 0, self.silent + count))
        self._update(gradients)
        return {**sums, "tokens": torch.full_like(sums["error"], count)}

    def _counted(
        self, read: Float[Tensor, "token d_model"], aim: Float[Tensor, "token d_target"]
    ) -> tuple[dict[str, Tensor], Float[Tensor, ""], Shaped[Tensor, " feature"]]:
        """Gradients, summed squared error and how often each feature fired, from the pairs that fire."""
        architecture, w = self.architecture, self.weights
        assert isinstance(architecture, Counted)
        steps = self._steps(read)
        pairs = architecture.select(steps, read, w)
        ends = architecture.group_ends(pairs.n_features)
        back = steps.backward(pairs, read, aim, w["decoder"], architecture.relu, ends)
        gradients = back.gradients._asdict()
        if self.config.auxiliary > 0:
            dead = (self.silent >= self.config.dead_after).nonzero()[:, 0]
            auxiliary_gradients(gradients, read, back.error, w, dead, self.config.auxiliary)
        gradients["b_dec"] = back.upstream
        if not self.is_transcoder:  # it is also subtracted before encoding
            gradients["b_dec"] = bias_gradient(back.upstream, gradients["b_enc"], w["encoder"])
        if "b_out" in w:
            gradients["b_out"] = back.upstream
        return gradients, back.squared_error, back.fired

    def _penalised(
        self, read: Float[Tensor, "token d_model"], aim: Float[Tensor, "token d_target"]
    ) -> tuple[dict[str, Tensor], Float[Tensor, ""], Shaped[Tensor, " feature"]]:
        """The same by autograd through all features; ``read`` and ``aim`` follow b_dec by hand."""
        architecture = self.architecture
        assert isinstance(architecture, Penalised)
        w = {name: weight.detach().requires_grad_() for name, weight in self.weights.items()}
        with torch.enable_grad():
            bias = w["b_dec"] - w["b_dec"].detach()
            here = read if self.is_transcoder else read - bias
            goal = aim - bias
            if "b_out" in w:
                goal = goal - (w["b_out"] - w["b_out"].detach())
            h = torch.addmm(w["b_enc"], here, w["encoder"].T)
            z, penalty = architecture.code(h, w)
            x_hat = z @ w["decoder"]
            loss = mean_squared_error(goal, x_hat) + float(architecture.state["sparsity"]) * penalty
            further = architecture.further_loss(h, w, goal)
            gradients = torch.autograd.grad(loss if further is None else loss + further, list(w.values()))
        return dict(zip(w, gradients, strict=True)), (x_hat - goal).detach().square().sum(), (z > 0).sum(dim=0)

    def _in_bfloat16(self) -> bool:
        """Whether features are selected in bfloat16; in float32 nothing that a processor lacks alters a bit."""
        steps = self._steps(self.weights["encoder"])
        return isinstance(self.architecture, Counted) and steps.precision == "bfloat16"

    def _steps(self, x: Float[Tensor, "_ d_model"]) -> Steps:
        return steps_for(x, self.config.precision)

    def _update(self, gradients: dict[str, Tensor]) -> None:
        if self.config.null != "untrained":
            kept = {name: g for name, g in gradients.items() if name not in FROZEN[self.config.null]}
            steps = self._steps(self.weights["encoder"])
            steps.update(self.optimiser, self.weights, kept, self.config.unit_norm)

    def _figures(self, sums: Mapping[str, Tensor], count: int) -> Figures:
        explained = explained_variance(sums["error"], sums["squares"], sums["total"], count)
        return {
            "tokens": self.tokens,
            "mse": float(sums["error"]) / (count * len(self.weights["b_dec"])),
            "explained_variance": float(explained),
            "l0": float(sums["fired"].sum()) / count,
            "dead_share": float((self.silent >= self.config.dead_after).double().mean()),
            "learning_rate": self.learning_rate(),
        }
