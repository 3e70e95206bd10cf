"""Changes of features as edits of a residual stream: multiplied, added to, taken out, or set to a value.

Notable choices

- Every edit adds what the change of the features' values adds to a token, so the autoencoder's reconstruction is not
  needed (``equations.steering``). A token at which nothing changes keeps its bits.
- A strength changes a feature where it fires and cannot switch it on; an added amount and a value that a feature is set
  to act at every token that is open, whether it fires there or not.
- Open are tokens of present genes, or all but padding, and of these those of the genes and cells that are asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cellprism.equations.steering import clamp_delta, feature_values, steering_delta
from cellprism.errors import ConfigError
from cellprism.features.collect import centring_of
from cellprism.features.tokens.residuals import genes_of
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.store.whole_number import feature_number
from cellprism.types import CellBatch, CellModel, SparseCode

POSITIONS = ("present", "all")


@dataclass(frozen=True)
class Add:
    """Raise a feature's value by an amount, in units of its values, wherever it is open.

    >>> import cellprism as cp
    >>> cp.Add(2.0)
    Add(amount=2.0)
    """

    amount: float


@dataclass(frozen=True)
class Clamp:
    """Set a feature to a value wherever it is open; 0 takes it out.

    >>> import cellprism as cp
    >>> {12: cp.Clamp(0.5)}
    {12: Clamp(value=0.5)}
    """

    value: float


@dataclass(frozen=True)
class Ablate:
    """Take a feature out: the strength 0.

    >>> import cellprism as cp
    >>> {12: cp.Ablate(), 7: 5.0}
    {12: Ablate(), 7: 5.0}
    """


Change = float | Add | Clamp | Ablate
"""What is done to a feature; a number is a strength alpha, by which its values are multiplied."""


@dataclass(frozen=True, eq=False)
class FeatureEdit:
    """Some changed features as an edit of the residual stream: a ``types.Edit``."""

    sae: SparseAutoencoder
    strengths: Float[Tensor, " feature"]
    """1 for features that are not multiplied."""
    added: Float[Tensor, " d_model"] | None
    """What all amounts together add to a token; None where they add nothing."""
    clamped: Int[Tensor, " some"]
    """Features that are set to a value."""
    clamp: Float[Tensor, " some"]
    """These values."""
    positions: str = "present"
    genes: Int[Tensor, " gene"] | None = None
    """Genes whose tokens are open; None: all."""
    cells: Int[Tensor, " cell"] | None = None
    """Cells that are open, by their numbers in batches; None: all."""

    def __call__(self, x: Float[Tensor, "cell token d_model"], batch: CellBatch) -> Float[Tensor, "cell token d_model"]:
        """The edited residual stream, read by the autoencoder at the tokens that are open; ``x`` itself where nothing
        changes."""
        mask = self.mask(x, batch)
        needs_code = bool((self.strengths != 1).any()) or len(self.clamped) > 0
        code = encode_tokens(self.sae, x, batch, mask) if needs_code else _empty_code(x, self.sae.n_features)
        return self.changed(x, code, mask)

    def mask(self, x: Float[Tensor, "cell token d_model"], batch: CellBatch) -> Bool[Tensor, "cell token"]:
        """Tokens that are open."""
        mask = open_tokens(batch, self.positions, x)
        if self.genes is not None:
            mask = mask & torch.isin(genes_of(batch), self.genes.to(mask.device))
        if self.cells is not None:
            mask = mask & torch.isin(batch.cell, self.cells.to(mask.device))[:, None]
        return mask

    def changed(
        self, x: Float[Tensor, "cell token d_model"], code: SparseCode, mask: Bool[Tensor, "cell token"]
    ) -> Float[Tensor, "cell token d_model"]:
        """The edited residual stream from its code, which has its rows cell after cell."""
        rows = mask.reshape(-1).nonzero()[:, 0]
        part = SparseCode(code.values[rows], code.features[rows], code.n_features)
        moves = ((self.strengths[part.features] != 1) & (part.values != 0)).any(dim=1)
        if self.added is not None:
            moves = torch.ones_like(moves)
        if len(self.clamped):
            moves = moves | (feature_values(part, self.clamped) != self.clamp).any(dim=1)
        if not bool(moves.any()):
            return x
        rows, part = rows[moves], SparseCode(part.values[moves], part.features[moves], part.n_features)
        delta = steering_delta(part, self.strengths, self.sae.W_dec)
        if self.added is not None:
            delta = delta + self.added
        if len(self.clamped):
            delta = delta + clamp_delta(part, self.clamped, self.clamp, self.sae.W_dec)
        flat = x.reshape(-1, x.shape[-1])
        return flat.index_put((rows,), flat[rows] + delta.to(x.dtype)).view_as(x)


def feature_edit(
    model: CellModel,
    sae: SparseAutoencoder,
    changes: Mapping[int, Change],
    *,
    genes: str | Sequence[str] | None = None,
    cells: Sequence[int] | np.ndarray | None = None,
    positions: str = "present",
) -> FeatureEdit:
    """An edit that changes some features of an autoencoder.

    Args:
        model: the cell model whose residual stream is edited.
        sae: autoencoder of the site.
        changes: what is done to each feature: a number multiplies its values (1 is neutral, 0 takes it out, negative
            turns it around), ``Add`` raises them, ``Clamp`` sets them, ``Ablate`` takes them out.
        genes: a gene or genes at whose tokens alone it is done; all by default.
        cells: cells in which alone it is done: their row numbers, or one true or false a cell; all by default.
        positions: ``present`` edits tokens of measured genes only, ``all`` every token but padding.

    Raises:
        ConfigError: no such feature, gene or kind of positions; an amount that is no finite number; genes of a model
            that reads a cell as a whole.
    """
    if positions not in POSITIONS:
        raise ConfigError(f"positions is {positions!r}; expected one of {list(POSITIONS)}")
    if not isinstance(changes, Mapping):
        raise ConfigError(f"changes are a {type(changes).__name__}; give what is done to each feature, as {{12: 5.0}}")
    strengths: dict[int, float] = {}
    amounts: dict[int, float] = {}
    clamps: dict[int, float] = {}
    for feature, change in changes.items():
        if isinstance(change, Add):
            amounts[feature] = change.amount
        elif isinstance(change, Clamp):
            clamps[feature] = change.value
        else:
            strengths[feature] = 0.0 if isinstance(change, Ablate) else change
    vector = strength_vector(sae, strengths)
    added = strength_vector(sae, amounts, "amount", 0.0) if any(amounts.values()) else None
    strength_vector(sae, {**amounts, **clamps}, "value")
    device = sae.W_dec.device
    return FeatureEdit(
        sae, vector,
        None if added is None else added @ sae.W_dec.detach(),
        torch.tensor(list(clamps), dtype=torch.long, device=device),
        torch.tensor(list(clamps.values()), dtype=sae.W_dec.dtype, device=device),
        positions, None if genes is None else _gene_numbers(model, genes), None if cells is None else _numbers(cells),
    )  # fmt: skip


def strength_vector(
    sae: SparseAutoencoder, strengths: Mapping[int, float], what: str = "strength", neutral: float = 1.0
) -> Float[Tensor, " feature"]:
    """Strengths of all features, ``neutral`` where ``strengths`` says nothing.

    Raises:
        ConfigError: a feature that the autoencoder does not have, or a strength that is no finite number.
    """
    vector = torch.full((sae.n_features,), neutral, dtype=sae.W_dec.dtype, device=sae.W_dec.device)
    for feature, strength in strengths.items():
        number = feature_number(feature, sae.n_features)
        if isinstance(strength, str) or not np.isfinite(strength):
            raise ConfigError(
                f"feature {feature} has {what} {strength!r}; give a finite number, {neutral:g} for no change"
            )
        vector[number] = strength
    return vector


def open_tokens(batch: CellBatch, positions: str, x: Float[Tensor, "cell token d_model"]) -> Bool[Tensor, "cell token"]:
    """Tokens that may be edited; padding, which has a residual of 0, never may.

    Raises:
        ConfigError: ``positions`` is neither ``present`` nor ``all``.
    """
    if positions not in POSITIONS:
        raise ConfigError(f"positions is {positions!r}; expected one of {list(POSITIONS)}")
    return batch.present if positions == "present" else batch.present | (x != 0).any(dim=-1)


def encode_site(
    sae: SparseAutoencoder,
    x: Float[Tensor, "cell token d_model"],
    batch: CellBatch,
    positions: str = "present",
) -> SparseCode:
    """Sparse code of every token of a batch, cells one after the other; values are 0 at tokens that may not
    be edited.

    Raises:
        ConfigError: an autoencoder centred per gene is asked to read a token that is no gene.
    """
    return encode_tokens(sae, x, batch, open_tokens(batch, positions, x))


def encode_tokens(
    sae: SparseAutoencoder,
    x: Float[Tensor, "cell token d_model"],
    batch: CellBatch,
    mask: Bool[Tensor, "cell token"],
) -> SparseCode:
    """``encode_site`` of the tokens of a mask."""
    chosen = mask.reshape(-1)
    gene = genes_of(batch).reshape(-1)[chosen]
    if centring_of(sae) == "group" and (gene < 0).any():
        raise ConfigError(
            "this autoencoder is centred per gene and cannot read tokens that are no gene; use positions='present'"
        )
    part = sae.encode(x.reshape(-1, x.shape[-1])[chosen], gene if sae.centre is not None else None)
    k = part.values.shape[1]
    values = part.values.new_zeros(chosen.numel(), k)
    features = part.features.new_zeros(chosen.numel(), k)
    values[chosen], features[chosen] = part.values, part.features
    return SparseCode(values, features, part.n_features)


def _empty_code(x: Float[Tensor, "cell token d_model"], n_features: int) -> SparseCode:
    """Nothing fires."""
    tokens = x.shape[0] * x.shape[1]
    return SparseCode(x.new_zeros(tokens, 1), torch.zeros(tokens, 1, dtype=torch.long, device=x.device), n_features)


def _gene_numbers(model: CellModel, genes: str | Sequence[str]) -> Int[Tensor, " gene"]:
    names = [genes] if isinstance(genes, str) else list(genes)
    if model.tokens == "cells":
        raise ConfigError(f"{model.name!r} reads a cell as a whole and has no token of a gene; leave genes out")
    known = {name: number for number, name in enumerate(model.genes)}
    missing = [name for name in names if name not in known]
    if missing or not names:
        said = f"{', '.join(map(repr, missing[:5]))} not among the model's genes" if missing else "no gene is named"
        raise ConfigError(f"genes to edit at: {said}; give genes by the model's own names, as in model.genes")
    return torch.tensor([known[name] for name in names])


def _numbers(cells: Sequence[int] | np.ndarray) -> Int[Tensor, " cell"]:
    found = np.asarray(cells)
    if found.dtype == bool:
        return torch.from_numpy(np.flatnonzero(found))
    if not np.issubdtype(found.dtype, np.integer) or found.ndim != 1:
        raise ConfigError("cells to edit are given by row numbers, or by one true or false a cell")
    return torch.from_numpy(found.astype(np.int64))
