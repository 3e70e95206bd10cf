"""TopK training steps of other libraries and of this one, behind one small interface; for the peers' environment."""

import math
from dataclasses import dataclass

import torch
from torch.nn.functional import embedding_bag, normalize

from cellprism.sae.config import SaeConfig
from cellprism.sae.initial import start
from cellprism.sae.plain_step import PlainSteps
from cellprism.sae.trainer import Trainer


@dataclass(frozen=True)
class Shape:
    """What all are asked for."""

    d_model: int
    features: int
    k: int
    batch: int
    steps: int
    learning_rate: float
    seed: int = 0


class Ours:
    """This library, its default start unless ``weights`` are given."""

    def __init__(
        self,
        shape: Shape,
        sample: torch.Tensor,
        precision: str = "float32",
        plain: bool = False,
        weights=None,
        **settings,
    ):
        config = SaeConfig(
            k=shape.k, n_features=shape.features, learning_rate=shape.learning_rate, precision=precision, **settings
        )
        self.scale = 1.0 if weights is not None else float((sample - sample.mean(0)).square().mean().sqrt())
        begin = weights or start(sample / self.scale, None, config, shape.features, shape.seed)
        self.trainer = Trainer(begin, config, shape.steps, sample[:64])
        if plain:
            self.trainer._steps = lambda x: PlainSteps()  # type: ignore[method-assign]

    def step(self, x: torch.Tensor) -> None:
        self.trainer.step(x / self.scale if self.scale != 1 else x)

    @torch.no_grad()
    def encode(self, x: torch.Tensor):
        w, t = self.trainer.weights, self.trainer
        read = (x / self.scale if self.scale != 1 else x) - w["b_dec"]
        return t._steps(read).top_k(read, w["encoder"], w["b_enc"], t.config.k, True)

    @torch.no_grad()
    def reconstruct(self, x: torch.Tensor) -> torch.Tensor:
        w, pairs = self.trainer.weights, self.encode(x)
        bags = embedding_bag(pairs.features, w["decoder"], pairs.offsets, mode="sum", per_sample_weights=pairs.values)
        return (bags + w["b_dec"]) * self.scale


class Dense:
    """Every product in full, autograd, fused Adam, unit norms: what a careful user writes in an afternoon.

    Same schedule as ours, so that from the same start on the same batches it must end at the same fit.
    """

    def __init__(self, shape: Shape, sample: torch.Tensor, weights):
        self.w = {name: t.clone().requires_grad_() for name, t in weights.items()}
        self.shape, self.done = shape, 0
        self.optimiser = torch.optim.Adam(self.w.values(), lr=shape.learning_rate, fused=True)

    def code(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.addmm(self.w["b_enc"], x - self.w["b_dec"], self.w["encoder"].T).relu()
        values, features = h.topk(self.shape.k, dim=1, sorted=False)
        return torch.zeros_like(h).scatter(1, features, values)

    def step(self, x: torch.Tensor) -> None:
        loss = (self.code(x) @ self.w["decoder"] + self.w["b_dec"] - x).square().mean()
        loss.backward()
        rows = self.w["decoder"]
        warmup = round(0.05 * self.shape.steps)
        falling = 0.5 * (1 + math.cos(math.pi * (self.done - warmup) / (self.shape.steps - warmup)))
        rate = (self.done + 1) / (warmup + 1) if self.done < warmup else falling
        self.optimiser.param_groups[0]["lr"] = self.shape.learning_rate * rate
        with torch.no_grad():
            rows.grad -= (rows.grad * rows).sum(1, keepdim=True) * rows
            self.optimiser.step()
            self.optimiser.zero_grad()
            rows.copy_(normalize(rows, dim=1))
        self.done += 1

    @torch.no_grad()
    def encode(self, x: torch.Tensor):
        return self.code(x)

    @torch.no_grad()
    def reconstruct(self, x: torch.Tensor) -> torch.Tensor:
        return self.code(x) @ self.w["decoder"] + self.w["b_dec"]


class SaeLens:
    """SAELens' TopK or BatchTopK with its own trainer and start; b_dec starts at the mean, as everybody's does here."""

    def __init__(self, shape: Shape, sample: torch.Tensor, kind: str = "topk"):
        from sae_lens.config import SAETrainerConfig
        from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
        from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
        from sae_lens.training.sae_trainer import SAETrainer

        torch.manual_seed(shape.seed)
        sizes = {"d_in": shape.d_model, "d_sae": shape.features, "k": shape.k}
        if kind == "topk":
            self.sae = TopKTrainingSAE(TopKTrainingSAEConfig(**sizes))
        else:
            self.sae = BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(**sizes))
        self.sae.b_dec.data = sample.mean(0).clone()
        config = SAETrainerConfig(
            total_training_samples=shape.steps * shape.batch, train_batch_size_samples=shape.batch,
            lr=shape.learning_rate, lr_end=shape.learning_rate / 10,
        )  # fmt: skip
        self.trainer = SAETrainer(config, self.sae, iter(()))

    def step(self, x: torch.Tensor) -> None:
        self.trainer.step(x)
        self.trainer.n_training_steps += 1

    @torch.no_grad()
    def encode(self, x: torch.Tensor):
        return self.sae.encode(x)

    @torch.no_grad()
    def reconstruct(self, x: torch.Tensor) -> torch.Tensor:
        return self.sae(x)


