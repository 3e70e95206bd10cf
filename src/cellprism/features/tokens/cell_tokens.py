"""Tokens that can be read in any order, a part at a time: what training draws its batches from.

Notable choices

- How many tokens a cell has is counted beforehand, without running the network, so that every later step knows where
  it is.
- Where all tokens fit into the memory given, the model runs once and they are kept. Where they do not, and a folder is
  given whose disk has room, they are kept there as they are (float32) in files that are gone with the process; else the
  model runs again for each part. Whatever the place, the values are the same to the bit.
- Who makes them can be said (``TokenSource.made``): this process, or others that read some cells each.
- Several steps of one process can share the tokens of some cells: ``in_passes`` gives them as the forward passes made
  them, so that sums over them do not depend on where they were kept.
- A part is read cell by cell in the order of the AnnData, and always in the same forward passes. The same cells give
  the same bits whenever they are read, on one machine with one number of threads.
- Cells are taken from the AnnData a thousand at a time: it may be dense, or backed by a file, and neither is turned
  into something larger.
"""

import hashlib
import math
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from anndata import AnnData
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.cells.values import refuse_changed
from cellprism.display import in_bytes
from cellprism.errors import ConfigError, InputError
from cellprism.features.origin import reads_with, weights_hash
from cellprism.features.tokens.residuals import cells_of, genes_of, present_tokens, residuals_at
from cellprism.features.tokens.token_policy import Policy, TokenPolicy
from cellprism.store.run import digest
from cellprism.store.whole_number import whole_number
from cellprism.types import CellModel, Site

CELLS = 1024  # cells taken from the AnnData at once
SLICE = 1 << 15  # kept tokens handed out at once
BESIDES = 16  # bytes of a token besides its vectors: gene, cell, place in the order


class Held(NamedTuple):
    """Some tokens of some cells, at several layers."""

    x: tuple[Float[Tensor, "_ d_model"], ...]
    """Residuals [token d_model], one tensor a layer."""
    gene: Int[Tensor, " token"]
    """Index into the model's genes; -1 where a token is no gene."""
    cell: Int[Tensor, " token"]
    """Row of the AnnData."""
    times: Float[Tensor, " token"] | None = None
    """How often it is expected in an epoch, where that is not once."""

    def take(self, rows: Int[np.ndarray, " taken"] | slice) -> "Held":
        """Some of the tokens."""
        place = rows if isinstance(rows, slice) else torch.from_numpy(rows).to(self.gene.device)
        times = None if self.times is None else self.times[place]
        return Held(tuple(x[place] for x in self.x), self.gene[place], self.cell[place], times)

    def to(self, device: torch.device) -> "Held":
        """The same tokens on another device."""
        times = None if self.times is None else self.times.to(device)
        return Held(tuple(x.to(device) for x in self.x), self.gene.to(device), self.cell.to(device), times)

    def tensors(self) -> list[Tensor]:
        """Everything that has a row per token."""
        return [t for t in (*self.x, self.gene, self.cell, self.times) if t is not None]


