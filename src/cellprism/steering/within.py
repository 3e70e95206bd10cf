"""A block of code within which a model runs with an edit.

Notable choices

- What is replaced, on this one object and while the block lasts, are the methods through which everything here runs a
  model: ``residual``, ``residuals``, ``resume`` and ``resume_at``. What was there before comes back however the block
  ends, and blocks may lie in each other.
- A residual stream at the site or behind it is an edited one; ``resume`` from there goes on as it is given, from before
  the site it passes the edit. So ``resume(batch, layer, residual(batch, layer))`` is the edited model at every layer.
- To get from one block to another takes the ability ``types.RunsBetween``; without it, other layers than the site are
  refused within the block.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.errors import ConfigError, ModelError
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.edits import Change, FeatureEdit, feature_edit
from cellprism.steering.intervene import check_steerable
from cellprism.types import CellBatch, CellModel, CellOutput, Edit, RunsBetween


@contextmanager
def edited(
    model: CellModel,
    sae: SparseAutoencoder,
    layer: int,
    changes: Mapping[int, Change],
    *,
    genes: str | Sequence[str] | None = None,
    cells: Sequence[int] | np.ndarray | None = None,
    positions: str = "present",
    force: bool = False,
) -> Iterator[FeatureEdit]:
    """Within this block the model runs with some features changed, whoever calls it; gradients pass through.

    Args:
        model: any cell model.
        sae: autoencoder trained at this site.
        layer: block whose output is edited, from 0.
        changes: what is done to each feature; see ``edits.feature_edit``.
        genes: a gene or genes at whose tokens alone it is done.
        cells: cells in which alone it is done, by their numbers in the model's batches.
        positions: ``present`` or ``all``.
        force: use an autoencoder that was trained on another model, layer or order of genes.

    Raises:
        ModelError: as ``intervene.check_steerable``.
        ConfigError: as ``edits.feature_edit``; at the end of the block where the model ran, but on none of ``cells``.

    >>> import cellprism as cp
    >>> model = cp.load_model("pbmc2")
    >>> cells = cp.read_cells("bundled:pbmc68k", model=model)[:20].copy()
    >>> config = cp.SaeConfig(k=4, centring="group", epochs=1)
    >>> sae = cp.train_sae(model, cells, layer=1, config=config)
    >>> batch = next(model.batches(cells, 5))
    >>> with cp.edited(model, sae, 1, {3: cp.Add(2.0)}):
    ...     changed = model.residual(batch, 1)
    >>> bool((changed != model.residual(batch, 1)).any())
    True
    """
    check_steerable(model, sae, layer, force)
    edit = feature_edit(model, sae, changes, genes=genes, cells=cells, positions=positions)
    met = _Met(edit)
    with running_with(model, layer, met):
        yield edit
    met.check()


@contextmanager
def running_with(model: CellModel, layer: int, edit: Edit) -> Iterator[None]:
    """Within this block the residual stream after block ``layer`` of a model is an edited one."""
    own = vars(model)
    before = {name: own[name] for name in METHODS if name in own}
    ours = _Edited(model, layer, edit).methods()
    try:
        for name, method in ours.items():
            object.__setattr__(model, name, method)
        yield
    finally:
        for name in ours:
            if name in before:
                object.__setattr__(model, name, before[name])
            else:
                own.pop(name, None)


class _Met:
    """An edit that knows whether it has met any of the cells that it is for."""

    def __init__(self, edit: FeatureEdit):
        self.edit, self.met, self.last = edit, False, -1

    def __call__(self, x: Float[Tensor, "cell token d_model"], batch: CellBatch) -> Float[Tensor, "cell token d_model"]:
        """The edited residual stream."""
        wanted = self.edit.cells
        if wanted is not None and len(batch.cell):
            self.met = self.met or bool(torch.isin(batch.cell, wanted.to(batch.cell.device)).any())
            self.last = max(self.last, int(batch.cell.max()))
        return self.edit(x, batch)

    def check(self) -> None:
        """Refuse cells that no batch had.

        Raises:
            ConfigError: the model ran, and none of the cells was there.
        """
        if self.edit.cells is not None and self.last >= 0 and not self.met:
            asked = ", ".join(map(str, self.edit.cells[:5].tolist())) or "none"
            raise ConfigError(
                f"nothing was edited: of the cells asked for ({asked}) none was in a batch, whose cells went up to "
                f"number {self.last}; give cells by their row numbers, from 0"
            )


METHODS = ("residual", "residuals", "resume", "resume_at")


class _Edited:
    """The methods of a model that runs with an edit. What the model's own methods call of each other is not edited
    again."""

    def __init__(self, model: CellModel, layer: int, edit: Edit):
        self.name, self.layer, self.edit = model.name, layer, edit
        self.plain = {name: getattr(model, name) for name in METHODS if hasattr(model, name)}
        self.between = model.between if isinstance(model, RunsBetween) else None
        self.inside = False

    def methods(self) -> dict[str, Callable[..., Any]]:
        """By name; of the optional ones those that the model has."""
        ours = {
            "residual": self._residual, "residuals": self._residuals, "resume": self._resume,
            "resume_at": self._resume_at,
        }  # fmt: skip
        return {name: self._outermost(name, ours[name]) for name in self.plain}

    def _outermost(self, name: str, ours: Callable[..., Any]) -> Callable[..., Any]:
        def method(*args: Any, **named: Any) -> Any:
            if self.inside:
                return self.plain[name](*args, **named)
            self.inside = True
            try:
                return ours(*args, **named)
            finally:
                self.inside = False

        return method

    def _residual(self, batch: CellBatch, layer: int) -> Float[Tensor, "cell token d_model"]:
        if layer < self.layer:
            return self.plain["residual"](batch, layer)
        x = self.edit(self.plain["residual"](batch, self.layer), batch)
        return x if layer == self.layer else self._on(batch, self.layer, x, layer)

    def _residuals(self, batch: CellBatch, layers: Sequence[int]) -> list[Float[Tensor, "cell token d_model"]]:
        return [self._residual(batch, layer) for layer in layers]

    def _resume(self, batch: CellBatch, layer: int, x: Float[Tensor, "cell token d_model"]) -> CellOutput:
        return self.plain["resume"](batch, *self._from_site(batch, layer, x))

    def _resume_at(
        self, batch: CellBatch, layer: int, x: Float[Tensor, "cell token d_model"], tokens: Int[Tensor, " some"]
    ) -> CellOutput:
        return self.plain["resume_at"](batch, *self._from_site(batch, layer, x), tokens)

    def _from_site(self, batch: CellBatch, layer: int, x: Tensor) -> tuple[int, Tensor]:
        """Where the rest of the model starts, and from what."""
        if layer >= self.layer:
            return layer, x
        return self.layer, self.edit(self._on(batch, layer, x, self.layer), batch)

    def _on(self, batch: CellBatch, layer: int, x: Tensor, to: int) -> Tensor:
        if self.between is None:
            raise ModelError(
                f"{self.name!r} is edited after block {self.layer} and cannot run from one block to another, so within "
                f"the edit only that layer can be read, or gone on from; give it between(batch, layer, x, to) "
                "(cellprism.types.RunsBetween)"
            )
        return self.between(batch, layer, x, to)