class Sparsify:
    """EleutherAI's sparsify: its coder, its fused autograd kernels, Adam, unit norms, a batch in one piece."""

    def __init__(self, shape: Shape, sample: torch.Tensor):
        from sparsify import SparseCoder, SparseCoderConfig

        torch.manual_seed(shape.seed)
        self.sae = SparseCoder(shape.d_model, SparseCoderConfig(num_latents=shape.features, k=shape.k))
        self.sae.b_dec.data = sample.mean(0).clone()
        self.optimiser = torch.optim.Adam(self.sae.parameters(), lr=shape.learning_rate)

    def step(self, x: torch.Tensor) -> None:
        self.sae.set_decoder_norm_to_unit_norm()
        self.sae(x, total_variance=(x - x.mean(0)).pow(2).sum()).fvu.backward()
        self.sae.remove_gradient_parallel_to_decoder_directions()
        self.optimiser.step()
        self.optimiser.zero_grad()

    @torch.no_grad()
    def encode(self, x: torch.Tensor):
        return self.sae.encode(x)

    @torch.no_grad()
    def reconstruct(self, x: torch.Tensor) -> torch.Tensor:
        return self.sae(x).sae_out


class DictionaryLearning:
    """dictionary_learning's TopK trainer."""

    def __init__(self, shape: Shape, sample: torch.Tensor):
        from dictionary_learning.trainers.top_k import TopKTrainer

        self.trainer = TopKTrainer(
            steps=shape.steps + 1, activation_dim=shape.d_model, dict_size=shape.features, k=shape.k, layer=0,
            lm_name="", lr=shape.learning_rate, warmup_steps=0, device="cpu", seed=shape.seed,
        )  # fmt: skip
        self.trainer.ae.b_dec.data = sample.mean(0).clone()
        self.done = 1

    def step(self, x: torch.Tensor) -> None:
        self.trainer.update(self.done, x)
        self.done += 1

    @torch.no_grad()
    def encode(self, x: torch.Tensor):
        return self.trainer.ae.encode(x, use_threshold=False)

    @torch.no_grad()
    def reconstruct(self, x: torch.Tensor) -> torch.Tensor:
        return self.trainer.ae.decode(self.encode(x))


def fired(code) -> torch.Tensor:
    """How often each feature fires in a code of any of these kinds."""
    if hasattr(code, "offsets"):
        return torch.bincount(code.features[code.values != 0], minlength=code.n_features)
    if hasattr(code, "top_indices"):
        return torch.bincount(code.top_indices[code.top_acts != 0])
    return (code.to_dense() != 0).sum(0)
