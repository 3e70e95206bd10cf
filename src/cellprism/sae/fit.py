"""Fitting sparse autoencoders to any stream of vectors, one or several on the same stream.

Notable choices

- Training and data meet only here: ``sae.job`` and ``sae.scaling`` turn batches into what ``sae.trainer`` is shown,
  ``sae.checkpoint`` keeps what a killed training needs to go on.
- A training that is stopped and started again gives the same weights, bit for bit, as one that was not. With data that
  have no identity, the batch before is read again and must be the one that was learned from last.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.errors import ConfigError, InputError, RunError
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.checkpoint import Checkpoints, Interruption, fingerprint
from cellprism.sae.config import SaeConfig
from cellprism.sae.data import planned
from cellprism.sae.distributed import anywhere, gathered, is_first, total
from cellprism.sae.initial import start
from cellprism.sae.job import Job
from cellprism.sae.scaling import Scaling
from cellprism.sae.stream import Batch, Sites, Stream, Vectors, batches_from
from cellprism.sae.trainer import Figures, Trainer
from cellprism.store.seed import check_seed

SAMPLE = 16_384  # tokens that the initial mean, spread and directions are taken from
BEGINNING = 1_024  # of these, tokens whose pre-activations set the first thresholds
Progress = Callable[[int, Mapping[str, int | float]], None]
Batches = Iterable[Batch | Sites] | Stream


def fit_sae(
    batches: Any,
    config: SaeConfig | None = None,
    d_model: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    *,
    centre: Float[Tensor, "group d_model"] | None = None,
    metadata: Mapping[str, Any] | None = None,
    checkpoints: str | Path | None = None,
    progress: Progress | None = None,
) -> SparseAutoencoder:
    """Fit one sparse autoencoder; see ``fit_saes`` for batches, checkpoints, history and errors.

    Args:
        batches: all vectors as one tensor or array [token d_model], of which ``config.batch_size`` drawn at random make
            a step; or batches, one step each: a list, a ``DataLoader``, ``cp.activations(...)``, any iterable of
            vectors [... d_model] or of pairs of vectors and their groups.
        config: settings; the defaults where None. Of those that shape the stream only ``batch_size`` and ``epochs``
            matter, and only where ``steps`` or batches are left to them.
        d_model: width of the vectors; by default that of the data.
        steps: optimiser steps; by default ``config.epochs`` passes over data whose length is known.
        seed: seed of the initial directions, and of the order of a whole array.
        centre: mean vector per group, needed with ``centring="group"``; see ``sae.centre.group_means``.
        metadata: kept with the autoencoder and saved in ``cfg.json``; plain JSON values.
        checkpoints: folder in which training is kept, and from which it goes on.
        progress: called after every step with the number of steps done and the step's figures.

    >>> import torch, cellprism as cp
    >>> x = torch.randn(1024, 8, generator=torch.Generator().manual_seed(0))
    >>> sae = cp.fit_sae(x, cp.SaeConfig(k=2, n_features=16, batch_size=64, epochs=2))
    >>> sae
    SparseAutoencoder(features 16, dimensions 8, architecture topk, k 2, means taken off none)
    >>> len(sae.history)
    32
    """
    config = config or SaeConfig()
    batches, d_model, steps = planned(batches, config, d_model, steps, seed)
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
        explained_variance (of the batch; of the centred vectors where there is a centre; of whitened ones, as mse is,
        where they are whitened), l0, dead_share, learning_rate, and sparsity (the penalty's weight) where there is one.

    Raises:
        ConfigError: settings that contradict each other or the arguments.
        InputError: batches that end too early, have another width, or hold NaN or infinite values; or the training
            diverges, and stops at the first error that is no finite number.
        RunError: the checkpoints are another training's, or another process is using them.
        DamagedError: a checkpoint was truncated or altered.
        KeyboardInterrupt: after Ctrl-C, once the step is finished and kept.

    >>> import torch, cellprism as cp
    >>> from cellprism.sae.job import Job
    >>> batches = [torch.randn(64, 8) for _ in range(5)]
    >>> jobs = [Job(cp.SaeConfig(k=2, n_features=16), 8, seed) for seed in (0, 1)]
    >>> len(cp.fit_saes(batches, jobs, steps=10))
    2
    """
    if steps < 1:
        raise ConfigError(f"steps is {steps}: expected at least 1")
    for job in jobs:
        check_seed(job.seed)
        _check_room(job)
    asked = _identity(batches, jobs, steps)
    with Checkpoints(checkpoints, asked, len(jobs), checkpoint_seconds) as kept, Interruption() as stop:
        done, tensors = kept.restored()
        trainings, stream = _begun(jobs, _following(batches, done, kept.seen), tensors, done, steps)
        for step, batch in enumerate(islice(stream, steps - done), start=done + 1):
            rows = [training.step(batch, step - 1) for training in trainings]
            if not all(math.isfinite(row["mse"]) for row in rows):
                raise _diverged(f"its error is no finite number at step {step} of {steps}")
            kept.record(step, rows)
            if progress is not None:
                progress(step, rows)
            stopping = anywhere(stop.asked)
            if stopping or kept.due() or step == steps:
                state = {f"{i}.{n}": t for i, job in enumerate(trainings) for n, t in job.tensors().items()}
                kept.save(step, state, _seen(batches, batch))
            if stopping and anywhere(True):  # all wait here until the first process has saved
                raise KeyboardInterrupt(f"stopped after step {step} of {steps}")
            done = step
        if done < steps:
            raise _ended(done, steps)
        histories = kept.history()
    saes = [t.finished(history) for t, history in zip(trainings, histories, strict=True)]
    squares = [weights.square().sum() for sae in saes for weights in (sae.W_enc, sae.b_enc, sae.W_dec, sae.b_dec)]
    if not all(map(math.isfinite, squares)):
        raise _diverged("its weights are too large to compute with after the last step")
    return saes


