"""The run's model, steered for a page that cannot run it: a cell and strengths in, what the model says then out.

- Any family and size that ``cellprism steer`` takes. Cells are read as the study ``steer`` reads them; the state of the
  last cell at the site is kept, so that a further strength costs only the blocks behind it.
- Type and place on the map are read in the page, as for small models, from as many reference cells as are embedded
  within ``PATIENCE`` seconds.
"""

import secrets
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.atlas.cell_map import CellMap
from cellprism.atlas.live import REFERENCE, chosen_rows, readout, reference_places, some_cells
from cellprism.atlas.shards import SiteWriter, packed
from cellprism.errors import ConfigError
from cellprism.steering.edits import feature_edit
from cellprism.steering.intervene import SiteCells, check_steerable, read_site
from cellprism.steering.reading import FOLDS, Passes, reads_at
from cellprism.studies.files import read_h5ad
from cellprism.studies.programs.tables import CELLS
from cellprism.studies.workbench import Workbench

PATIENCE = 60.0  # seconds in which reference cells are read
MOST = 1000  # features in one question


@dataclass(frozen=True)
class Question:
    """What a page asks: a cell by its number among those offered, strengths, and the number of a random direction."""

    cell: int
    strengths: dict[int, float]
    control: int

    @classmethod
    def of(cls, asked: Any) -> "Question":
        """From JSON.

        Raises:
            ConfigError: it is something else.
        """
        try:
            pairs = asked["strengths"]
            found = cls(int(asked["cell"]), {int(f): float(v) for f, v in pairs}, int(asked.get("control", 0)))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ConfigError(f"expected a cell, strengths and a control, found something else ({error})") from error
        if len(found.strengths) > MOST:
            raise ConfigError(f"{len(found.strengths):,} features are turned at once; expected at most {MOST:,}")
        return found


class Steering:
    """A model and an autoencoder, ready to steer some cells of a run; one question at a time.

    Args:
        bench: the run.

    Raises:
        ModelError, ConfigError: the model cannot be steered, or is not here.
    """

    def __init__(self, bench: Workbench):
        self.bench, self.token = bench, secrets.token_urlsafe(24)
        check_steerable(bench.model, bench.sae, bench.config.layer)
        self.read = reads_at(bench.model, bench.settings("steer").doses.read)
        self.rows = some_cells(bench.cells)
        self._held: tuple[int, SiteCells, Passes] | None = None

    def write(self, site: SiteWriter, places: CellMap) -> None:
        """Write the shard ``live/model``: what the page must know of a model that it asks instead of running it."""
        reference, embedding = self.references()
        at = reference_places(self.bench.cells, reference, places)
        first, passes = self.at_site(0)
        said = passes.said(self.bench.model, self._resumed(first), self.bench.cells.var_names)
        site.shard("live/model", {
            "asked": True, "config": {"d": int(said.embedding.shape[1])}, "tokens": int(first.x.shape[1]),
            "genes": [str(name) for name in self.bench.cells.var_names[: said.values.shape[1]]],
            "read": self.read, "folds": FOLDS if self.read == "hidden" else 1,
            "sae": {"features": self.bench.sae.n_features}, "cells": chosen_rows(self.bench.cells, self.rows),
            "fires": packed(self.strongest()), **readout(reference, embedding, at),
        })  # fmt: skip

    def strongest(self) -> Int[np.ndarray, "cell feature"]:
        """How strongly each feature fires in the cells that are offered, in steps of its largest value there."""
        held = read_h5ad(self.bench.folder_of("programs") / CELLS)
        some = held[list(self.bench.cells.obs_names[self.rows])].to_df().to_numpy()
        return np.round(some / np.maximum(some.max(axis=0), 1e-12) * 65535).astype(np.uint16)

    @torch.no_grad()
    def references(self) -> tuple[AnnData, Float[np.ndarray, "cell d_model"]]:
        """Reference cells and their unsteered embeddings: as many as there is patience for."""
        bench, began, found = self.bench, time.monotonic(), []
        cells = bench.some_cells(REFERENCE)
        for site, passes in read_site(bench.model, bench.sae, cells, bench.config.layer, 16, "present", self.read):
            said = passes.said(bench.model, self._resumed(site), cells.var_names)
            found.append(said.embedding.float().cpu().numpy())
            if time.monotonic() - began > PATIENCE:
                break
        embedding = np.concatenate(found)
        return cells[: len(embedding)].copy(), embedding

    @torch.no_grad()
    def at_site(self, cell: int) -> tuple[SiteCells, Passes]:
        """State and code of one of the cells at the site, read once.

        Raises:
            ConfigError: there is no such cell.
        """
        if not 0 <= cell < len(self.rows):
            raise ConfigError(f"there is no cell {cell}; cells here are numbered from 0 to {len(self.rows) - 1}")
        if self._held is None or self._held[0] != cell:
            bench, row = self.bench, int(self.rows[cell])
            cells = bench.cells[[row]].copy()
            read = read_site(bench.model, bench.sae, cells, bench.config.layer, FOLDS, "present", self.read)
            self._held = (cell, *next(iter(read)))
        return self._held[1], self._held[2]

    def asked(self, question: Any) -> dict[str, Any]:
        """The answer to a question of the page.

        Raises:
            ConfigError: it is none.
        """
        return self.answer(Question.of(question))

    @torch.no_grad()
    def answer(self, question: Question) -> dict[str, Any]:
        """What the model says of a cell when features have these strengths, and where each feature fires in it.

        Raises:
            ConfigError: no such cell or feature, or a strength that is no finite number.
        """
        bench = self.bench
        site, passes = self.at_site(question.cell)
        edit = feature_edit(bench.model, bench.sae, question.strengths)
        changed = edit.changed(site.x, site.code, edit.mask(site.x, site.batch))
        change = changed - site.x
        size = change.norm(dim=-1, keepdim=True)
        if question.control:
            changed = site.x + size * direction(site.x, question.control)
        said = passes.said(bench.model, self._resumed(site, changed), bench.cells.var_names)
        fires = site.code.values != 0
        feature, strength = site.code.features[fires], site.code.values[fires]
        return {
            "expression": _plain(said.values[0]), "embedding": _plain(said.embedding[0]),
            "edit": float(size.square().sum()), "touched": int((size > 0).sum()),
            "residual": float((site.x * site.batch.present[..., None]).square().sum()),
            "fires": _counted(feature, strength),
        }  # fmt: skip

    def _resumed(self, site: SiteCells, x: Tensor | None = None) -> Any:
        return self.bench.model.resume(site.batch, self.bench.config.layer, site.x if x is None else x)


def direction(like: Tensor, number: int) -> Float[Tensor, " d_model"]:
    """A direction at random, of length 1; the same for the same number."""
    found = np.random.default_rng([number, 109]).standard_normal(like.shape[-1])
    return torch.from_numpy(found / np.linalg.norm(found)).to(like)


def _counted(feature: Tensor, strength: Tensor) -> list[list[float]]:
    """Feature, tokens at which it fires, and how strongly in all."""
    numbers, place, count = feature.unique(return_inverse=True, return_counts=True)
    total = torch.zeros(len(numbers), dtype=torch.float64).index_add(0, place.cpu(), strength.double().cpu())
    return [[int(f), int(n), float(v)] for f, n, v in zip(numbers, count, total, strict=True)]


def _plain(values: Tensor) -> list[float | None]:
    return [v if np.isfinite(v) else None for v in values.float().cpu().tolist()]
