"""Tokens that can be read in any order, a part at a time: what training draws its batches from.

Notable choices

- How many tokens a cell has is counted beforehand, without running the network, so that every later step knows where
  it is.
- Where all tokens fit into the memory given, the model runs once and they are kept; else it runs again for each part.
- A part is read cell by cell in the order of the AnnData, and always in the same forward passes. The same cells give
  the same bits whenever they are read, on one machine with one number of threads.
- Cells are taken from the AnnData a thousand at a time: it may be dense, or backed by a file, and neither is turned
  into something larger.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from anndata import AnnData
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.errors import InputError
from cellprism.features.policy import Policy, TokenPolicy
from cellprism.features.tokens import cells_of, genes_of, residuals_at
from cellprism.store.run import digest
from cellprism.types import CellBatch, CellModel, HasWeights, Site

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

    def __init__(self, memory: int):
        self.memory = memory
        self._kept: Held | None = None

    @property
    def capacity(self) -> int:
        """Tokens that fit into memory."""
        return self.memory // self.bytes_per_token

    @property
    def fits(self) -> bool:
        """Whether all tokens do."""
        return int(self.counts.sum()) <= self.capacity

    def read(self, units: Int[np.ndarray, " some"]) -> Held:
        """All tokens of some units, given in ascending order."""
        if not self.fits:
            return self._gather(units)
        if self._kept is None:
            self._kept = self._gather(np.arange(len(self.counts)))
        if len(units) == len(self.counts):
            return self._kept
        ends = np.cumsum(self.counts)[units]
        stretches = zip((ends - self.counts[units]).tolist(), ends.tolist(), strict=True)
        return self._kept.take(np.concatenate([np.arange(start, end) for start, end in stretches]))

    def in_order(self) -> Iterator[Held]:
        """All tokens once, unit after unit, in small parts."""
        everything = np.arange(len(self.counts))
        if not self.fits:
            yield from self._passes(everything)
            return
        kept = self.read(everything)
        for start in range(0, len(kept.gene), SLICE):
            yield kept.take(slice(start, start + SLICE))

    def _gather(self, units: Int[np.ndarray, " some"]) -> Held:
        """Filled in place, since joining parts would take twice the memory."""
        whole: Held | None = None
        filled, count = 0, int(self.counts[units].sum())
        for part in self._passes(units):
            if whole is None:
                x = tuple(t.new_empty(count, t.shape[1]) for t in part.x)
                times = None if part.times is None else part.times.new_empty(count)
                whole = Held(x, part.gene.new_empty(count), part.cell.new_empty(count), times)
            for place, new in zip(whole.tensors(), part.tensors(), strict=True):
                place[filled : filled + len(new)] = new
            filled += len(part.gene)
        assert whole is not None, "units are never empty"
        assert filled == count, "every token was counted"
        return whole

    @abstractmethod
    def _passes(self, units: Int[np.ndarray, " some"]) -> Iterator[Held]:
        """The tokens of some units, unit after unit, in small parts."""


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
    ):
        """Count the tokens.

        Args:
            model: the cell model.
            adata: cells as ``read_cells`` returns them (raw counts), in memory or backed by a file.
            layers: blocks whose output is read, from 0.
            policy: which tokens, see ``features.policy``.
            memory: bytes that may be held at once.
            batch_size: cells per forward pass.

        Raises:
            ModelError: a layer does not exist.
            InputError: there are no cells, or no tokens in them.
            ConfigError: the policy does not go with the model.
        """
        super().__init__(memory)
        self.layers = tuple(Site(layer, model.n_layers).layer for layer in layers)
        if not adata.n_obs:
            raise InputError("there are no cells to read residuals from; the AnnData has 0 rows")
        self.model, self.adata, self.batch_size = model, adata, batch_size
        self.policy = TokenPolicy(policy, model, adata)
        self.bytes_per_token = 4 * model.d_model * len(self.layers) + BESIDES + 4 * (policy == "weighted")
        self.counts = np.zeros(adata.n_obs, dtype=np.int64)
        self.are_genes = True
        content = hashlib.sha256("\n".join([*adata.obs_names, "", *adata.var_names]).encode())
        for rows, part in self._parts(np.arange(adata.n_obs)):
            for piece in _contents(part):
                content.update(piece)
            for batch in model.batches(part, batch_size):
                used = self.policy.used(batch, part)
                self.counts[rows[batch.cell.cpu().numpy()]] = used.sum(dim=1).cpu().numpy()
                self.are_genes &= bool((genes_of(batch)[used] >= 0).all())
                if batch.inputs is not None:  # such as an embedding, which the counts do not tell
                    content.update(batch.inputs.cpu().contiguous().numpy().tobytes())
        if not self.counts.any():
            raise InputError(f"no cell has a token that {policy!r} tokens could be taken from")
        self.identity = digest(
            [model.name, model.revision, _weights(model), content.hexdigest(), self.layers, policy, batch_size]
        )

    def _parts(self, rows: Int[np.ndarray, " cell"]) -> Iterator[tuple[Int[np.ndarray, " some"], AnnData]]:
        """A thousand cells at a time: their rows, and themselves."""
        at_once = max(1, CELLS // self.batch_size) * self.batch_size
        for start in range(0, len(rows), at_once):
            some = rows[start : start + at_once]
            part = self.adata[some]
            yield some, part.to_memory() if self.adata.isbacked else part

    @torch.no_grad()
    def _passes(self, units: Int[np.ndarray, " some"]) -> Iterator[Held]:
        for rows, part in self._parts(units):
            for batch in self.model.batches(part, self.batch_size):
                yield self._held(batch, part, rows)

    def _held(self, batch: CellBatch, part: AnnData, rows: Int[np.ndarray, " some"]) -> Held:
        used, times = self.policy.used(batch, part), self.policy.times(batch, part)
        row = torch.from_numpy(rows).to(batch.cell.device)
        return Held(
            tuple(x[used] for x in residuals_at(self.model, batch, self.layers)),
            genes_of(batch)[used].int(),
            row[cells_of(batch)[used]].int(),
            None if times is None else times[used].float(),
        )


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


def _weights(model: CellModel) -> str:
    """Hash of a network's weights; '' for models that are none, which name and revision must tell apart."""
    content = hashlib.sha256()
    if not isinstance(model, HasWeights):
        return ""
    for name, value in model.state_dict().items():
        content.update(name.encode())
        content.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return content.hexdigest()
