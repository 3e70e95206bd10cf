"""Settings of dose sweeps and of contrasts; they know no torch, so that a page may name them."""

from dataclasses import dataclass

import numpy as np

from cellprism.errors import ConfigError

BY_CELL = "-by-cell"
UNSQUARED_LATENT, ENERGY_LATENT = "latent-unsquared" + BY_CELL, "latent-energy"
OBJECTIVES = ("latent", "expression", "latent" + BY_CELL, "expression" + BY_CELL, UNSQUARED_LATENT, ENERGY_LATENT)
"""What a recipe can bring close to the target: the mean embedding of the cells, or their mean expression of
differential genes; as published, every cell's own embedding or expression is brought close to the target's mean, which
cells can do by shrinking (the public code leaves out the square); or the embeddings of all cells as a sample, by their
energy distance, which cells cannot lower by shrinking."""

DIFFERENCE = "difference of means"
CONTROL, LIST = "control feature", "list of another feature"
"""With the difference of means, what a swept feature stands beside: kinds of rows of its table of nulls."""
LEAST_CELLS = 8
"""Cells in which a feature must fire to be judged, and to be a control."""
RECIPE, PERMUTED, RANDOM_RECIPE = "recipe", "permuted labels", "random recipe"
DIFFERENCE_PER_GENE = "difference of means per gene"
"""With the difference of means, the kinds of edits of a contrast."""
DOSES = (0.25, 0.5, 1.0, 2.0)
"""Norms of the recipe and of the difference of means, over that of the recipe."""

MULTIPLY, ADD, CLAMP = "multiply", "add", "clamp"
EDITS = (MULTIPLY, ADD, CLAMP)
"""What a recipe does to features, see ``contrast.turning``."""

GAP, FOLD_CHANGE, EQUAL = "gap", "fold change", "equal"
WEIGHTINGS = (GAP, FOLD_CHANGE, EQUAL)
"""How much each differential gene counts, see ``pareto.points.weighted``."""

READS = ("", "hidden", "visible")
"""Where genes can be read; empty: where the model was trained."""


def check_read(read: str) -> None:
    """Refuse a place to read that there is not.

    Raises:
        ConfigError: it is none of ``READS``.
    """
    if read not in READS:
        raise ConfigError(f"read is {read!r}; expected one of {list(READS)}, empty for where the model was trained")


LARGEST, BONFERRONI = "largest", "bonferroni"
LISTS = (LARGEST, BONFERRONI)


@dataclass(frozen=True)
class DoseSettings:
    """Doses, and how much chance to sample."""

    strengths: tuple[float, ...] = (-5.0, -3.0, -1.0, 0.0, 1.0, 2.0, 3.0, 5.0)
    """Strengths alpha to try; 1 does nothing."""
    judged_at: float = 4.0
    """Distance d from 1 at which a feature is judged and compared; 1 + d and 1 - d must be among the
    strengths."""
    controls: int = 39
    """Features of dictionaries that nobody trained beside each feature; fewer than 39 allow no verdict."""
    matched_genes: int = 5
    """Other genes of the same predicted expression per gene of the program; fewer for lists of more than 20."""
    top_genes: int = 100
    """Genes moved most, up and down, whose programs are looked up."""
    lists: str = LARGEST
    """Which genes are taken up into these lists: ``largest``, all that move by as much as counts; ``bonferroni``, those
    of them that also move by a paired t test over cells, corrected over genes, as published."""
    differential: bool = False
    """Take up only genes that differ, by a rank test at a false discovery rate of 5 %, between the cells of the type in
    which the feature stands out and all others, as published."""
    least_effect: float = 1e-3
    """Smallest effect that counts as moved, in log1p counts per ten thousand (or in logits); a feature that moves no
    gene by as much has no effect to judge."""
    batch_size: int = 16
    """Cells per forward pass; where genes are read hidden, rows, of which a cell has four."""
    read: str = ""
    """Where genes are read: ``hidden``, ``visible``, or empty for where the model was trained."""

    def __post_init__(self):
        ends = (1 + self.judged_at, 1 - self.judged_at)
        missing = [end for end in ends if end not in self.strengths]
        if self.judged_at <= 0 or missing:
            raise ConfigError(
                f"judged_at is {self.judged_at}, so strengths must hold {ends[0]:g} and {ends[1]:g}; "
                f"found {', '.join(f'{s:g}' for s in self.strengths)}"
            )
        check_read(self.read)
        if self.lists not in LISTS:
            raise ConfigError(f"lists is {self.lists!r}; expected one of {', '.join(LISTS)}")
        if not np.isfinite(self.strengths).all():
            raise ConfigError(f"strengths must be finite; found {self.strengths}")
        if min(self.matched_genes, self.top_genes, self.batch_size) < 1 or self.controls < 0:
            raise ConfigError("matched_genes, top_genes and batch_size must be at least 1, controls at least 0")


@dataclass(frozen=True)
class ContrastSettings:
    """How hard to search and how much chance to sample."""

    penalties: int = 6
    """Values of lambda on the path, below the one at which nothing moves."""
    smallest_penalty: float = 3e-3
    """Last value of lambda, as a share of the one at which nothing moves."""
    iterations: int = 2
    """Most gradients per value of lambda."""
    train_cells: int = 16
    """Source cells whose loss is descended, drawn from the training part. Time grows with it."""
    bound: float = 6.0
    """Largest |alpha - 1|: no strength leaves the range over which single features are swept."""
    max_cells: int = 200
    """Cells per type that are read at all, drawn evenly from the three parts. Memory and time grow with it."""
    n_genes: int = 100
    """Differential genes, half of them higher and half lower in the target."""
    null_replicates: int = 39
    """Searches with permuted labels, of the same effort. With n of them no p-value can be below 2 / (n + 1)."""
    random_edits: int = 39
    """Random recipes of the recipe's norm."""
    resamples: int = 500
    """Bootstrap samples of test cells behind each interval."""
    moved_at: float = 0.1
    """Gap fraction from which a named gene can be called moved."""
    batch_size: int = 16
    """Cells per forward pass; where genes are read hidden, rows, of which a cell has four."""
    read: str = ""
    """Where genes are read: ``hidden``, ``visible``, or empty for where the model was trained."""

    def __post_init__(self):
        for name in ("penalties", "iterations", "train_cells", "max_cells", "resamples", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        check_read(self.read)
        if self.n_genes < 2:
            raise ConfigError(f"n_genes is {self.n_genes}; it must be at least 2, one for each direction")
        if self.bound <= 0:
            raise ConfigError(f"bound is {self.bound}; it must be above 0, such as 6 for strengths from -5 to 7")
        for name in ("null_replicates", "random_edits"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        if not 0 < self.smallest_penalty < 1:
            raise ConfigError(
                f"smallest_penalty is {self.smallest_penalty}; give a share between 0 and 1, such as 0.003"
            )
