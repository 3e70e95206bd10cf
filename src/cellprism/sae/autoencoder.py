"""The sparse autoencoder: weights under SAELens' names, encoding, decoding.

Notable choices

- ``W_dec`` has one row per feature. Rows of autoencoders fitted here have norm 1. Foreign weights keep
  their norms: which features are selected depends on the encoder's scale, so rescaling rows would change
  the codes of some architectures.
- Weights with two biases (one subtracted before encoding, another added after decoding) are folded into
  this form exactly by ``with_two_biases``.
- ``centre`` holds one vector per group, subtracted before encoding and added back after decoding. For
  residuals of a cell model the groups are genes; this package does not care.
- A code's features come in no particular order.
- It never changes once it is made: its weights are shared by everything that computes with it, and kept in the order in
  which that is quickest. So it is no ``nn.Module``; ``module()`` makes one, with a ``state_dict`` and gradients, and
  ``SaeModule.autoencoder()`` takes its weights back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.display import Shown
from cellprism.equations.sparse import (
    Pairs,
    above_threshold,
    decode,
    joined,
    padded_code,
    preactivations,
    with_gradient,
)
from cellprism.errors import ConfigError, InputError
from cellprism.sae.engine import steps_for
from cellprism.sae.module import SaeModule
from cellprism.sae.plain_step import sliced
from cellprism.types import CellBatch, SparseCode


@dataclass(frozen=True, eq=False, repr=False)
class SparseAutoencoder(Shown):
    """h = (x - centre[group] - b_dec) W_enc + b_enc, z = the selected part of h, x_hat = z W_dec + b_dec +
    centre[group].

    Selected are the k largest, or those above ``threshold``. A transcoder reconstructs something else than it reads:
    nothing is subtracted before encoding but ``centre``, and ``target_centre`` is added after decoding.

    Raises:
        ConfigError: the shapes do not fit together, or neither or both of k and threshold are given.
    """

    W_enc: Float[Tensor, "d_model feature"]
    """Encoder."""
    b_enc: Float[Tensor, " feature"]
    """Encoder bias."""
    W_dec: Float[Tensor, "feature d_target"]
    """Decoder; its rows are the features."""
    b_dec: Float[Tensor, " d_target"]
    """Added after decoding; subtracted before encoding, except by a transcoder."""
    k: int | None = None
    """Features kept at each token, where that is a fixed number."""
    relu: bool = True
    """Kept values below zero become zero."""
    threshold: Float[Tensor, " feature"] | None = None
    """Pre-activation above which each feature fires, where k is not fixed."""
    slope: Float[Tensor, " feature"] | None = None
    """Gated: a feature that fires has the value max(slope h + shift, 0)."""
    shift: Float[Tensor, " feature"] | None = None
    """Gated: see ``slope``."""
    centre: Float[Tensor, "group d_model"] | None = None
    """Mean vector of each group of tokens; one row is the mean of all."""
    target_centre: Float[Tensor, "group d_target"] | None = None
    """Transcoder: mean target of each group."""
    is_transcoder: bool = False
    """Whether it reconstructs something else than it reads."""
    architecture: str = "topk"
    """What it was trained as."""
    firing_rate: Float[Tensor, " feature"] | None = None
    """Share of tokens at which each feature fires, where it was measured."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Where it comes from: model, layer, data, settings. Plain JSON values."""
    history: pd.DataFrame | None = None
    """One row per training step, where it was fitted in this process; not saved with the weights."""

    def __post_init__(self):
        d_model, n_features = self.W_enc.shape
        d_target = self.W_dec.shape[1] if self.is_transcoder else d_model
        expected = {
            "b_enc": (n_features,), "W_dec": (n_features, d_target), "b_dec": (d_target,),
            "threshold": (n_features,), "slope": (n_features,), "shift": (n_features,),
        }  # fmt: skip
        for name, shape in expected.items():
            found = getattr(self, name)
            if found is not None and tuple(found.shape) != shape:
                raise ConfigError(
                    f"{name} has shape {tuple(found.shape)}; expected {shape}, since W_enc has d_model {d_model} and "
                    f"{n_features} features"
                )
        for name, width in (("centre", d_model), ("target_centre", d_target)):
            found = getattr(self, name)
            if found is not None and found.shape[-1] != width:
                raise ConfigError(f"{name} has {found.shape[-1]} columns; expected {width}")
        if (self.k is None) == (self.threshold is None):
            raise ConfigError("an autoencoder selects by k or by a threshold: give one of the two")
        if self.threshold is not None and (self.threshold < 0).any():
            raise ConfigError("a threshold is below zero: features that fire must be positive")
        if self.k is not None and not 1 <= self.k <= n_features:
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

    @cached_property
    def encoder_rows(self) -> Float[Tensor, "feature d_model"]:
        """The encoder with a row per feature, as it is computed with."""
        return self.W_enc.T.contiguous()

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
        return x if self.centre is None else x - centre_of(self.centre, group)

    def encode(
        self, x: Float[Tensor, "*token d_model"], group: Int[Tensor, "*_"] | CellBatch | None = None
    ) -> SparseCode:
        """Sparse code of some vectors. Where ``x`` asks for gradients they pass through the values of the features that
        fire; which features these are is held fixed.

        Args:
            x: vectors, such as residuals, in any number of leading dimensions; other float types are converted.
            group: the group of each, needed where there is a ``centre`` with several rows; fewer leading dimensions
                than those of ``x`` are repeated. Or the batch that the vectors [cell token d_model] are residuals of:
                its genes are the groups, and tokens that are not present have an empty code.

        Raises:
            InputError: the vectors have another width, ``group`` is missing, or it names groups that do not
                exist.

        >>> import torch, cellprism as cp
        >>> sae = cp.fit_sae(torch.randn(512, 8), cp.SaeConfig(k=2, n_features=16, batch_size=64, epochs=1))
        >>> sae.encode(torch.randn(3, 5, 8)).dense().shape
        torch.Size([3, 5, 16])
        """
        if not isinstance(x, Tensor):
            raise InputError(f"vectors to encode are a {type(x).__name__}; give a tensor, such as torch.from_numpy(x)")
        if isinstance(group, CellBatch):
            return self._encode_batch(x, group)
        leading = x.shape[:-1]
        code = self._encode_rows(x.reshape(-1, x.shape[-1]), _rows_of(group, leading))
        if len(leading) == 1:
            return code
        values, features = (t.view(*leading, t.shape[-1]) for t in (code.values, code.features))
        return SparseCode(values, features, self.n_features)

    def _encode_batch(self, x: Float[Tensor, "cell token d_model"], batch: CellBatch) -> SparseCode:
        """The code of a batch's residuals, empty at tokens that are not present."""
        if x.shape[:-1] != batch.present.shape:
            cells, tokens = batch.present.shape
            raise InputError(
                f"vectors of shape {tuple(x.shape)} are no residuals of this batch; expected [{cells} cells, {tokens} "
                f"tokens, {self.d_model}], as model.residual(batch, layer) gives them"
            )
        part = self._encode_rows(x[batch.present], batch.gene.expand(batch.present.shape)[batch.present])
        shape = (*batch.present.shape, part.values.shape[1])
        values, features = part.values.new_zeros(shape), part.features.new_zeros(shape)
        values[batch.present], features[batch.present] = part.values, part.features
        return SparseCode(values, features, self.n_features)

    def _encode_rows(self, x: Float[Tensor, "token d_model"], group: Int[Tensor, " token"] | None) -> SparseCode:
        x = self.centred(x.to(self.W_enc.dtype), group)
        x = x if self.is_transcoder else x - self.b_dec
        if self.k is not None:
            rows = self.encoder_rows
            pairs = steps_for(x).top_k(x.detach(), rows, self.b_enc, self.k, self.relu)
            code = SparseCode(pairs.values.view(-1, self.k), pairs.features.view(-1, self.k), self.n_features)
            wanted = torch.is_grad_enabled() and x.requires_grad
            return with_gradient(code, x, rows, self.relu) if wanted else code
        assert self.threshold is not None, "one of k and threshold is given"
        parts = [
            self._valued(above_threshold(preactivations(part, self.W_enc, self.b_enc), self.threshold))
            for part in sliced(x, self.n_features)
        ]
        return padded_code(joined(parts))

    def _valued(self, pairs: Pairs) -> Pairs:
        """What a gated autoencoder makes of the pre-activations behind its open gates; pairs of others as they are."""
        if self.slope is None or self.shift is None:
            return pairs
        values = (pairs.values * self.slope[pairs.features] + self.shift[pairs.features]).relu()
        return pairs._replace(values=values)

    def decode(
        self, code: SparseCode, group: Int[Tensor, "*_"] | CellBatch | None = None
    ) -> Float[Tensor, "*token d_target"]:
        """Vectors that a sparse code stands for; ``group`` as in ``encode``. Tokens of a batch that are not present get
        0."""
        if isinstance(group, CellBatch):
            present, gene = group.present, group.gene.expand(group.present.shape).clamp(min=0)
            return self.decode(code, gene if self.centre is not None else None) * present[..., None]
        leading, k = code.values.shape[:-1], code.values.shape[-1]
        flat = SparseCode(code.values.reshape(-1, k), code.features.reshape(-1, k), code.n_features)
        x_hat = decode(flat, self.W_dec, self.b_dec)
        centre = self.target_centre if self.is_transcoder else self.centre
        x_hat = x_hat if centre is None else x_hat + centre_of(centre, _rows_of(group, leading))
        return x_hat.view(*leading, x_hat.shape[-1])

    def __call__(
        self, x: Float[Tensor, "*token d_model"], group: Int[Tensor, "*_"] | CellBatch | None = None
    ) -> Float[Tensor, "*token d_target"]:
        """What is left of some vectors after encoding and decoding; ``group`` as in ``encode``. Tokens of a batch that
        are not present stay as they are, those of a transcoder become 0."""
        x_hat = self.decode(self.encode(x, group), group)
        if not isinstance(group, CellBatch) or self.is_transcoder:
            return x_hat
        return torch.where(group.present[..., None], x_hat, x)

    def module(self) -> SaeModule:
        """The same function as an ``nn.Module`` whose weights can be saved with ``state_dict`` and learned further."""
        return SaeModule(self)

    def shown(self) -> Mapping[str, Any]:
        """Facts in words, by name."""
        centred = (
            "none" if self.centre is None else "of all" if len(self.centre) == 1 else f"{len(self.centre):,} groups"
        )
        trained = [str(self.metadata[name]) for name in ("model_name", "hook_name") if name in self.metadata]
        return {
            "features": f"{self.n_features:,}",
            "dimensions": f"{self.d_model:,}" if not self.is_transcoder else f"{self.d_model:,} to {len(self.b_dec):,}",
            "architecture": self.architecture + (", transcoder" if self.is_transcoder else ""),
            **({"k": self.k} if self.k is not None else {}),
            "means taken off": centred,
            **({"trained on": ", ".join(trained)} if trained else {}),
        }

    def to(self, device: torch.device | str) -> "SparseAutoencoder":
        """The same autoencoder on another device."""
        moved = {f.name: t.to(device) for f in fields(self) if isinstance(t := getattr(self, f.name), Tensor)}
        return replace(self, **moved)


def _rows_of(group: Int[Tensor, "*_"] | None, leading: torch.Size) -> Int[Tensor, " token"] | None:
    """The group of each vector in a row; dimensions that are not there are repeated.

    Raises:
        InputError: the groups do not fit the vectors.
    """
    if group is None:
        return None
    try:
        return group.expand(leading).reshape(-1)
    except RuntimeError as error:
        raise InputError(
            f"the vectors lie in {list(leading)} and their groups in {list(group.shape)}; give one group a vector"
        ) from error


def centre_of(
    centre: Float[Tensor, "group d_model"], group: Int[Tensor, " token"] | None
) -> Float[Tensor, "_ d_model"]:
    """The mean vector of each token's group; the one row where there is only one.

    Raises:
        InputError: ``group`` is missing, or it names groups that do not exist.
    """
    if len(centre) == 1:
        return centre
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