class TokenSource(ABC):
    """Tokens in units, which are read whole and in any order: cells, or stretches of a store."""

    unit: str
    """What a unit is, for messages."""
    layers: tuple[int, ...]
    """Layers at which tokens are read."""
    counts: Int[np.ndarray, " unit"]
    """Tokens in each unit."""
    bytes_per_token: int
    """What holding one takes."""
    identity: str
    """Hash of everything that decides the tokens."""
    are_genes: bool
    """Whether all tokens are genes, so that they can be told apart by gene."""
    device = torch.device("cpu")
    """Where tokens are handed out."""

    def __init__(self, memory: int, folder: Path | None = None):
        self.memory, self.disk = memory, folder
        self._kept: Held | None = None
        self.made: Callable[[Any], Iterable[Held]] | None = None
        """Makes all tokens of a source, unit after unit; None: this process, without a word."""

    @property
    def capacity(self) -> int:
        """Tokens that fit into memory."""
        return self.memory // self.bytes_per_token

    @property
    def fits(self) -> bool:
        """Whether all tokens do."""
        return int(self.counts.sum()) <= self.capacity

    @property
    def on_disk(self) -> bool:
        """Whether all tokens are kept on disk: they do not fit into memory, but there."""
        if self.fits or self.disk is None:
            return False
        needed = int(self.counts.sum()) * self.bytes_per_token
        return self._kept is not None or needed <= shutil.disk_usage(self.disk).free

    def plan(self, store: bool = False) -> str:
        """How large the residuals are and where they are kept, in one line; said before the first is made.

        Args:
            store: they are written to a store (``stored_tokens``), in half as many bytes, and not as is said here.
        """
        count = int(self.counts.sum())
        size, of = count * self.bytes_per_token, f"the residuals of {count:,} tokens"
        if store:
            return f"{of} will be written: {in_bytes(size / 2)}; train.store = false does without"
        if self.fits:
            return f"{of} take {in_bytes(size)} of memory"
        beyond = f"{of} take {in_bytes(size)}, more than train.memory ({in_bytes(self.memory)})"
        if self.disk is None:
            return f"{beyond}: the model runs again in every pass"
        free = in_bytes(shutil.disk_usage(self.disk).free)
        if self.on_disk:
            return f"{beyond}: they will be written into {self.disk}, where {free} are free, and go with this process"
        return f"{beyond}, and {self.disk} has {free} free: the model runs again in every pass"

    def read(self, units: Int[np.ndarray, " some"]) -> Held:
        """All tokens of some units, given in ascending order."""
        kept = self._everything()
        if kept is None:
            return self._gather(units, self._passes(units))
        if len(units) == len(self.counts):
            return kept
        ends = np.cumsum(self.counts)[units]
        stretches = zip((ends - self.counts[units]).tolist(), ends.tolist(), strict=True)
        return kept.take(np.concatenate([np.arange(start, end) for start, end in stretches])).to(self.device)

    def in_order(self) -> Iterator[Held]:
        """All tokens once, unit after unit, in small parts."""
        kept = self._everything()
        if kept is None:
            yield from self._all()
            return
        for start in range(0, len(kept.gene), SLICE):
            yield kept.take(slice(start, start + SLICE)).to(self.device)

    def _everything(self) -> Held | None:
        """All tokens, in memory or on disk; None where they are read again each time."""
        if self._kept is None and (self.fits or self.on_disk):
            self._kept = self._gather(np.arange(len(self.counts)), self._all(), None if self.fits else self.disk)
        return self._kept

    def _all(self) -> Iterable[Held]:
        """The tokens of all units, made anew."""
        return self._passes(np.arange(len(self.counts))) if self.made is None else self.made(self)

    def _gather(self, units: Int[np.ndarray, " some"], parts: Iterable[Held], folder: Path | None = None) -> Held:
        """Filled in place, since joining parts would take twice the memory; on disk where a folder is given."""
        whole: Held | None = None
        filled, count = 0, int(self.counts[units].sum())
        for part in parts:
            if whole is None:
                x = tuple(_empty(t, count, folder) for t in part.x)
                times = None if part.times is None else _empty(part.times, count, folder)
                whole = Held(x, _empty(part.gene, count, folder), _empty(part.cell, count, folder), times)
            for place, new in zip(whole.tensors(), part.tensors(), strict=True):
                place[filled : filled + len(new)] = new
            filled += len(part.gene)
        assert whole is not None, "units are never empty"
        assert filled == count, "every token was counted"
        return whole

    @abstractmethod
    def _passes(self, units: Int[np.ndarray, " some"]) -> Iterator[Held]:
        """The tokens of some units, unit after unit, in small parts."""


