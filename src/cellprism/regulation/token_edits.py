"""Features turned up and down at the token of one gene, and what is predicted of all others.

Notable choices

- Every feature that fires at the token is turned, together: multiplied, x + (alpha - 1) sum_f z_f w_f, or added, x + s
  u with u the unit vector of sum_f w_f over the features that fire. Both ways, and half of up minus down is read.
- No other token is edited. What moves a gene came from the edited token through the blocks behind the site; behind the
  last block tokens no longer see each other, and there is nothing to read.
- Genes are read where the model was trained: all in one pass that shows everything, or each in the pass that hides its
  part; genes hidden in the pass that shows the edited token alone have no value there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from cellprism.regulation.probes import Probe, Step, said_at
from cellprism.types import CellBatch, HidesGenes, SparseCode

MULTIPLIED, ADDED = "features multiplied", "features added"
EDITS = (MULTIPLIED, ADDED)
Encode = Callable[[Tensor, CellBatch], SparseCode]
"""Sparse code of every token of some residuals, cells one after the other."""


def lacks_edits(n_layers: int, layer: int) -> str:
    """Why an edit of one token moves no other; empty where it does."""
    if layer >= n_layers - 1:
        return f"features were learned behind the last block ({layer}), where tokens no longer see each other"
    return ""


@dataclass(frozen=True)
class Features:
    """The features of a site."""

    layer: int
    encode: Encode
    W_dec: Float[Tensor, "feature d_model"]


@dataclass(frozen=True)
class EditSite:
    """The probe's cells read up to the site, in a pass that shows some of the genes."""

    batch: CellBatch
    x: Float[Tensor, "cell token d_model"]
    scaled: Float[Tensor, "cell token d_model"]
    """sum_f z_f w_f at each token."""
    unit: Float[Tensor, "cell token d_model"]
    """Unit vector of sum_f w_f over the features that fire; 0 where none does."""


@torch.no_grad()
def read_site(probe: Probe, features: Features, hidden: Int[np.ndarray, " some"]) -> EditSite:
    """The probe's cells at the site, the reads ``hidden`` masked."""
    batch = probe.batch
    if len(hidden):
        assert isinstance(probe.model, HidesGenes), "lacks_probe says so"
        at = torch.zeros(batch.values.shape, dtype=torch.bool, device=batch.values.device)
        at[:, torch.from_numpy(probe.read_token[hidden]).to(at.device)] = True
        batch = probe.model.mask(batch, at)
    x = probe.model.residual(batch, features.layer)
    code = features.encode(x, batch)
    rows = features.W_dec[code.features]
    scaled = torch.einsum("tk,tkd->td", code.values, rows)
    fires = torch.einsum("tk,tkd->td", (code.values != 0).to(rows.dtype), rows)
    return EditSite(batch, x, scaled.view_as(x), normalize(fires, dim=-1).view_as(x))


def edit_effects(
    probe: Probe,
    features: Features,
    strength: float,
    visible: bool,
    step: Step = lambda done: None,
) -> dict[str, Float[np.ndarray, "source read"]]:
    """Half of up minus down at the token of each source, by edit; a mean over the probe's cells.

    Args:
        probe: cells, sources and reads.
        features: those of the site.
        strength: distance d: features are multiplied by 1 + d and 1 - d; added is d times the root mean square of
            the codes' own contribution.
        visible: read all genes in one pass that shows everything, else each where its part is hidden.
        step: told how many rows are done.
    """
    found = {edit: np.full((len(probe.sources), len(probe.reads)), np.nan) for edit in EDITS}
    everything = np.arange(len(probe.reads))
    passes = [(np.empty(0, int), everything)] if visible else [
        (part, part) for number in np.unique(probe.fold) if (part := np.flatnonzero(probe.fold == number)).size
    ]  # fmt: skip
    for hidden, columns in passes:
        site = read_site(probe, features, hidden)
        shown = np.flatnonzero(~np.isin(probe.read_of_source, hidden))
        size = float(site.scaled.square().sum(-1).mean().sqrt())
        for edit, push in ((MULTIPLIED, site.scaled), (ADDED, site.unit * size)):
            found[edit][np.ix_(shown, columns)] = _moved(
                probe, site, push * strength, features.layer, shown, columns, step
            )
    own = probe.read_of_source
    for table in found.values():
        table[np.flatnonzero(own >= 0), own[own >= 0]] = np.nan
    return found


@torch.no_grad()
def _moved(
    probe: Probe,
    site: EditSite,
    push: Float[Tensor, "cell token d_model"],
    layer: int,
    sources: Int[np.ndarray, " some"],
    columns: Int[np.ndarray, " read"],
    step: Step,
) -> Float[np.ndarray, "some read"]:
    """Half of up minus down, source by source."""
    tokens = torch.from_numpy(probe.read_token[columns]).to(site.x.device)
    total = np.zeros((len(sources), len(columns)))
    cell, source = (i.ravel() for i in np.indices((probe.n_cells, len(sources))))
    for start in range(0, len(cell), probe.size):
        rows = torch.from_numpy(cell[start : start + probe.size]).to(site.x.device)
        which = source[start : start + probe.size]
        at = torch.from_numpy(probe.source_token[sources[which]]).to(site.x.device)
        batch = CellBatch(site.batch.values[rows], site.batch.gene, site.batch.present[rows], site.batch.cell[rows])
        said = []
        for sign in (1.0, -1.0):
            x = site.x[rows].clone()
            x[torch.arange(len(rows)), at] += sign * push[rows, at]
            said.append(said_at(probe.model, batch, layer, x, tokens))
        np.add.at(total, which, (said[0] - said[1]) / 2)
        step(len(which))
    return total / probe.n_cells


@torch.no_grad()
def feature_doses(
    probe: Probe, features: Features, alphas: Sequence[float], source: int, reads: Sequence[int]
) -> list[dict[str, float]]:
    """Each feature that fires at one gene's token turned by itself: the change of what is predicted of other genes.

    Returns:
        Rows read, feature, alpha, effect (a mean over the cells in which it fires at that token), cells.
    """
    token, whole = int(probe.source_token[source]), probe.batch
    x = probe.model.residual(whole, features.layer)
    code = features.encode(x, whole)
    values, fires = (part.unflatten(0, whole.values.shape)[:, token] for part in (code.values, code.features))
    tokens = torch.from_numpy(probe.read_token[list(reads)]).to(x.device)
    rows: list[dict[str, float]] = []
    for feature in torch.unique(fires[values != 0]).tolist():
        strength = torch.where(fires == feature, values, 0).sum(dim=1)
        cells = strength.nonzero()[:, 0]
        batch = CellBatch(whole.values[cells], whole.gene, whole.present[cells], whole.cell[cells])
        before = said_at(probe.model, batch, features.layer, x[cells], tokens)
        for alpha in alphas:
            turned = x[cells].clone()
            turned[:, token] += (alpha - 1) * strength[cells, None] * features.W_dec[feature]
            change = (said_at(probe.model, batch, features.layer, turned, tokens) - before).mean(axis=0)
            turn = {"feature": feature, "alpha": alpha, "cells": len(cells)}
            rows += [{"read": read, **turn, "effect": float(d)} for read, d in zip(reads, change, strict=True)]
    return rows
