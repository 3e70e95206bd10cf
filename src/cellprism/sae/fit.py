"""Fitting sparse autoencoders to any stream of vectors, one or several on the same stream.

Notable choices

- Training and data meet only here: ``sae.units`` turns batches into what ``sae.trainer`` is shown, ``sae.checkpoint``
  keeps what a killed training needs to go on.
- A stream that is stopped and started again gives the same weights, bit for bit, as one that was not.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.errors import ConfigError, InputError
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.checkpoint import Checkpoints, Interruption
from cellprism.sae.config import SaeConfig
from cellprism.sae.distributed import gathered, stopped_anywhere
from cellprism.sae.initial import start
from cellprism.sae.stream import Batch, Sites, Stream, Vectors, batches_from
from cellprism.sae.trainer import Figures, Trainer
from cellprism.sae.units import Job, Units

SAMPLE = 16_384  # tokens that the initial mean, spread and directions are taken from
BEGINNING = 1_024  # of these, tokens whose pre-activations set the first thresholds
Progress = Callable[[int, Mapping[str, int | float]], None]
Batches = Iterable[Batch | Sites] | Stream


def fit_sae(
    batches: Batches,
    config: SaeConfig,
    d_model: int,
    steps: int,
    seed: int = 0,
    *,
    centre: Float[Tensor, "group d_model"] | None = None,
    metadata: Mapping[str, Any] | None = None,
    checkpoints: str | Path | None = None,
    progress: Progress | None = None,
) -> SparseAutoencoder:
    """Fit one sparse autoencoder; see ``fit_saes`` for batches, checkpoints, history and errors.

    Args:
        batches: vectors [token d_model], or pairs of vectors and their groups; one optimiser step each.
        config: settings; ``batch_size``, ``epochs`` and others that shape the stream matter only to who makes it.
        d_model: width of the vectors.
        steps: optimiser steps.
        seed: seed of the initial directions.
        centre: mean vector per group, needed with ``centring="group"``; see ``sae.centre.group_means``.
        metadata: kept with the autoencoder and saved in ``cfg.json``; plain JSON values.
        checkpoints: folder in which training is kept, and from which it goes on.
        progress: called after every step with the number of steps done and the step's figures.
    """
    job = Job(config, d_model, seed, centre=centre, metadata=metadata or {})
    each = None if progress is None else lambda done, rows: progress(done, rows[0])
    return fit_saes(batches, [job], steps, checkpoints=checkpoints, progress=each)[0]


def fit_saes(
    batches: Batches,
    jobs: Sequence[Job],
    steps: int,
    *,
    checkpoints: str | Path | None = None,
    checkpoint_seconds: float = 60.0,
    progress: Callable[[int, Sequence[Mapping[str, int | float]]], None] | None = None,
) -> list[SparseAutoencoder]:
    """Fit several sparse autoencoders to one stream.

    Args:
        batches: a ``Stream``, or any iterable of batches: vectors, pairs of vectors and groups, ``Vectors``, or
            mappings of these by site. One optimiser step each. A collection that can be gone through again is
            repeated until ``steps`` are done; shuffle it beforehand. Under ``torchrun`` every process gives its share.
        jobs: what to fit.
        steps: optimiser steps.
        checkpoints: folder in which training is kept, and from which it goes on where there is something in it.
        checkpoint_seconds: time between two checkpoints. Ctrl-C finishes the step and makes one as well.
        progress: called after every step with the number of steps done and each job's figures.

    Returns:
        The autoencoders. The ``history`` of each has a row per step: step, tokens, mse (per dimension),
        explained_variance (of the batch; of the centred vectors where there is a centre), l0, dead_share,
        learning_rate, and sparsity (the penalty's weight) where there is one.

    Raises:
        ConfigError: settings that contradict each other or the arguments.
        InputError: batches that end too early, have another width, or hold NaN or infinite values.
        RunError: the checkpoints are another training's, or another process is using them.
        DamagedError: a checkpoint was truncated or altered.
        KeyboardInterrupt: after Ctrl-C, once the step is finished and kept.
    """
    if steps < 1:
        raise ConfigError(f"steps is {steps}: expected at least 1")
    with Checkpoints(checkpoints, _identity(batches, jobs, steps), checkpoint_seconds) as kept, Interruption() as stop:
        done, tensors = kept.restored()
        stream = batches_from(batches, done)
        if tensors is None:
            first = _until(stream, SAMPLE, steps)
            stream = chain(first, stream)
            trainings = [Training.started(job, first, steps) for job in jobs]
        else:
            trainings = [Training.resumed(job, _under(tensors, i), steps) for i, job in enumerate(jobs)]
        rows: list[Figures] = []
        for step, batch in enumerate(islice(stream, steps - done), start=done + 1):
            rows = [training.step(batch, step - 1) for training in trainings]
            kept.record(step, rows)
            if progress is not None:
                progress(step, rows)
            stopping = stopped_anywhere(stop.asked)
            if stopping or kept.due() or step == steps:
                kept.save(step, {f"{i}.{n}": t for i, job in enumerate(trainings) for n, t in job.tensors().items()})
            if stopping and step < steps:
                raise KeyboardInterrupt(f"stopped after step {step} of {steps}")
            done = step
        if done < steps:
            raise InputError(
                f"the batches ended after {done} of {steps} steps; give more, ask for fewer steps, "
                "or pass a list, which is gone through again"
            )
        histories = kept.history(len(jobs))
    return [t.finished(history) for t, history in zip(trainings, histories, strict=True)]


class Training:
    """One job in progress."""

    def __init__(self, job: Job, units: Units, trainer: Trainer):
        self.job, self.units, self.trainer = job, units, trainer

    @classmethod
    def started(cls, job: Job, first: Sequence[Any], steps: int) -> "Training":
        """A job before its first step; the sample is all processes' first batches."""
        parts = [job.vectors(batch, number) for number, batch in enumerate(first)]
        x = torch.cat([gathered(p.x) for p in parts])
        target = torch.cat([gathered(p.target) for p in parts if p.target is not None]) if job.is_transcoder else None
        sample = Vectors(x, None, target)
        if job.config.centring == "global" and job.centre is None:
            job = replace(job, centre=x.mean(dim=0, keepdim=True))
            sample = Vectors(x - job.centre, None, target)
        units = Units.of(sample, job.config)
        seen = units.seen(sample)
        weights = start(seen.x, seen.target, job.config, job.config.width(job.d_model), job.seed)
        return cls(job, units, Trainer(weights, job.config, steps, seen.x[:BEGINNING], job.is_transcoder))

    @classmethod
    def resumed(cls, job: Job, tensors: dict[str, Tensor], steps: int) -> "Training":
        """A job where it was when ``tensors`` were taken."""
        if "centre" in tensors:
            job = replace(job, centre=tensors["centre"])
        units = Units(float(tensors["scale"]), float(tensors["target_scale"]), tensors["mean"])
        weights = {name: tensors[f"weights.{name}"].clone() for name in ("encoder", "b_enc", "decoder", "b_dec")}
        nothing = units.mean.new_zeros(1, job.d_model)
        trainer = Trainer(weights, job.config, steps, nothing, job.is_transcoder)
        trainer.load(tensors)
        return cls(job, units, trainer)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next step depends on beside settings and data."""
        units = {"scale": torch.tensor(self.units.scale).double(), "mean": self.units.mean,
                 "target_scale": torch.tensor(self.units.target_scale).double()}  # fmt: skip
        if self.job.config.centring == "global" and self.job.centre is not None:
            units["centre"] = self.job.centre
        return self.trainer.tensors() | units

    def step(self, batch: Any, number: int) -> Figures:
        """One step on this job's part of a batch; figures are in units of the data."""
        seen = self.units.seen(self.job.vectors(batch, number))
        figures = self.trainer.step(seen.x, seen.target)
        figures["mse"] *= self.units.target_scale**2
        return figures

    def finished(self, history: pd.DataFrame) -> SparseAutoencoder:
        """The autoencoder."""
        return replace(self.units.folded(self.trainer, self.job), history=history)


def _until(stream: Iterator[Any], tokens: int, batches: int) -> list[Any]:
    """The first batches of a stream: at least ``tokens`` tokens, at most ``batches`` batches."""
    taken, count = [], 0
    while len(taken) < batches and count < tokens:
        batch = next(stream, None)
        if batch is None:
            break
        some = next(iter(batch.values())) if isinstance(batch, Mapping) else batch
        count += len(some[0]) if isinstance(some, tuple) else len(some)
        taken.append(batch)
    if not taken:
        raise InputError("the batches ended after 0 steps; there is nothing to fit to")
    return taken


def _under(tensors: Mapping[str, Tensor], number: int) -> dict[str, Tensor]:
    return {name.partition(".")[2]: t for name, t in tensors.items() if name.partition(".")[0] == str(number)}


def _identity(batches: Batches, jobs: Sequence[Job], steps: int) -> dict[str, Any]:
    """What a training must have in common with the one that its checkpoints are of."""
    asked = [{"config": asdict(job.config), "d_model": job.d_model, "seed": job.seed, "site": job.site} for job in jobs]
    return {"steps": steps, "data": getattr(batches, "identity", None), "jobs": asked}