def _empty(like: Tensor, count: int, folder: Path | None) -> Tensor:
    """Room for ``count`` rows like those of a tensor, beside it, or in a file that vanishes with the process."""
    shape = (count, *like.shape[1:])
    if folder is None:
        return like.new_empty(shape)
    with NamedTemporaryFile(dir=folder, prefix="tokens-") as file:
        size = math.prod(shape)
        file.truncate(size * like.element_size())
        return torch.from_file(file.name, shared=True, size=size, dtype=like.dtype).view(shape)


class CellTokens(TokenSource):
    """Tokens of a cell model's residual stream; a unit is a cell."""

    unit = "cells"

    def __init__(
        self,
        model: CellModel,
        adata: AnnData,
        layers: Sequence[int],
        policy: Policy = "present",
        memory: int = 1 << 31,
        batch_size: int = 32,
        folder: Path | None = None,
    ):
        """Count the tokens.

        Args:
            model: the cell model.
            adata: cells as ``read_cells`` returns them (raw counts), in memory or backed by a file.
            layers: blocks whose output is read, from 0.
            policy: which tokens, see ``features.tokens.token_policy``.
            memory: bytes that may be held at once.
            batch_size: cells per forward pass.
            folder: where tokens that take more are kept on disk; the model runs again for each part where none is
                given, or where its disk has no room.

        Raises:
            ModelError: a layer does not exist.
            InputError: there are no cells, or no tokens in them.
            CellsError: they are no counts any more.
            ConfigError: the policy does not go with the model.
        """
        super().__init__(memory, folder)
        self.layers = tuple(Site(layer, model.n_layers).layer for layer in layers)
        if not adata.n_obs:
            raise InputError("there are no cells to read residuals from; the AnnData has 0 rows")
        refuse_changed(adata)
        self.model, self.adata, self.batch_size = model, adata, whole_number(batch_size, "batch_size")
        self.policy = TokenPolicy(policy, model, adata)
        self.reading = Reading(model, adata, self.layers, self.policy, self.batch_size)
        self.bytes_per_token = 4 * model.d_model * len(self.layers) + BESIDES + 4 * (policy == "weighted")
        self.counts = np.zeros(adata.n_obs, dtype=np.int64)
        self.are_genes = True
        content = hashlib.sha256("\n".join([*adata.obs_names, "", *adata.var_names]).encode())
        for rows, part in self.reading.parts(np.arange(adata.n_obs)):
            for piece in _contents(part):
                content.update(piece)
            for batch in model.batches(part, batch_size):
                self.device = batch.values.device
                used = self.policy.used(batch, part)
                self.counts[rows[batch.cell.cpu().numpy()]] = used.sum(dim=1).cpu().numpy()
                self.are_genes &= bool((genes_of(batch)[used] >= 0).all())
                if batch.inputs is not None:  # such as an embedding, which the counts do not tell
                    content.update(batch.inputs.cpu().contiguous().numpy().tobytes())
        if not self.counts.any():
            raise InputError(f"no cell has a token that {policy!r} tokens could be taken from")
        self.identity = digest(
            [
                model.name, model.revision, weights_hash(model), reads_with(model), content.hexdigest(), self.layers,
                policy, batch_size,
            ]
        )  # fmt: skip

    def check_of(self, model: CellModel, adata: AnnData, layers: Sequence[int]) -> None:
        """Refuse to stand for tokens that these are not.

        Raises:
            ConfigError: they are of another model, other cells or other layers.
        """
        if self.model is not model or not self.adata.obs_names.equals(adata.obs_names):
            raise ConfigError("these tokens are of another model or of other cells; read them for those at hand")
        if missing := [layer for layer in layers if layer not in self.layers]:
            raise ConfigError(f"these tokens were read after blocks {list(self.layers)}; read them after {missing} too")

    def in_passes(self) -> Iterator[Held]:
        """All tokens once, as the model's forward passes made them: the same parts wherever they are kept."""
        kept = self._everything()
        if kept is None:
            yield from self._all()
            return
        for held in pass_by_pass(kept, self.counts, self.batch_size):
            yield held.to(self.device)

    def _passes(self, units: Int[np.ndarray, " some"]) -> Iterator[Held]:
        return self.reading.passes(units)


