"""A very wide autoencoder with its features spread over devices, over processes, or over both.

Notable choices

- A part computes with its own features only. The k largest of all features are among the k largest of each part, so
  these alone travel: 2 k numbers a token and part. Where features have thresholds, each part decides for itself.
- All processes are given the same vectors, and each returns the whole code.
- Codes are those of the whole autoencoder, with the features of a token in ascending order. A reconstruction is the sum
  of those of the parts, so it is rounded in another order.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.equations.sparse import decode
from cellprism.errors import ConfigError
from cellprism.sae.autoencoder import SparseAutoencoder, centre_of
from cellprism.sae.distributed import gathered, processes, rank, summed
from cellprism.types import SparseCode

OF_FEATURES = {"W_enc": 1, "b_enc": 0, "W_dec": 0, "threshold": 0, "slope": 0, "shift": 0}
"""The dimension along which each field has the features."""


class ShardedAutoencoder:
    """An autoencoder in parts: ``parts[i]`` has the features from ``starts[i]`` on."""

    def __init__(self, sae: SparseAutoencoder, devices: Sequence[torch.device | str] = ("cpu",)):
        """Copy each part's share of the weights to its device.

        Args:
            sae: the whole; it is not needed afterwards.
            devices: of this process, one part each; the same may come several times. Processes that compute together
                share the features evenly, however many devices each has. Codes and vectors come back on the first.

        Raises:
            ConfigError: there are fewer features than parts.
        """
        low, high = list(pairwise(_cuts(0, sae.n_features, processes())))[rank()]
        if high - low < len(devices):
            raise ConfigError(
                f"{high - low} features, this process' share of {sae.n_features}, cannot be spread over {len(devices)} "
                "devices; use fewer"
            )
        cuts = _cuts(low, high, len(devices))
        self.starts = cuts[:-1]
        self.parts = [_part(sae, a, b, device) for (a, b), device in zip(pairwise(cuts), devices, strict=True)]
        self.n_features, self.k, self.relu = sae.n_features, sae.k, sae.relu
        self.home = torch.device(devices[0])
        self.b_dec = sae.b_dec.to(self.home)
        self.centre = None if sae.centre is None else sae.centre.to(self.home)
        target = sae.target_centre if sae.is_transcoder else sae.centre
        self.target_centre = None if target is None else target.to(self.home)

    def encode(self, x: Float[Tensor, "token d_model"], group: Int[Tensor, " token"] | None = None) -> SparseCode:
        """Sparse code of some vectors; see ``SparseAutoencoder.encode``.

        Raises:
            InputError: the vectors have another width, ``group`` is missing, or it names groups that do not exist.
        """
        x = self.parts[0].centred(x.to(self.home, self.b_dec.dtype))
        if self.centre is not None:
            x = x - centre_of(self.centre, group)
        codes = [part.encode(x.to(part.W_enc.device)) for part in self.parts]
        values = torch.cat([code.values.to(self.home) for code in codes], dim=1)
        features = [code.features.to(self.home) + start for code, start in zip(codes, self.starts, strict=True)]
        code = self._joined(values, torch.cat(features, dim=1))
        if processes() > 1:
            code = self._joined(gathered(code.values.T).T, gathered(code.features.T).T)
        return replace(code, values=code.values.relu()) if self.k is not None and self.relu else code

    def decode(self, code: SparseCode, group: Int[Tensor, " token"] | None = None) -> Float[Tensor, "token d_target"]:
        """Vectors that a sparse code stands for; ``group`` as in ``encode``."""
        x_hat = torch.zeros(len(code.values), len(self.b_dec), dtype=self.b_dec.dtype, device=self.home)
        for part, start in zip(self.parts, self.starts, strict=True):
            values, features = (t.to(part.W_dec.device) for t in (code.values, code.features - start))
            own = (features >= 0) & (features < part.n_features)
            x_hat += decode(SparseCode(values * own, features * own, part.n_features), part.W_dec).to(self.home)
        x_hat = summed(x_hat) + self.b_dec
        return x_hat if self.target_centre is None else x_hat + centre_of(self.target_centre, group)

    def _joined(self, values: Float[Tensor, "token found"], features: Int[Tensor, "token found"]) -> SparseCode:
        """One code of what several parts have found."""
        if self.k is not None:
            values, place = values.topk(min(self.k, values.shape[1]), dim=1)
            features = features.gather(1, place)
            order = features.argsort(dim=1)
        else:
            fire = values != 0
            most = int(fire.sum(dim=1).max()) if len(fire) else 0
            features = torch.where(fire, features, self.n_features)  # behind all others
            order = features.argsort(dim=1)[:, : max(1, most)]
            features = features * fire
        return SparseCode(values.gather(1, order), features.gather(1, order), self.n_features)


def _cuts(low: int, high: int, parts: int) -> list[int]:
    """Where a range is cut into parts as equal as can be, with its ends."""
    return [low + (high - low) * n // parts for n in range(parts + 1)]


def _part(sae: SparseAutoencoder, low: int, high: int, device: torch.device | str) -> SparseAutoencoder:
    """Some of the features, before any centre is subtracted or value cut by a ReLU."""
    own = {
        name: whole.narrow(dimension, low, high - low).to(device, copy=True)
        for name, dimension in OF_FEATURES.items()
        if (whole := getattr(sae, name)) is not None
    }
    k = None if sae.k is None else min(sae.k, high - low)
    return replace(
        sae, **own, b_dec=sae.b_dec.to(device), k=k, relu=False, centre=None, target_centre=None, firing_rate=None,
        history=None,
    )  # fmt: skip
