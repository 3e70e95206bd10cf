"""The sparse autoencoder: weights under SAELens' names, encoding, decoding.

Notable choices

- ``W_dec`` has one row per feature. Rows of autoencoders fitted here have norm 1. Foreign weights keep
  their norms: which features are selected depends on the encoder's scale, so rescaling rows would change
  the codes of some architectures.
- Weights with two biases (one subtracted before encoding, another added after decoding) are folded into
  this form exactly by ``with_two_biases``.
- ``centre`` holds one vector per group, subtracted before encoding and added back after decoding. For
  residuals of a cell model the groups are genes; this package does not care.
- Encoding goes through slices of tokens that fit a processor's cache: faster, and memory stays flat.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.equations.sparse import decode, preactivations, top_k
from cellprism.errors import ConfigError, InputError
from cellprism.types import SparseCode

SLICE = 1 << 21  # pre-activations computed at once


@dataclass(frozen=True, eq=False)
class SparseAutoencoder:
    """A TopK autoencoder: z = TopK_k((x - centre[group] - b_dec) W_enc + b_enc), x_hat = z W_dec + b_dec +
    centre[group].

    Raises:
        ConfigError: the shapes do not fit together, or k is not between 1 and the number of features.
    """

    W_enc: Float[Tensor, "d_model feature"]
    """Encoder."""
    b_enc: Float[Tensor, " feature"]
    """Encoder bias."""
    W_dec: Float[Tensor, "feature d_model"]
    """Decoder; its rows are the features."""
    b_dec: Float[Tensor, " d_model"]
    """Subtracted before encoding, added after decoding."""
    k: int
    """Features kept at each token."""
    relu: bool = True
    """Kept values below zero become zero."""
    centre: Float[Tensor, "group d_model"] | None = None
    """Mean vector of each group of tokens."""
    firing_rate: Float[Tensor, " feature"] | None = None
    """Share of tokens at which each feature fires, where it was measured."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Where it comes from: model, layer, data, settings. Plain JSON values."""
    history: pd.DataFrame | None = None
    """One row per training step, where it was fitted in this process; not saved with the weights."""

    def __post_init__(self):
        d_model, n_features = self.W_enc.shape
        expected = {"b_enc": (n_features,), "W_dec": (n_features, d_model), "b_dec": (d_model,)}
        for name, shape in expected.items():
            found = tuple(getattr(self, name).shape)
            if found != shape:
                raise ConfigError(
                    f"{name} has shape {found}; expected {shape}, since W_enc has d_model {d_model} and "
                    f"{n_features} features"
                )
        if self.centre is not None and self.centre.shape[-1] != d_model:
            raise ConfigError(f"centre has {self.centre.shape[-1]} columns; expected d_model, {d_model}")
        if not 1 <= self.k <= n_features:
            raise ConfigError(f"k is {self.k}: expected 1 to {n_features}, the number of features")

    @property
    def d_model(self) -> int:
        """Dimensions of the residual stream."""
        return self.W_enc.shape[0]

    @property
    def n_features(self) -> int:
        """Features."""
        return self.W_enc.shape[1]

    @classmethod
    def with_two_biases(
        cls,
        W_enc: Float[Tensor, "d_model feature"],
        b_enc: Float[Tensor, " feature"],
        W_dec: Float[Tensor, "feature d_model"],
        b_in: Float[Tensor, " d_model"],
        b_out: Float[Tensor, " d_model"],
        **settings: Any,
    ) -> "SparseAutoencoder":
        """The same function as weights that subtract ``b_in`` before encoding and add ``b_out`` after
        decoding.

        (x - b_in) W_enc + b_enc = (x - b_out) W_enc + b_enc + (b_out - b_in) W_enc.
        """
        return cls(W_enc, b_enc + (b_out - b_in) @ W_enc, W_dec, b_out, **settings)

    def centred(
        self, x: Float[Tensor, "token d_model"], group: Int[Tensor, " token"] | None = None
    ) -> Float[Tensor, "token d_model"]:
        """Vectors without their group's mean; ``x`` itself where this autoencoder has no centre.

        Raises:
            InputError: the vectors have another width, ``group`` is missing, or it names groups that do not
                exist.
        """
        if x.shape[1] != self.d_model:
            raise InputError(
                f"the vectors have {x.shape[1]} dimensions but this autoencoder was fitted on "
                f"{self.d_model}; use the model and layer that it was trained on"
            )
        return x if self.centre is None else x - self._centre_of(self.centre, group)

    def _centre_of(
        self, centre: Float[Tensor, "group d_model"], group: Int[Tensor, " token"] | None
    ) -> Float[Tensor, "token d_model"]:
        if group is None:
            raise InputError(
                "this autoencoder is centred per group and needs to know each token's; pass group= "
                "(for a cell model: the gene index of each token)"
            )
        if group.numel() and not 0 <= int(group.min()) <= int(group.max()) < len(centre):
            raise InputError(
                f"group holds {int(group.min())} to {int(group.max())}; this autoencoder has groups 0 to "
                f"{len(centre) - 1}. "
                "Tokens that are no gene (-1) cannot be centred per gene: leave them out"
            )
        return centre[group]

    def encode(self, x: Float[Tensor, "token d_model"], group: Int[Tensor, " token"] | None = None) -> SparseCode:
        """Sparse code of some vectors.

        Args:
            x: vectors, such as residuals; other float types are converted.
            group: the group of each, needed where there is a ``centre``.

        Raises:
            InputError: the vectors have another width, ``group`` is missing, or it names groups that do not
                exist.
        """
        x = self.centred(x.to(self.W_enc.dtype), group)
        parts = [
            top_k(preactivations(part, self.W_enc, self.b_enc, self.b_dec), self.k, self.relu)
            for part in x.split(max(256, SLICE // self.n_features))
        ]
        values, features = torch.cat([p.values for p in parts]), torch.cat([p.features for p in parts])
        return SparseCode(values, features, self.n_features)

    def decode(self, code: SparseCode, group: Int[Tensor, " token"] | None = None) -> Float[Tensor, "token d_model"]:
        """Vectors that a sparse code stands for; ``group`` as in ``encode``."""
        x_hat = decode(code, self.W_dec, self.b_dec)
        return x_hat if self.centre is None else x_hat + self._centre_of(self.centre, group)

    def to(self, device: torch.device | str) -> "SparseAutoencoder":
        """The same autoencoder on another device."""
        names = ("W_enc", "b_enc", "W_dec", "b_dec", "centre", "firing_rate")
        moved = {name: t.to(device) for name in names if (t := getattr(self, name)) is not None}
        return replace(self, **moved)

    def save(self, folder: str | Path) -> None:
        """Write ``cfg.json`` and weights that SAELens reads; see ``cellprism.sae.files``."""
        from cellprism.sae.files import save

        save(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> "SparseAutoencoder":
        """Read a folder written by ``save`` or by SAELens (architecture topk).

        Raises:
            InputError: the folder or one of its files is missing, or it holds an autoencoder of another kind.
            DamagedError: a file is truncated or altered; the message names it.
        """
        from cellprism.sae.files import load

        return load(Path(folder))