class Training:
    """One job in progress."""

    def __init__(self, job: Job, scaling: Scaling, trainer: Trainer):
        self.job, self.scaling, self.trainer = job, scaling, trainer

    @classmethod
    def started(cls, job: Job, first: Sequence[Any], steps: int) -> "Training":
        """A job before its first step; the sample is all processes' first batches."""
        parts = [job.vectors(batch, number) for number, batch in enumerate(first)]
        x = torch.cat([gathered(p.x) for p in parts])
        target = torch.cat([gathered(p.target) for p in parts if p.target is not None]) if job.is_transcoder else None
        sample = Vectors(x, None, target)
        if job.config.centring == "global" and job.centre is None:
            centre = x.mean(dim=0, keepdim=True)
            job, sample = replace(job, centre=centre), Vectors(x - centre, None, target)
        scaling = Scaling.of(sample, job.config)
        seen = scaling.seen(sample)
        weights = start(seen.x, seen.target, job.config, job.config.width(job.d_model), job.seed)
        return cls(job, scaling, Trainer(weights, job.config, steps, seen.x[:BEGINNING], job.is_transcoder))

    @classmethod
    def resumed(cls, job: Job, tensors: dict[str, Tensor], following: Sequence[Any], steps: int) -> "Training":
        """A job where it was when ``tensors`` were taken, on the device of the batch that follows, if there is one."""
        if following:
            device = job.vectors(following[0], int(tensors["done"])).x.device
            tensors = {name: t.to(device) for name, t in tensors.items()}
        if job.centre is None and "centre" in tensors:
            job = replace(job, centre=tensors["centre"])
        scaling = Scaling(
            float(tensors["scale"]), float(tensors["target_scale"]), tensors["mean"], tensors.get("stretch")
        )
        weights = {name: tensors[f"weights.{name}"].clone() for name in ("encoder", "b_enc", "decoder", "b_dec")}
        nothing = scaling.mean.new_zeros(1, job.d_model)
        trainer = Trainer(weights, job.config, steps, nothing, job.is_transcoder)
        trainer.load(tensors)
        return cls(job, scaling, trainer)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next step depends on beside settings and data."""
        kept = {"scale": torch.tensor(self.scaling.scale).double(), "mean": self.scaling.mean,
                 "target_scale": torch.tensor(self.scaling.target_scale).double()}  # fmt: skip
        if self.scaling.stretch is not None:
            kept["stretch"] = self.scaling.stretch
        if self.job.config.centring == "global" and self.job.centre is not None:
            kept["centre"] = self.job.centre.clone()  # several jobs may have been given the same
        return self.trainer.tensors() | kept

    def step(self, batch: Any, number: int) -> Figures:
        """One step on this job's part of a batch; figures are in units of the data."""
        seen = self.scaling.seen(self.job.vectors(batch, number))
        figures = self.trainer.step(seen.x, seen.target)
        figures["mse"] *= self.scaling.target_scale**2
        return figures

    def finished(self, history: pd.DataFrame) -> SparseAutoencoder:
        """The autoencoder."""
        return replace(self.scaling.folded(self.trainer, self.job), history=history)


