"""Fitting a sparse autoencoder to any stream of vectors.

Notable choices

- Gradients are the written-out sparse ones of ``equations.sparse``; the optimiser is torch's Adam.
- Decoder rows keep norm 1: the part of the gradient along a row is taken out before Adam sees it, and rows
  are divided by their norm after the step.
- The same batches, settings and seed give the same weights, bit for bit, on one machine with one number of
  threads.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from cellprism.equations.sparse import (
    Gradients,
    decode,
    explained_variance,
    mean_squared_error,
    preactivations,
    tangential,
    top_k,
    top_k_gradients,
)
from cellprism.errors import ConfigError, InputError
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.config import SaeConfig
from cellprism.sae.initial import Weights, spread, start
from cellprism.types import SparseCode

SAMPLE = 16_384  # tokens that the initial mean, spread and encoder scale are taken from
Batch = Float[Tensor, "_ d_model"] | tuple[Float[Tensor, "_ d_model"], Int[Tensor, " _"]]  # of any length
Progress = Callable[[int, Mapping[str, int | float]], None]


def fit_sae(
    batches: Iterable[Batch],
    config: SaeConfig,
    d_model: int,
    steps: int,
    seed: int = 0,
    *,
    centre: Float[Tensor, "group d_model"] | None = None,
    metadata: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> SparseAutoencoder:
    """Fit a sparse autoencoder.

    Args:
        batches: vectors [token d_model], or pairs of vectors and their groups; one optimiser step each. A
            collection that can be gone through again is repeated until ``steps`` are done; shuffle it
            beforehand.
        config: settings; ``batch_size``, ``epochs`` and ``memory`` matter only to who makes the batches.
        d_model: width of the vectors.
        steps: optimiser steps.
        seed: seed of the initial directions.
        centre: mean vector per group, needed with ``centring="group"``; see ``sae.centre.group_means``.
        metadata: kept with the autoencoder and saved in ``cfg.json``; plain JSON values.
        progress: called after every step with the number of steps done and the step's figures.

    Returns: The autoencoder. Its ``history`` has a row per step: step, tokens, mse (per dimension),
        explained_variance (of the batch; of the centred vectors where there is a centre), l0, dead_share,
        learning_rate.

    Raises:
        ConfigError: settings that contradict each other or the arguments.
        InputError: batches that end too early, have another width, or hold NaN or infinite values.
    """
    if steps < 1:
        raise ConfigError(f"steps is {steps}: expected at least 1")
    if (config.centring == "group") != (centre is not None):
        raise ConfigError(
            f"centring is {config.centring!r} and centre is {'missing' if centre is None else 'given'}: "
            "centring 'group' needs the groups' mean vectors (group_means), 'none' takes none"
        )
    width = config.width(d_model)
    stream = _vectors(batches, d_model, steps, centre)
    first = _until(stream, SAMPLE, steps)
    sample = torch.cat(first)
    scale = spread(sample)
    weights = start(sample / scale, width, config.k, config.relu, seed)
    fitting = Fitting(weights, config, steps)
    rows = []
    for step, x in enumerate(islice(chain(first, stream), steps), start=1):
        figures = fitting.step(x / scale)
        figures["mse"] *= scale**2
        rows.append({"step": step, **figures})
        if progress is not None:
            progress(step, figures)
    return replace(
        _in_units_of_data(weights, scale, config, centre),
        metadata=dict(metadata or {}),
        history=pd.DataFrame(rows),
    )


def _in_units_of_data(
    weights: Weights, scale: float, config: SaeConfig, centre: Float[Tensor, "group d_model"] | None
) -> SparseAutoencoder:
    """The autoencoder for data that were divided by ``scale`` while it was fitted."""
    return SparseAutoencoder(
        W_enc=weights.encoder.T.contiguous(),
        b_enc=weights.b_enc * scale,
        W_dec=weights.decoder,
        b_dec=weights.b_dec * scale,
        k=config.k,
        relu=config.relu,
        centre=centre,
    )


def _vectors(
    batches: Iterable[Batch], d_model: int, steps: int, centre: Float[Tensor, "group d_model"] | None
) -> Iterator[Float[Tensor, "_ d_model"]]:
    """Centred float32 vectors, batch by batch, from the start again when a collection is through."""
    done = 0
    while True:
        before = done
        for batch in batches:
            x, group = batch if isinstance(batch, tuple) else (batch, None)
            if x.ndim != 2 or x.shape[1] != d_model or not len(x):
                raise InputError(f"batch {done} has shape {list(x.shape)}; expected [token, {d_model}]")
            x = x.float()
            if not torch.isfinite(x).all():
                raise InputError(f"batch {done} holds NaN or infinite values; check the vectors that go in")
            if centre is not None:
                if group is None:
                    raise InputError(
                        f"batch {done} has no groups, but centring is 'group'; give pairs (vectors, groups)"
                    )
                x = x - centre[group]
            done += 1
            yield x
        if done == before:
            raise InputError(
                f"the batches ended after {done} of {steps} steps; give more, ask for fewer steps, "
                "or pass a list, which is gone through again"
            )


def _until(stream: Iterator[Tensor], tokens: int, batches: int) -> list[Tensor]:
    """The first batches of a stream: at least ``tokens`` tokens, at most ``batches`` batches."""
    taken: list[Tensor] = []
    while len(taken) < batches and sum(len(x) for x in taken) < tokens:
        taken.append(next(stream))
    return taken


class Fitting:
    """A training in progress: weights, optimiser, and when each feature last fired."""

    def __init__(self, weights: Weights, config: SaeConfig, steps: int):
        self.weights, self.config, self.steps = weights, config, steps
        self.done = 0
        self.tokens = 0
        self.silent = torch.zeros_like(weights.b_enc, dtype=torch.long)  # tokens since a feature last fired
        parameters = [weights.encoder, weights.b_enc, weights.decoder, weights.b_dec]
        self.optimiser = torch.optim.Adam(parameters, lr=config.learning_rate, fused=True)

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine that would reach zero one step after the last."""
        warmup = round(self.config.warmup * self.steps)
        if self.done < warmup:
            return self.config.learning_rate * (self.done + 1) / (warmup + 1)
        progress = (self.done - warmup) / (self.steps - warmup)
        return self.config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))

    @torch.no_grad()
    def step(self, x: Float[Tensor, "token d_model"]) -> dict[str, int | float]:
        """One optimiser step; returns its figures, measured before the update."""
        w, config = self.weights, self.config
        code = top_k(preactivations(x, w.encoder.T, w.b_enc, w.b_dec), config.k, config.relu)
        x_hat = decode(code, w.decoder, w.b_dec)
        figures = self._figures(code, x, x_hat)
        upstream = (x_hat - x) * (2 / x.numel())
        self._update(top_k_gradients(code, x - w.b_dec, upstream, w.encoder.T, w.decoder, config.relu))
        return figures

    def _update(self, grads: Gradients) -> None:
        w = self.weights
        w.encoder.grad, w.b_enc.grad, w.b_dec.grad = grads.W_enc.T, grads.b_enc, grads.b_dec
        w.decoder.grad = tangential(grads.W_dec, w.decoder)
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        self.optimiser.step()
        w.decoder.copy_(normalize(w.decoder, dim=1))
        self.done += 1

    def _figures(
        self, code: SparseCode, x: Float[Tensor, "token d_model"], x_hat: Float[Tensor, "token d_model"]
    ) -> dict[str, int | float]:
        fired = torch.zeros_like(self.silent, dtype=torch.bool)
        fired[code.features[code.values != 0]] = True
        self.silent = torch.where(fired, 0, self.silent + len(x))
        self.tokens += len(x)
        error = mean_squared_error(x, x_hat)
        near = x - self.weights.b_dec  # sums of squares lose fewer digits near zero
        explained = explained_variance(error * x.numel(), near.square().sum(), near.sum(dim=0), len(x))
        return {
            "tokens": self.tokens,
            "mse": float(error),
            "explained_variance": float(explained),
            "l0": float((code.values != 0).sum()) / len(x),
            "dead_share": float((self.silent >= self.config.dead_after).double().mean()),
            "learning_rate": self.learning_rate(),
        }
