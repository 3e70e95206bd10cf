"""Effective dimension of the stream, of what recurs between two random halves of the same cells' counts alone.

Tokens have each gene's mean off (within a data set), pooled cells the mean of the data set. Noise of the two halves is
independent, so that it adds nothing to their cross-covariance: participation ratio of that, the share of the variance
that recurs, and beside them the participation ratio of one half's own covariance, which counts noise too.
No ratio exceeds the number of cells; those of counts, which have thousands of dimensions, want hundreds of cells.
"""

from collections.abc import Sequence

import numpy as np
import torch

from cellprism.cells.expression import log1p_cp10k
from cellprism.models.aido.model import AidoCell

A_PASS = 8


def pooled(model: AidoCell, cells, layers: Sequence[int]) -> list[np.ndarray]:
    """Mean of the stream over gene tokens, after each of some blocks."""
    parts: list[list[np.ndarray]] = [[] for _ in layers]
    for batch in model.batches(cells, A_PASS):
        for part, x in zip(parts, model.residuals(batch, layers), strict=True):
            part.append(x[:, batch.gene >= 0].mean(1).numpy())
    return [np.concatenate(part) for part in parts]


class Crossed:
    """Sums from which the covariances of two readings with each gene's mean off are made."""

    def __init__(self, genes: int, width: int):
        self.n = torch.zeros(genes, 1, dtype=torch.float64)
        self.means = [torch.zeros(genes, width, dtype=torch.float64) for _ in range(2)]
        self.products = {k: torch.zeros(width, width, dtype=torch.float64) for k in ("11", "22", "12")}

    def add(self, one: torch.Tensor, other: torch.Tensor, keep: torch.Tensor) -> None:
        """Streams [cell gene d_model] of some cells, at the tokens ``keep``."""
        weight = keep[..., None].double()
        x, y = (v.double() * weight for v in (one, other))
        self.n += weight.sum(0)
        for mean, v in zip(self.means, (x, y), strict=True):
            mean += v.sum(0)
        for name, a, b in (("11", x, x), ("22", y, y), ("12", x, y)):
            self.products[name] += a.flatten(0, 1).T @ b.flatten(0, 1)

    def covariances(self) -> dict[str, torch.Tensor]:
        """Covariances within and across, summed over tokens, unbiased by the means that are taken off."""
        a, b = (mean / self.n.clamp(min=1).sqrt() for mean in self.means)
        return {
            "11": self.products["11"] - a.T @ a,
            "22": self.products["22"] - b.T @ b,
            "12": self.products["12"] - a.T @ b,
        }


def figures(parts: list[dict[str, torch.Tensor]]) -> dict[str, float]:
    """Participation ratios and the share that recurs, of covariances summed over data sets."""
    own = sum(part["11"] + part["22"] for part in parts) / 2
    cross = sum(part["12"] + part["12"].T for part in parts) / 2

    def ratio(c: torch.Tensor) -> float:
        return round(float(c.trace() ** 2 / c.square().sum()), 2)

    return {"recurs": ratio(cross), "share": round(float(cross.trace() / own.trace()), 3), "with noise": ratio(own)}


def dimensions(model: AidoCell, halves: list[tuple], layers: Sequence[int]) -> dict[str, dict[str, float]]:
    """For each block: tokens that are seen, tokens that are hidden (a quarter), pooled cells; and counts themselves."""
    found: dict[str, list[dict[str, torch.Tensor]]] = {}
    for one, other in halves:
        generator = torch.Generator().manual_seed(0)
        sums = {(layer, kind): Crossed(one.n_vars, model.d_model) for layer in layers for kind in ("visible", "hidden")}
        cells: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = {layer: [] for layer in layers}
        for a, b in zip(model.batches(one, A_PASS), model.batches(other, A_PASS), strict=True):
            hidden = (torch.rand(a.values.shape, generator=generator) < 0.25) & (a.gene >= 0)
            genes = a.gene >= 0
            every = torch.ones_like(hidden[:, genes])
            masked = (model.mask(a, hidden), model.mask(b, hidden))
            for kind, keep, pair in (("visible", every, (a, b)), ("hidden", hidden[:, genes], masked)):
                streams = [model.residuals(batch, layers) for batch in pair]
                for layer, x, y in zip(layers, *streams, strict=True):
                    sums[layer, kind].add(x[:, genes], y[:, genes], keep)
                    if kind == "visible":
                        cells[layer].append((x[:, genes].mean(1), y[:, genes].mean(1)))
        for (layer, kind), crossed in sums.items():
            found.setdefault(f"block {layer}, {kind} tokens", []).append(crossed.covariances())
        for layer, pairs in cells.items():
            x, y = (torch.cat(part).double() for part in zip(*pairs, strict=True))
            found.setdefault(f"block {layer}, cells", []).append(_of_cells(x, y))
        x, y = (torch.from_numpy(log1p_cp10k(part).toarray()).double() for part in (one, other))
        found.setdefault("counts, cells", []).append(_of_cells(x, y))
    return {name: figures(parts) for name, parts in sorted(found.items())}


def _of_cells(x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
    x, y = x - x.mean(0), y - y.mean(0)
    return {"11": x.T @ x, "22": y.T @ y, "12": x.T @ y}
