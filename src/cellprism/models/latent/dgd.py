"""A deep generative decoder in plain torch: one free vector a cell, a Gaussian mixture over them, and no encoder.

- Counts of a cell are negative binomial around its total times the decoder's shares; the dispersion is one a gene.
- A cell's vector is found, not computed: it maximises the likelihood of the cell's counts times the mixture's density,
  with decoder and mixture frozen. The search starts at the component mean where that is highest already and draws no
  random numbers; every cell has its own objective and its own step sizes, so that a cell's vector does not depend on
  which cells are searched with it, beyond rounding. Training cells are treated like all others: the vectors that they
  had in training are not kept.
- Genes that the data did not measure are left out of the likelihood. An encoder would have to take them for zeros.

Departs from Schuster and Krogh 2023: SiLU instead of ReLU, so that a cell's vector is the optimum of a smooth function.

Source: Schuster and Krogh 2023, The Deep Generative Decoder: MAP estimation of representations improves modelling of
single-cell RNA data; the model behind Schuster 2025.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from cellprism.cells.genes import GeneTable
from cellprism.equations.likelihood import counts_given_mean, mixture_density
from cellprism.errors import ConfigError
from cellprism.models.latent.counts_model import CountsModel
from cellprism.models.latent.files import filled, is_kind, read_folder, write_folder

KIND = "cellprism-dgd"
LOOKS_FOR = f"a folder whose config.json says model_type {KIND}"
TOKENS = "cells"
START_SPREAD, START_DISPERSION = 0.5, 3.0
BETAS = (0.9, 0.95)  # of Adam, in the search


@dataclass(frozen=True)
class DgdSizes:
    """Sizes of a DGD model, and how long cells' vectors are searched for."""

    n_genes: int
    """Genes in the model's list."""
    d_model: int = 20
    """Dimensions of a cell's vector."""
    components: int = 20
    """Components of the mixture."""
    hidden: int = 100
    """Width of the decoder's hidden layers."""
    layers: int = 2
    """Hidden layers of the decoder."""
    search_steps: int = 150
    """Steps of Adam that find a cell's vector."""
    search_rate: float = 0.1
    """Learning rate of the first of these steps; it falls to zero along a cosine."""

    def __post_init__(self):
        for name in ("n_genes", "d_model", "components", "hidden", "layers", "search_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: expected at least 1")


class Mixture(nn.Module):
    """Gaussian mixture over cells' vectors, one spread for each component and dimension."""

    def __init__(self, components: int, d_model: int):
        super().__init__()
        self.logit = nn.Parameter(torch.zeros(components))
        self.mean = nn.Parameter(torch.randn(components, d_model))
        self.log_spread = nn.Parameter(torch.full((components, d_model), math.log(START_SPREAD)))

    def log_density(self, z: Float[Tensor, "cell d_model"]) -> Float[Tensor, " cell"]:
        """See ``equations.likelihood.mixture_density``."""
        return mixture_density(z, self.logit.log_softmax(0), self.mean, self.log_spread)


class DgdModel(CountsModel):
    """A trained decoder and mixture behind the ``CellModel`` protocol."""

    family = "dgd"

    def __init__(self, sizes: DgdSizes, gene_table: GeneTable, **about: Any):
        super().__init__(sizes, gene_table, **about)
        widths = [sizes.d_model, *[sizes.hidden] * sizes.layers]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.output = nn.Linear(sizes.hidden, sizes.n_genes)
        self.log_dispersion = nn.Parameter(torch.full((sizes.n_genes,), math.log(START_DISPERSION)))
        self.mixture = Mixture(sizes.components, sizes.d_model)

    def log_shares(self, z: Float[Tensor, "cell d_model"]) -> Float[Tensor, "cell gene"]:
        """Log of each gene's expected share of a cell's counts."""
        return torch.log_softmax(self.output(self._last_hidden(z)), dim=-1)

    def encode(self, counts: Float[Tensor, "cell gene"]) -> Float[Tensor, "cell d_model"]:
        """Each cell's vector, found by search; ``counts`` are -1 at genes that were not measured."""
        with torch.inference_mode(False), torch.enable_grad():
            counts = counts.detach().clone()  # a tensor made in inference mode takes no part in gradients
            measured = (counts >= 0).all(dim=0)
            return self._search(counts[:, measured], measured)

    def _last_hidden(self, z: Float[Tensor, "cell d_model"]) -> Float[Tensor, "cell hidden"]:
        for layer in self.hidden:
            z = F.silu(layer(z))
        return z

    def _search(self, counts: Float[Tensor, "cell some"], measured: Tensor) -> Float[Tensor, "cell d_model"]:
        weight, bias = self.output.weight.detach()[measured], self.output.bias.detach()[measured]
        log_dispersion = self.log_dispersion.detach()[measured]
        log_total = counts.sum(dim=1, keepdim=True).log()

        def objective(z: Float[Tensor, "_ d_model"]) -> Float[Tensor, " cell"]:
            log_shares = torch.log_softmax(F.linear(self._last_hidden(z), weight, bias), dim=-1)
            fit = counts_given_mean(counts, log_shares + log_total, log_dispersion)
            return fit.sum(dim=1) + self.mixture.log_density(z)

        with torch.no_grad():
            means = self.mixture.mean.detach()
            best = torch.stack([objective(mean[None]) for mean in means]).argmax(dim=0)
        z = means[best].clone().requires_grad_(True)
        steps, rate = self.sizes.search_steps, self.sizes.search_rate
        adam = torch.optim.Adam([z], betas=BETAS)
        for step in range(steps):
            adam.param_groups[0]["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / steps))
            (z.grad,) = torch.autograd.grad(-objective(z).sum(), [z])
            adam.step()
        return z.detach()


def recognises(path: Path) -> bool:
    """Whether ``path`` is a folder of this family."""
    return is_kind(path, KIND)


def load(path: Path) -> DgdModel:
    """Load a folder that ``save`` wrote; see ``read_folder`` for its errors."""
    sizes, stored = read_folder(path, KIND, DgdSizes)
    model = DgdModel.random(sizes, stored.genes, 0, **stored.about)
    filled(model, stored.tensors, path)
    return model


def save(model: DgdModel, folder: Path, card: Mapping[str, Any]) -> None:
    """Write the model's folder; ``card`` goes with it, and the weights' checksum becomes the revision."""
    write_folder(folder, KIND, model, card)
