"""Settings of a sparse autoencoder and its training."""

import math
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_origin

from cellprism.errors import ConfigError
from cellprism.store.whole_number import whole_number

PRESETS: dict[str, dict[str, Any]] = {
    "yc2026": {
        "architecture": "topk",
        "k": 32,
        "expansion": 8,
        "relu": False,
        "biases": "two",
        "start": "linear",
        "scaling": False,
        "unit_norm": False,
        "learning_rate": 1e-3,
        "warmup": 0.0,
        "batch_cells": 8,
        "epochs": 10,
    }
}
"""Settings of published work by name. yc2026: Yanovsky and Chernomoretz 2026, paper and code. Their code does not set
initial weights, so torch's for linear layers are taken, and it sets no seed."""


def preset(name: str) -> dict[str, Any]:
    """Settings of published work that differ from the defaults.

    Raises:
        ConfigError: there is no such preset.
    """
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}: expected one of {', '.join(PRESETS)}")
    return dict(PRESETS[name])


@dataclass(frozen=True)
class SaeConfig:
    """Settings of a sparse autoencoder and its training; checked when made.

    >>> import cellprism as cp
    >>> cp.SaeConfig(architecture="batchtopk", k=8).width(64)
    512
    """

    architecture: Literal["topk", "batchtopk", "matryoshka", "l1", "gated", "jumprelu"] = "topk"
    """How features are selected. ``topk``: the k largest at each token. ``batchtopk``: k a token on average, the
    largest of a batch. ``matryoshka``: batchtopk whose first features must do well alone. ``l1``, ``gated``,
    ``jumprelu``: a penalty instead of a count."""
    k: int = 12
    """Features that fire at each token: exactly (topk), on average (batchtopk, matryoshka), or aimed at (others)."""
    expansion: int = 8
    """Features per dimension of the vectors; not used where ``n_features`` is given."""
    n_features: int | None = None
    """Number of features; by default ``expansion`` x d_model."""
    relu: bool = True
    """topk: set kept values below zero to zero. False: they stay negative, as in Yanovsky and Chernomoretz 2026."""
    sparsity: float | None = None
    """Weight of the penalty of ``l1``, ``gated`` and ``jumprelu``; by default it is adjusted until k features fire."""
    prefixes: tuple[float, ...] = (0.0625, 0.125, 0.25, 0.5, 1.0)
    """matryoshka: shares of the features that must reconstruct without the rest."""
    target_layer: int | None = None
    """Transcoder: reconstruct the vectors after this block from those after the layer that is read."""
    null: Literal["none", "untrained", "frozen-decoder", "frozen-encoder"] = "none"
    """Leave out a part of the learning: a control for what it adds."""
    auxiliary: float = 0.0
    """Weight of the auxiliary loss, in which features that died reconstruct what the others left; published: 1/32."""
    unit_norm: bool = True
    """Decoder rows keep norm 1, and gradients along them are taken out."""
    biases: Literal["one", "two"] = "one"
    """``two``: another bias is added after decoding, as in Yanovsky and Chernomoretz 2026; folded at the end."""
    centring: Literal["none", "global", "group"] = "none"
    """Mean subtracted first: of all tokens, or of each token's group. For cells a group is a gene, so ``group`` takes
    the gene's identity out and leaves the cell's state."""
    scaling: bool = True
    """Divide the vectors by their spread while training; folded into the biases at the end."""
    whitening: int = 0
    """Principal components of the vectors that count alike while training, so that small ones are learned too; folded
    into the weights at the end, whose decoder rows then have other norms than 1. 0: none."""
    shrinkage: float = 1.0
    """With ``whitening``: share of the mean variance that is added to that of each component first."""
    start: Literal["auto", "data", "random", "linear"] = "auto"
    """Initial directions: sampled vectors, random, or torch's initial linear layers. ``auto``: random where the vectors
    fill more than half of their dimensions, else sampled; residuals of cell models fill few."""
    start_scale: float | None = None
    """Initial norm of the encoder, over the one with the least initial error; by default 1.75 from sampled vectors and
    0.5 from random ones (fewer features then die), and 1 for ``gated`` and ``jumprelu``."""
    start_bias: Literal["mean", "median", "zero"] = "mean"
    """Initial decoder bias: mean, geometric median, or zero."""
    learning_rate: float = 1e-3
    """Peak of Adam's learning rate: linear warm-up, then cosine to zero."""
    warmup: float = 0.05
    """Share of the steps spent on warm-up."""
    batch_size: int = 2048
    """Tokens per step, drawn across cells."""
    batch_cells: int | None = None
    """Cells per step, each with all its tokens, instead of ``batch_size`` tokens drawn across cells."""
    epochs: int = 10
    """Passes over all tokens when training on cells."""
    tokens: Literal["present", "expressed", "weighted"] = "present"
    """Tokens learned from: of every measured gene, of genes with counts, or drawn in proportion to their value."""
    memory: int = 1 << 31
    """Bytes of vectors that may be kept for mixing. Where all fit, the model runs once; else once per epoch."""
    store: bool = False
    """Write the vectors to disk once, in bfloat16 with cells mixed, and train from there."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """How features are selected on a processor. ``float32``: exactly; ``bfloat16``: a little faster where the
    processor has instructions for it (elsewhere float32 is taken), and features whose pre-activations are nearly equal
    may be exchanged. The values kept are float32 either way."""
    dead_after: int = 200_000
    """Tokens without firing after which a feature counts as dead."""

    def __post_init__(self):
        for f in fields(self):
            value, choices = getattr(self, f.name), get_args(f.type) if get_origin(f.type) is Literal else ()
            if choices and value not in choices:
                raise ConfigError(f"{f.name} is {value!r}: expected one of {', '.join(map(repr, choices))}")
        for name in ("k", "expansion", "batch_size", "batch_cells", "epochs", "memory", "dead_after"):
            value = getattr(self, name)
            if value is not None:
                whole_number(value, name)
        for name in ("learning_rate", "start_scale"):
            if getattr(self, name) is not None and not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is {getattr(self, name)}: expected a positive number, such as 1e-3")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"warmup is {self.warmup}: expected a share of the steps, at least 0 and below 1")
        for name in ("auxiliary", "sparsity"):
            weight = getattr(self, name)
            if weight is not None and not 0 <= weight < math.inf:
                raise ConfigError(f"{name} is {weight}: expected the weight of a loss, a number of at least 0")
        if self.n_features is not None and self.n_features < self.k:
            raise ConfigError(
                f"n_features is {self.n_features} but k is {self.k}: a token cannot keep more features than "
                "there are; lower k or raise n_features"
            )
        if self.whitening < 0:
            raise ConfigError(f"whitening is {self.whitening}: expected a number of components, or 0 for none")
        if not 0 <= self.shrinkage < math.inf:
            raise ConfigError(f"shrinkage is {self.shrinkage}: expected a share of at least 0, such as 1.0")
        if self.whitening and self.target_layer is not None:
            raise ConfigError("whitening is for autoencoders; a transcoder (target_layer) has two kinds of vectors")
        rising = all(a < b for a, b in zip((0.0, *self.prefixes), self.prefixes, strict=False))
        if not self.prefixes or not rising or self.prefixes[-1] != 1:
            raise ConfigError(f"prefixes are {list(self.prefixes)}: expected rising shares that end with 1.0")
        if self.auxiliary > 0 and self.architecture in ("l1", "gated", "jumprelu"):
            raise ConfigError(f"auxiliary goes with architectures that count features, not with {self.architecture!r}")
        if not self.relu and self.architecture != "topk":
            raise ConfigError(f"relu = false goes with architecture 'topk' only, not with {self.architecture!r}")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> "SaeConfig":
        """Settings of published work, with changes.

        Raises:
            ConfigError: there is no such preset, or a change is not valid.
        """
        return cls(**{**preset(name), **changes})

    def width(self, d_model: int) -> int:
        """Number of features on vectors of ``d_model`` dimensions.

        Raises:
            ConfigError: there would be fewer features than are kept at each token.
        """
        width = self.n_features if self.n_features is not None else self.expansion * d_model
        if width < self.k:
            raise ConfigError(
                f"{width} features (expansion {self.expansion} x d_model {d_model}) are fewer than k "
                f"{self.k}; lower k or raise expansion"
            )
        return width