def pass_by_pass(held: Held, counts: Int[np.ndarray, " cell"], a_pass: int) -> Iterator[Held]:
    """The tokens of some cells, as many cells at a time as went through the model at once.

    Args:
        held: all their tokens.
        counts: of each cell.
        a_pass: cells of a forward pass.
    """
    starts = np.append(np.arange(0, len(counts), a_pass), len(counts))
    ends = np.append(0, np.cumsum(counts))[starts].tolist()
    for start, end in pairwise(ends):
        yield held.take(slice(start, end))


@dataclass(frozen=True, eq=False)
class Reading:
    """How the tokens of some cells are read; what it gives of a cell does not depend on the other cells asked for, as
    long as they begin where a forward pass does."""

    model: CellModel
    adata: AnnData
    layers: tuple[int, ...]
    policy: TokenPolicy
    batch_size: int
    """Cells per forward pass."""

    def parts(self, rows: Int[np.ndarray, " cell"]) -> Iterator[tuple[Int[np.ndarray, " some"], AnnData]]:
        """A thousand cells at a time: their rows, and themselves."""
        at_once = max(1, CELLS // self.batch_size) * self.batch_size
        for start in range(0, len(rows), at_once):
            some = rows[start : start + at_once]
            part = self.adata[some]
            yield some, part.to_memory() if self.adata.isbacked else part

    @torch.no_grad()
    def passes(self, rows: Int[np.ndarray, " cell"]) -> Iterator[Held]:
        """Their tokens, a forward pass at a time."""
        for some, part in self.parts(rows):
            for batch in self.model.batches(part, self.batch_size):
                used, times = self.policy.used(batch, part), self.policy.times(batch, part)
                row = torch.from_numpy(some).to(batch.cell.device)
                yield Held(
                    tuple(x[used] for x in residuals_at(self.model, batch, self.layers)),
                    genes_of(batch)[used].int(),
                    row[cells_of(batch)[used]].int(),
                    None if times is None else times[used].float(),
                )


def tokens_at(
    model: CellModel,
    adata: AnnData,
    layers: Sequence[int],
    batch_size: int = 32,
    shared: CellTokens | None = None,
) -> Iterator[Held]:
    """Every present token of some cells at some layers, pass by pass: read from a model, or from tokens that several
    steps share.

    Args:
        model: the cell model.
        adata: cells as ``read_cells`` returns them.
        layers: blocks whose output is read; ``x`` of what comes is in their order.
        batch_size: cells per forward pass; shared tokens have their own.
        shared: tokens of the same model and cells.

    Raises:
        ModelError: a layer does not exist.
        InputError: there are no cells.
        ConfigError: the shared tokens are of other cells, other layers, or not of all present tokens.
    """
    if shared is None:
        yield from (Held(*tokens) for tokens in present_tokens(model, adata, layers, batch_size))
        return
    shared.check_of(model, adata, layers)
    if shared.policy.kind != "present":
        raise ConfigError(f"these are {shared.policy.kind!r} tokens, but a measure takes all; read 'present' tokens")
    places = [shared.layers.index(layer) for layer in layers]
    for held in shared.in_passes():
        yield Held(tuple(held.x[place] for place in places), held.gene, held.cell)


def _contents(part: AnnData) -> Iterator[bytes]:
    """Counts and totals of some cells, the same bytes however their matrix is stored."""
    if part.X is not None:
        counts = sp.csr_matrix(part.X, dtype=np.float32, copy=True)
        counts.sum_duplicates()
        counts.eliminate_zeros()
        yield np.diff(counts.indptr).astype(np.int64).tobytes()
        yield counts.indices.astype(np.int64).tobytes()
        yield counts.data.tobytes()
    if "total_counts" in part.obs:
        yield np.asarray(part.obs["total_counts"], dtype=np.float64).tobytes()
