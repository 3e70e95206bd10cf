"""The dense autoencoders whose latent space sparse ones are to take apart.

Notable choices

- ``depth`` counts linear layers, half of them before the latent. Between them stand layers of the latent's width
  (narrow) or of ``WIDE`` units (wide), with ReLU; latent and output are linear, so depth 2 is a linear network.
- The data's mean is taken off and one number divides all genes, both from the first batch.
- Data come as a function that begins again, one pass an epoch, so that a matrix on disk need not fit into memory.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cellprism.errors import ConfigError, InputError

WIDE = 1000  # units of a wide network's layers, at most the number of genes
Batches = Callable[[], Iterable[Float[Tensor, "_ gene"]]]


@dataclass(frozen=True)
class AutoencoderSettings:
    """Shape and training of a dense autoencoder."""

    latent: int = 100
    """Dimensions of the latent space; published: 4, or 20, 100, 150 and 1,000."""
    depth: int = 2
    """Linear layers, half of them in the encoder; published: 2, 4 and 6."""
    wide: bool = False
    """Layers between input and latent are wide; False: as narrow as the latent."""
    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 1e-3
    """Peak of Adam's learning rate, which falls to zero by a cosine."""

    def __post_init__(self):
        if self.depth < 2 or self.depth % 2:
            raise ConfigError(f"depth is {self.depth}: expected an even number of layers, such as 2, 4 or 6")
        for name in ("latent", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: expected at least 1")
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate is {self.learning_rate}: expected a positive number, such as 1e-3")


class DenseAutoencoder(nn.Module):
    """Encoder and decoder with fixed units: the mean and scale of the data."""

    def __init__(self, mean: Float[Tensor, " gene"], scale: float, settings: AutoencoderSettings):
        super().__init__()
        genes = len(mean)
        inner = min(WIDE, genes) if settings.wide else settings.latent
        widths = [genes, *[inner] * (settings.depth // 2 - 1), settings.latent]
        self.register_buffer("mean", mean)
        self.scale = scale
        self.encoder, self.decoder = _stack(widths), _stack(widths[::-1])

    def encode(self, y: Float[Tensor, "sample gene"]) -> Float[Tensor, "sample latent"]:
        """Latent vectors."""
        return self.encoder((y - self.get_buffer("mean")) / self.scale)

    def error(self, y: Float[Tensor, "sample gene"]) -> Float[Tensor, ""]:
        """Mean squared error per gene, in units of the scale."""
        goal = (y - self.get_buffer("mean")) / self.scale
        return (self.decoder(self.encoder(goal)) - goal).square().mean()

    @torch.no_grad()
    def before_latents(self, batches: Iterable[Float[Tensor, "_ gene"]]) -> Float[Tensor, "sample unit"]:
        """What the last layer of the encoder reads; a network of depth 2 has nothing there but the data."""
        before = self.encoder[:-1]
        return torch.cat([before((y - self.get_buffer("mean")) / self.scale) for y in batches])

    @torch.no_grad()
    def latents(self, batches: Iterable[Float[Tensor, "_ gene"]]) -> Float[Tensor, "sample latent"]:
        """Latent vectors of all samples."""
        return torch.cat([self.encode(y) for y in batches])


def fit_autoencoder(batches: Batches, settings: AutoencoderSettings, seed: int = 0) -> DenseAutoencoder:
    """Train a dense autoencoder.

    Args:
        batches: gives all data anew, in pieces of any size; pieces are shuffled inside and cut into batches.
        settings: shape and training.
        seed: decides initial weights and shuffling.

    Raises:
        InputError: there are no data.
    """
    first = next(iter(batches()), None)
    if first is None or not len(first):
        raise InputError("there are no data to train an autoencoder on; the batches are empty")
    spread = float((first - first.mean(dim=0)).square().mean().sqrt()) or 1.0
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = DenseAutoencoder(first.mean(dim=0), spread, settings)
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    for done, y in _passes(batches, settings, generator):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * (1 + torch.cos(torch.tensor(torch.pi * done)).item()) / 2
        optimiser.zero_grad()
        network.error(y).backward()
        optimiser.step()
    return network.requires_grad_(False)


def _passes(
    batches: Batches, settings: AutoencoderSettings, generator: torch.Generator
) -> Iterable[tuple[float, Float[Tensor, "_ gene"]]]:
    """Batches of all epochs, each with the share of the training that lies behind it."""
    pieces = sum(1 for _ in batches())
    for epoch in range(settings.epochs):
        for number, piece in enumerate(batches()):
            done = (epoch + number / pieces) / settings.epochs
            for rows in torch.randperm(len(piece), generator=generator).split(settings.batch_size):
                yield done, piece[rows]


def _stack(widths: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inner, outer in pairwise(widths):
        layers += [nn.Linear(inner, outer), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