def _begun(
    jobs: Sequence[Job], stream: Iterator[Any], tensors: Mapping[str, Tensor] | None, done: int, steps: int
) -> tuple[list[Training], Iterator[Any]]:
    """The jobs, new or as they were, and the batches that they go on with."""
    if tensors is None:
        first = _until(stream, SAMPLE, steps)
        trainings = [Training.started(job, first, steps) for job in jobs]
    else:
        first = list(islice(stream, min(1, steps - done)))
        trainings = [Training.resumed(job, _under(tensors, i), first, steps) for i, job in enumerate(jobs)]
    return trainings, chain(first, stream)


def _until(stream: Iterator[Any], tokens: int, batches: int) -> list[Any]:
    """The first batches of a stream: at least ``tokens`` tokens in all processes, at most ``batches`` batches.

    Raises:
        InputError: there are fewer.
    """
    taken, count = [], 0
    while len(taken) < batches and count < tokens:
        batch = next(stream, None)
        if batch is None:
            raise _ended(len(taken), batches)
        some = next(iter(batch.values())) if isinstance(batch, Mapping) else batch
        count += total(len(some[0]) if isinstance(some, tuple) else len(some))
        taken.append(batch)
    return taken


def _ended(done: int, steps: int) -> InputError:
    return InputError(
        f"the batches ended after {done} of {steps} steps; give more, ask for fewer steps, or pass a list, which is "
        "gone through again"
    )


def _check_room(job: Job) -> None:
    """Refuse weights that this machine has no memory for, with Adam's two moments of each."""
    n_features = job.config.width(job.d_model)
    needed = 4 * 3 * 2 * n_features * job.d_model
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        raise ConfigError(
            f"{n_features:,} features of {job.d_model:,} dimensions take {needed / 1e9:,.0f} GB to train, and this "
            f"machine has {there / 1e9:,.0f} GB; lower n_features or expansion"
        )


def _diverged(how: str) -> InputError:
    return InputError(
        f"the training does not converge: {how}; lower train.learning_rate, or look for vectors that are far larger "
        "than the others"
    )


def _following(batches: Batches, done: int, seen: str) -> Iterator[Any]:
    """Batches from number ``done`` on.

    Raises:
        RunError: the one before is not what ``seen`` was made of.
    """
    if not seen:
        return batches_from(batches, done)
    stream = batches_from(batches, done - 1)
    before = next(stream, None)
    if is_first() and (before is None or _seen(batches, before) != seen):
        raise RunError(
            f"batch {done - 1} is not the one that step {done} learned from; give the same batches in the same "
            "order, or remove the checkpoints to start again"
        )
    return stream


def _seen(batches: Batches, batch: Batch | Sites) -> str:
    """Tells a batch from others, where the data have no identity that does."""
    if getattr(batches, "identity", None) is not None:
        return ""
    sites = batch.items() if isinstance(batch, Mapping) else [(0, batch)]
    parts = [(site, vectors if isinstance(vectors, tuple) else (vectors,)) for site, vectors in sites]
    return fingerprint({f"{site}.{i}": t for site, part in parts for i, t in enumerate(part) if t is not None})


def _under(tensors: Mapping[str, Tensor], number: int) -> dict[str, Tensor]:
    return {name.partition(".")[2]: t for name, t in tensors.items() if name.partition(".")[0] == str(number)}


def _identity(batches: Batches, jobs: Sequence[Job], steps: int) -> dict[str, Any]:
    """What a training must have in common with the one that its checkpoints are of."""
    asked = [
        {
            "config": asdict(job.config), "d_model": job.d_model, "seed": job.seed, "site": job.site,
            "d_target": job.d_target,
            **{n: fingerprint({n: t}) for n in ("centre", "target_centre") if (t := getattr(job, n)) is not None},
        }
        for job in jobs
    ]  # fmt: skip
    return {"steps": steps, "data": getattr(batches, "identity", None), "jobs": asked}
