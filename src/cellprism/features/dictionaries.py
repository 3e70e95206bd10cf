"""Dictionaries that nobody trained, of the same size as an autoencoder's and used in the same way: fair controls.

Notable choices

- Residuals fill few of their dimensions. Random directions of all dimensions point where nothing is, and lose to
  anything; what a training adds shows against directions that lie where the residuals lie: drawn with their covariance,
  taken from tokens, or their principal components, both signs.
- All dictionaries, the trained one's decoder among them, are used by the same rule, matching pursuit with k atoms: an
  encoder was learned for the trained one alone.
- Directions come from some cells and are judged on others. A control is drawn anew each time: normal numbers, tokens,
  or the cells whose principal components are taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from cellprism.equations.pursuit import products, pursuit
from cellprism.equations.ratio import is_spread
from cellprism.errors import InputError
from cellprism.features.baselines import features_a_token
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.kernels import unsupported
from cellprism.sae.plain_step import sliced
from cellprism.types import SparseCode

Kind = Literal["covariance", "tokens", "components"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class TokenSample(NamedTuple):
    """Some tokens of some cells, the autoencoder's centre taken off."""

    x: Float[Tensor, "token d_model"]
    gene: Int[Tensor, " token"]
    cell: Int[Tensor, " token"]
    """Row of the AnnData, ascending."""
    centre: Float[Tensor, "#token d_model"] | float = 0.0
    """What was taken off."""

    @property
    def deviations(self) -> Float[Tensor, ""]:
        """Summed squared distance from the tokens' mean."""
        return (self.x - self.x.mean(dim=0)).double().square().sum()

    @property
    def varies(self) -> bool:
        """Whether the tokens differ by more than rounding, their centre taken off."""
        return bool(is_spread(self.deviations, (self.x + self.centre).double().square().sum()))


@dataclass(frozen=True, eq=False)
class PursuitAutoencoder(SparseAutoencoder):
    """A dictionary, the rows of ``W_dec`` of norm 1, whose codes are matching pursuits with k atoms."""

    @cached_property
    def gram(self) -> Tensor | None:
        """Products of its atoms."""
        return products(self.W_dec)

    def encode(self, x: Float[Tensor, "token d_model"], group: Int[Tensor, " token"] | None = None) -> SparseCode:
        """Sparse code of some vectors; arguments and errors are those of ``SparseAutoencoder.encode``."""
        assert self.k is not None, "pursuits have a number of steps"
        x = self.centred(x.to(self.W_dec.dtype), group) - self.b_dec
        wanted = torch.is_grad_enabled() and x.requires_grad
        if not wanted and self.gram is not None and unsupported(x.device, x.dtype) is None:
            from cellprism.sae.kernels.pursuit import pursuit as pursuit_on_processor

            return pursuit_on_processor(x, self.W_dec, self.k, self.gram)
        parts = [pursuit(part, self.W_dec, self.k, self.gram) for part in sliced(x, self.n_features)]
        return SparseCode(torch.cat([p.values for p in parts]), torch.cat([p.features for p in parts]), self.n_features)


def sampled_tokens(
    tokens: CellTokens, sae: SparseAutoencoder, cells: Int[np.ndarray, " some"], per_cell: int, seed: int
) -> TokenSample:
    """At most ``per_cell`` random tokens of each of some cells, given in ascending order, at the first of the layers.

    Raises:
        InputError: these cells have no tokens.
    """
    rng = np.random.default_rng([seed, 23])
    parts = []
    for start in range(0, len(cells), tokens.batch_size):
        some = cells[start : start + tokens.batch_size]
        counts = tokens.counts[some]
        first = np.cumsum(counts) - counts
        rows = [place + np.sort(rng.permutation(count)[:per_cell]) for place, count in zip(first, counts, strict=True)]
        parts.append(tokens.read(some).take(np.concatenate(rows)))
    x = torch.cat([part.x[0] for part in parts])
    gene, cell = torch.cat([part.gene.long() for part in parts]), torch.cat([part.cell.long() for part in parts])
    if not len(x):
        raise InputError(f"none of {len(cells)} cells has a token to draw directions from")
    x, gene = x.float().to(sae.W_dec.device), gene.to(sae.W_dec.device)
    centred = sae.centred(x, None if sae.centre is None else gene)
    return TokenSample(centred, gene, cell.to(sae.W_dec.device), x - centred)


def trained_dictionary(sae: SparseAutoencoder) -> PursuitAutoencoder:
    """The autoencoder's own decoder, used by pursuit on vectors without its centre."""
    return _dictionary(normalize(sae.W_dec, dim=1), sae.b_dec, features_a_token(sae))


