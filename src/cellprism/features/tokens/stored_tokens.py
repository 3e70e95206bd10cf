"""Residuals on disk: written once in bfloat16, cells mixed, and trained from as often as wanted.

A store is a folder of ``shard-00000.safetensors``, ... and ``index.json``. A shard holds the tokens of a random part of
the cells in random order: ``L<layer>`` [token d_model] bfloat16, ``gene`` and ``cell`` int32.

Notable choices

- A shard is a window of the first epoch (see ``features.tokens.mixed_batches``) of half the size that memory allows,
  so that there is room for what is being written.
- It is in the index, with its hash, only when it is on disk. A writer that was killed goes on after its last shard.
- Of processes that train together each writes its share of the shards, so that the model runs once for all of them; the
  first one keeps the index, and the others leave the entries of theirs beside their shards until it takes them in.
- Any stretch of a shard is a random mix of its cells. Readers take stretches of ``STRETCH`` tokens from all shards in a
  new random order every epoch and mix them again: long reads, and batches that are mixed across all shards.
- Shards are mapped into memory while a window is read from them, and no longer.
- With tokens drawn by value (``weighted``), the store holds one draw, the same in every epoch.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cellprism.errors import CellprismError, DamagedError, RunError
from cellprism.features.tokens.cell_tokens import BESIDES, SLICE, Held, TokenSource
from cellprism.features.tokens.mixed_batches import mixed, windows
from cellprism.sae.distributed import anywhere, is_first, processes, rank
from cellprism.store.atomic import read_json, replacing, sha256, write_json
from cellprism.store.inside import is_inside
from cellprism.store.run import Run, digest

INDEX = "index.json"
STRETCH = 256  # tokens of a shard that are read together


def store_identity(source: TokenSource, seed: int) -> str:
    """Hash of everything that decides what a store of this source holds."""
    return digest([source.identity, seed, "bfloat16"])


def write_store(source: TokenSource, folder: Path, seed: int = 0) -> None:
    """Write all tokens of a source, or the rest of them where writing was interrupted.

    All processes that train together call it.

    Args:
        source: the tokens.
        folder: where the store is, or will be.
        seed: decides which cells share a shard, and the order in it.

    Raises:
        RunError: the folder holds the store of something else, was begun with another memory setting, is being
            written by another process, or the disk has not enough room for it.
        CellprismError: a shard could not be written; those before it stay.
        DamagedError: the index cannot be read.
    """
    plan = windows(source, seed, 0, source.capacity // 2)
    if not is_first():
        anywhere(False)  # until the index is there
        index = _index(folder, store_identity(source, seed))
        for number, units in _own(_missing(index, folder, plan)):
            write_json(folder / _entry(number), _shard(source, folder, seed, number, units))
        anywhere(False)  # until all shards are
        return
    with Run(folder).locked():
        index = _begun(source, folder, seed, len(plan))
        _take_in(index, folder)
        missing = _missing(index, folder, plan)
        _check_room(source, folder, [units for _, units in missing])
        if processes() > 1:
            write_json(folder / INDEX, index)
            anywhere(False)
        for number, units in _own(missing):
            index["shards"][_name(number)] = _shard(source, folder, seed, number, units)
            write_json(folder / INDEX, index)
        if processes() > 1:
            anywhere(False)
            _take_in(index, folder)


def _own(missing: list[tuple[int, Int[np.ndarray, " _"]]]) -> list[tuple[int, Int[np.ndarray, " _"]]]:
    """This process' share, by number: the index may be a shard ahead when others read it."""
    return [(number, units) for number, units in missing if number % processes() == rank()]


def _missing(
    index: dict[str, Any], folder: Path, plan: Sequence[Int[np.ndarray, " _"]]
) -> list[tuple[int, Int[np.ndarray, " _"]]]:
    """Shards that are not there, with their units."""
    return [
        (number, units)
        for number, units in enumerate(plan)
        if not (_name(number) in index["shards"] and (folder / _name(number)).is_file())
    ]


def _shard(source: TokenSource, folder: Path, seed: int, number: int, units: Int[np.ndarray, " _"]) -> dict[str, Any]:
    """Read and write one shard; returns its entry in the index."""
    held = source.read(units)
    order = torch.from_numpy(mixed(held, seed, 0, number))
    return _write(held, order, source.layers, folder / _name(number))


def _take_in(index: dict[str, Any], folder: Path) -> None:
    """Move the entries that other processes left into the index."""
    left = [(number, folder / _entry(number)) for number in range(index["planned"])]
    found = {_name(number): path for number, path in left if path.is_file()}
    if not found:
        return
    others = {name: read_json(path) for name, path in found.items()}
    index["shards"] = dict(sorted({**index["shards"], **others}.items()))
    write_json(folder / INDEX, index)
    for path in found.values():
        path.unlink()


def _entry(number: int) -> str:
    return f"shard-{number:05}.json"


def _name(number: int) -> str:
    return f"shard-{number:05}.safetensors"


