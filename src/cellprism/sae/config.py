"""Settings of a sparse autoencoder and its training."""

from dataclasses import dataclass
from typing import Literal

from cellprism.errors import ConfigError


@dataclass(frozen=True)
class SaeConfig:
    """Settings of a sparse autoencoder and its training; checked when made."""

    architecture: Literal["topk"] = "topk"
    """How features are selected: ``topk`` keeps the k largest at each token."""
    k: int = 12
    """Features kept at each token."""
    expansion: int = 8
    """Features per dimension of the residual stream; not used where ``n_features`` is given."""
    n_features: int | None = None
    """Number of features; by default ``expansion`` x d_model."""
    relu: bool = True
    """Set kept values below zero to zero. False: they stay negative, as in Yanovsky and Chernomoretz 2026."""
    centring: Literal["none", "group"] = "none"
    """``group``: subtract the mean vector of each token's group first. For cells a group is a gene, so this
    takes the gene's identity out and leaves the cell's state."""
    learning_rate: float = 1e-3
    """Peak of Adam's learning rate: linear warm-up, then cosine to zero."""
    warmup: float = 0.05
    """Share of the steps spent on warm-up."""
    batch_size: int = 2048
    """Tokens per step, drawn across cells."""
    epochs: int = 10
    """Passes over all tokens when training on cells."""
    memory: int = 1 << 31
    """Bytes of residuals that may be kept for shuffling. Where all fit, the model runs once; else once per
    epoch.
    """
    dead_after: int = 200_000
    """Tokens without firing after which a feature counts as dead in the history."""

    def __post_init__(self):
        if self.architecture != "topk":
            raise ConfigError(f"architecture is {self.architecture!r}: expected 'topk'")
        if self.centring not in ("none", "group"):
            raise ConfigError(f"centring is {self.centring!r}: expected 'none' or 'group'")
        counts = ("k", "expansion", "batch_size", "epochs", "memory", "dead_after")
        for name in counts:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: expected a whole number of at least 1")
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate is {self.learning_rate}: expected a positive number, such as 1e-3")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"warmup is {self.warmup}: expected a share of the steps, at least 0 and below 1")
        if self.n_features is not None and self.n_features < self.k:
            raise ConfigError(
                f"n_features is {self.n_features} but k is {self.k}: a token cannot keep more features than "
                "there are; lower k or raise n_features"
            )

    def width(self, d_model: int) -> int:
        """Number of features on a residual stream of ``d_model`` dimensions.

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