def control_dictionary(kind: Kind, sample: TokenSample, sae: SparseAutoencoder, seed: int) -> PursuitAutoencoder:
    """A dictionary of the autoencoder's width and k that was not trained, for vectors without its centre.

    Args:
        kind: ``covariance``: normal directions with the covariance of the sample; ``tokens``: tokens of the sample,
            their mean taken off, again and again where they run out; ``components``: principal components of the cells
            drawn with replacement, both signs, the first ones where the autoencoder is too narrow for all.
        sample: tokens of some cells.
        sae: the autoencoder that it stands beside.
        seed: decides the draw.
    """
    rng, n = np.random.default_rng([seed, KINDS.index(kind)]), sae.n_features
    mean = sample.x.mean(dim=0)
    centred = sample.x - mean
    if kind == "tokens":
        rounds = -(-n // len(centred))
        rows = centred[torch.from_numpy(np.concatenate([rng.permutation(len(centred)) for _ in range(rounds)])[:n])]
    elif kind == "covariance":
        scale, axes = _components(centred)
        rows = (torch.from_numpy(rng.standard_normal((n, len(scale)))).to(axes) * scale.sqrt()) @ axes.T
    else:
        _, place = np.unique(sample.cell.cpu().numpy(), return_inverse=True)
        often = rng.multinomial(place.max() + 1, np.full(place.max() + 1, 1 / (place.max() + 1)))
        weight = torch.from_numpy(often[place]).to(centred)
        _, axes = _components(centred * weight.sqrt()[:, None])
        rows = _both_signs(axes, n)
    return _dictionary(normalize(rows, dim=1), mean, features_a_token(sae))


def isotropic_dictionary(sample: TokenSample, sae: SparseAutoencoder, seed: int) -> PursuitAutoencoder:
    """Random directions of all dimensions alike, as many as the autoencoder's, for vectors without its centre."""
    rng = np.random.default_rng([seed, len(KINDS)])
    rows = torch.from_numpy(rng.standard_normal((sae.n_features, sample.x.shape[1]))).to(sample.x)
    return _dictionary(normalize(rows, dim=1), sample.x.mean(dim=0), features_a_token(sae))


def component_dictionary(sample: TokenSample, sae: SparseAutoencoder) -> PursuitAutoencoder:
    """The principal components of all tokens of a sample, nothing drawn: both signs, the first ones where the
    autoencoder is too narrow for all, for vectors without its centre."""
    mean = sample.x.mean(dim=0)
    rows = _both_signs(_components(sample.x - mean)[1], sae.n_features)
    return _dictionary(normalize(rows, dim=1), mean, features_a_token(sae))


def _both_signs(axes: Float[Tensor, "d_model component"], n: int) -> Float[Tensor, "direction d_model"]:
    """The first components and their opposites, n together or all."""
    first = axes.T[: max(1, min(len(axes), n // 2))]
    return torch.cat([first, -first])


def explained(dictionary: SparseAutoencoder, sample: TokenSample) -> float:
    """Share of the variance of some tokens that a dictionary for vectors without a centre rebuilds; NaN where they do
    not vary."""
    if not sample.varies:
        return float("nan")
    rest = dictionary.decode(dictionary.encode(sample.x)) - sample.x
    return 1 - float(rest.double().square().sum() / sample.deviations)


def with_centre(dictionary: PursuitAutoencoder, sae: SparseAutoencoder) -> PursuitAutoencoder:
    """A dictionary for vectors as the model makes them: the autoencoder's centre is taken off first."""
    return replace(dictionary, centre=sae.centre)


def arrays_of(dictionary: PursuitAutoencoder) -> dict[str, np.ndarray]:
    """All that makes a dictionary, for a file."""
    centre = {} if dictionary.centre is None else {"centre": dictionary.centre}
    tensors = {"directions": dictionary.W_dec, "mean": dictionary.b_dec, **centre}
    return {"k": np.array([dictionary.k]), **{name: tensor.cpu().numpy() for name, tensor in tensors.items()}}


def dictionary_from(found: Mapping[str, np.ndarray]) -> PursuitAutoencoder:
    """The dictionary that ``arrays_of`` was given."""
    tensors = {name: torch.from_numpy(array) for name, array in found.items() if name != "k"}
    made = _dictionary(tensors["directions"], tensors["mean"], int(found["k"].item()))
    return replace(made, centre=tensors.get("centre"))


def eigenvalues(sample: TokenSample) -> Float[Tensor, " d_model"]:
    """Variances along the principal components of some tokens, largest first."""
    return _components(sample.x - sample.x.mean(dim=0))[0]


def _components(centred: Float[Tensor, "token d_model"]) -> tuple[Tensor, Tensor]:
    """Variances, largest first, and directions [d_model component]."""
    wide = centred.double()
    values, axes = torch.linalg.eigh(wide.T @ wide / len(wide))
    return values.flip(0).clamp(min=0).to(centred), axes.flip(1).to(centred)


def _dictionary(rows: Float[Tensor, "feature d_model"], mean: Float[Tensor, " d_model"], k: int) -> PursuitAutoencoder:
    return PursuitAutoencoder(
        rows.T.contiguous(), rows.new_zeros(len(rows)), rows.contiguous(), mean, k=min(k, len(rows)),
        architecture="pursuit", metadata={"untrained": True},
    )  # fmt: skip