def _begun(source: TokenSource, folder: Path, seed: int, planned: int) -> dict[str, Any]:
    """The index as it is, if it is that of this source; a new one where there is none."""
    fresh = {
        "identity": store_identity(source, seed),
        "layers": list(source.layers),
        "tokens_are_genes": source.are_genes,
        "planned": planned,
        "shards": {},
    }
    if not (folder / INDEX).is_file():
        return fresh
    index = _index(folder, fresh["identity"])
    if len(index["shards"]) < index["planned"] != planned:
        raise RunError(
            f"{folder} was begun with another memory setting ({index['planned']} shards planned, now {planned}); "
            f"set memory as it was, or remove {folder} to write it anew"
        )
    return index


def _index(folder: Path, identity: str) -> dict[str, Any]:
    index = read_json(folder / INDEX)
    known = isinstance(index, dict) and {"identity", "layers", "planned", "shards"} <= set(index)
    if not known or not isinstance(index["shards"], dict) or not all(map(is_inside, index["shards"])):
        raise DamagedError(f"{folder / INDEX} is not the index of a store; remove {folder} to write it anew")
    if index["identity"] != identity:
        raise RunError(
            f"{folder} holds residuals of another model, other layers, cells, token policy or seed; choose another "
            "--out, or remove that folder"
        )
    return index


def _check_room(source: TokenSource, folder: Path, missing: Sequence[Int[np.ndarray, " _"]]) -> None:
    width = source.bytes_per_token // 2  # vectors take half of what they take in memory
    needed = width * sum(int(source.counts[units].sum()) for units in missing)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise RunError(
            f"the residuals take {needed / 1e9:.1f} GB more in {folder}, where {free / 1e9:.1f} GB are free; make "
            "room, choose another --out, or set store = false to run the model again in every epoch"
        )


def _write(held: Held, order: Int[Tensor, " token"], layers: Sequence[int], path: Path) -> dict[str, Any]:
    """One shard; returns its entry in the index."""
    tensors = {name: t.cpu()[order] for name, t in (("gene", held.gene), ("cell", held.cell))}
    for layer, x in zip(layers, held.x, strict=True):
        tensors[f"L{layer}"] = torch.empty(len(order), x.shape[1], dtype=torch.bfloat16)
        for place, rows in zip(tensors[f"L{layer}"].split(SLICE), order.split(SLICE), strict=True):
            place.copy_(x[rows.to(x.device)])
    with replacing(path) as scratch:
        try:
            save_file(tensors, scratch)
        except SafetensorError as error:
            raise CellprismError(
                f"{path} could not be written ({error}); the shards before it are kept: make room and run the same "
                "command again, or set store = false"
            ) from error
        entry = {"tokens": len(order), "cells": len(tensors["cell"].unique()), "sha256": sha256(scratch)}
    return entry


class StoredTokens(TokenSource):
    """Tokens of a store; a unit is a stretch of a shard."""

    unit = "stretches of a store"

    def __init__(self, folder: Path, identity: str, memory: int = 1 << 31):
        """Check every shard's hash.

        Args:
            folder: a finished store.
            identity: what it must hold, see ``store_identity``.
            memory: bytes that may be held at once.

        Raises:
            RunError: the store is missing, unfinished, or holds something else.
            DamagedError: a shard is missing or altered.
        """
        super().__init__(memory)
        if not (folder / INDEX).is_file():
            raise RunError(f"{folder} is not a store of residuals: it has no {INDEX}")
        index = _index(folder, identity)
        names = sorted(index["shards"])
        if len(names) < index["planned"]:
            raise RunError(
                f"{folder} has {len(names)} of {index['planned']} shards: writing was interrupted; run the command "
                "that wrote it again"
            )
        for name in names:
            path = folder / name
            if not path.is_file() or sha256(path) != index["shards"][name]["sha256"]:
                raise DamagedError(f"{path} is missing or altered; remove it and run again: it is written anew")
        self.folder, self.identity = folder, identity
        self.layers, self.are_genes = tuple(index["layers"]), index["tokens_are_genes"]
        tokens = np.array([index["shards"][name]["tokens"] for name in names])
        starts = [np.arange(0, n, STRETCH) for n in tokens]
        self._shard = np.repeat(names, [len(s) for s in starts])
        self._start = np.concatenate(starts)
        self.counts = np.minimum(STRETCH, np.repeat(tokens, [len(s) for s in starts]) - self._start)
        with safe_open(folder / names[0], framework="pt") as shard:
            d_model = shard.get_slice(f"L{self.layers[0]}").get_shape()[1]
        self.bytes_per_token = 2 * d_model * len(self.layers) + BESIDES

    def _passes(self, units: Int[np.ndarray, " some"]) -> Iterator[Held]:
        for name in np.unique(self._shard[units]):
            with safe_open(self.folder / name, framework="pt") as shard:
                parts = [shard.get_slice(key) for key in (*(f"L{layer}" for layer in self.layers), "gene", "cell")]
                for unit in units[self._shard[units] == name]:
                    start = int(self._start[unit])
                    *x, gene, cell = (part[start : start + int(self.counts[unit])] for part in parts)
                    yield Held(tuple(x), gene, cell)
