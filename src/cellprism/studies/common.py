"""The settings that every study shares: which cells, which model, which site, which autoencoder."""

from dataclasses import asdict, dataclass, field
from typing import Any

from cellprism.errors import ConfigError
from cellprism.sae.config import SaeConfig
from cellprism.store.seed import check_seed


@dataclass(frozen=True)
class ModelOptions:
    """How the model is loaded; only what is set goes to its family, which says if it does not take it."""

    gene_subset: bool = False
    """Leave out genes that the data do not have, where the model was trained with zeros for them (AIDO.Cell): cheaper,
    and marked in the model's card."""
    genes: str = field(default="", metadata={"source": "path"})
    """The model's gene list, where it does not lie beside the weights; empty: the one there."""

    def given(self) -> dict[str, Any]:
        """The options that are set."""
        return {name: value for name, value in asdict(self).items() if value}


@dataclass(frozen=True)
class CommonConfig:
    """Everything that decides a run's results; each study has a section of its own."""

    cells: str = field(metadata={"source": "cells"})
    """Raw counts: a file, a 10x folder, or the name of a data set."""
    model: str = field(default="pbmc2", metadata={"source": "model"})
    """``pbmc2``, a model folder or file, ``hf://owner/name@COMMIT``, or ``FAMILY:WHAT``, such as ``obsm:X_pca``."""
    model_options: ModelOptions = field(default_factory=ModelOptions)
    """How the model is loaded."""
    layer: int = 1
    """Block whose output is read and edited, counted from 0."""
    labels: str = ""
    """obs column with cell types; empty: the one known for the data set, or ``cell_type``."""
    counts: str = ""
    """Which matrix of an .h5ad file holds raw counts: ``X``, ``layers/NAME`` or ``raw``; empty: ``X``."""
    totals: str = ""
    """obs column with each cell's count over all genes, where the matrix holds only some; empty: it holds all."""
    only: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Read only some cells: obs column -> the values that a cell may have; ``cell_type`` means the cell types."""
    pool: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Cell types to take together: new name -> the labels that it stands for."""
    seed: int = 0
    """Seed of every random choice."""
    train: SaeConfig = field(default_factory=lambda: SaeConfig(centring="group"))
    """The autoencoder; by default each gene's mean residual is taken off first."""

    def __post_init__(self):
        for name in ("cells", "model"):
            text = getattr(self, name)
            check(bool(text.strip()) and "\0" not in text, name, text, "a path or a name")
        check(self.layer >= 0, "layer", self.layer, "the number of a block, from 0")
        check_seed(self.seed)
        pooled = [label for labels in self.pool.values() for label in labels]
        for name, labels in self.pool.items():
            check(bool(labels), f"pool.{name}", list(labels), "the labels that it stands for")
        if twice := sorted({label for label in pooled if pooled.count(label) > 1}):
            raise ConfigError(f"pool names {twice[0]!r} more than once: a cell has one type; take it out of the others")


def check(holds: bool, key: str, value: Any, expected: str) -> None:
    """Refuse a setting that is out of range.

    Raises:
        ConfigError: it does not hold.
    """
    if not holds:
        raise ConfigError(f"{key} is {value!r}: expected {expected}")
