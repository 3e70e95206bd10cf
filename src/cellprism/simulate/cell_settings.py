"""Settings of planted cells, and the sizes that go by name."""

import math
from dataclasses import dataclass
from typing import Any

from cellprism.errors import ConfigError

MOST_VALUES = 10_000_000_000
"""Cells times genes; more than any atlas has."""
LOGARITHMS = (
    "effect", "donor_spread", "batch_spread", "base_spread", "depth_spread", "regulation", "regulator_spread",
)  # fmt: skip
LARGEST_EFFECT = 5.0
"""Natural logarithms of expression; several of them add up in one gene."""
MOST_COUNTS = 10_000_000.0
"""Of a cell; a hundred times what is sequenced."""
PRESETS: dict[str, dict[str, Any]] = {
    "small": {
        "cells": 301, "genes": 211, "programs": 7, "program_genes": 17, "types": 3, "donors": 2, "regulators": 5,
        "targets": 7, "depth": 1500.0,
    },
    "standard": {},
}  # fmt: skip
"""Changes from the defaults. ``small`` takes a fraction of a second, ``standard`` some seconds."""


@dataclass(frozen=True)
class PlantedSettings:
    """What planted cells are made of; checked when made. Effects are in natural logarithms of expression."""

    cells: int = 4000
    genes: int = 1500
    programs: int = 40
    """Gene programs; 0 for cells without any."""
    program_genes: int = 30
    """Genes of a program; nested ones have half as many."""
    overlapping: float = 0.25
    """Share of the programs that take a third of their genes from another."""
    nested: float = 0.15
    """Share of the programs that lie inside another."""
    types: int = 8
    active_share: float = 0.3
    """Chance that a type uses a program."""
    effect: float = 0.8
    """Mean rise of a program's gene where the program is at activity 1."""
    donors: int = 4
    batches: int = 2
    """Donors are dealt to batches in turn."""
    donor_spread: float = 0.15
    """Standard deviation of a gene's level between donors."""
    batch_spread: float = 0.15
    """The same between batches."""
    case_programs: int = 0
    """Programs that are more active in the last half of the donors, whose cells have the condition ``case`` and the
    others ``control``; 0 for cells without conditions."""
    case_effect: float = 1.0
    """How much more active they are there: activity is multiplied by 1 + this."""
    regulators: int = 30
    """Genes that drive others; 0 for none."""
    targets: int = 12
    """Genes that each regulator drives."""
    regulation: float = 0.6
    """Mean size of the drive: change of the target per change of the regulator."""
    regulator_spread: float = 0.7
    """Standard deviation of a regulator's own level over cells."""
    base_spread: float = 1.2
    """Standard deviation of the genes' levels."""
    depth: float = 4000.0
    """Median counts of a cell."""
    depth_spread: float = 0.35
    """Standard deviation of the logarithm of depth."""
    dispersion: float = 5.0
    """r of the negative binomial, whose variance is m + m^2 / r."""

    def __post_init__(self):
        for name, value in vars(self).items():
            if not math.isfinite(value):
                raise ConfigError(f"{name} is {value}: expected a finite number")
        if self.cells * self.genes > MOST_VALUES:
            raise ConfigError(
                f"{self.cells:,} cells of {self.genes:,} genes are {self.cells * self.genes:,} values: expected at "
                f"most {MOST_VALUES:,}"
            )
        for name in ("cells", "genes", "program_genes", "types", "donors", "batches", "targets"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: expected at least 1")
        positive = ("programs", "regulators", "effect", "case_effect", "donor_spread", "batch_spread", "base_spread")
        for name in (*positive, "depth_spread"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}: expected 0 or more")
        if not 0 <= self.case_programs <= self.programs:
            raise ConfigError(f"case_programs is {self.case_programs}: expected from 0 to the {self.programs} programs")
        for name in LOGARITHMS:
            if abs(getattr(self, name)) > LARGEST_EFFECT:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}: expected a natural logarithm, at most {LARGEST_EFFECT}"
                )
        for name in ("overlapping", "nested", "active_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: expected a share from 0 to 1")
        for name, most in (("depth", MOST_COUNTS), ("dispersion", math.inf)):
            if not 0 < getattr(self, name) <= most:
                raise ConfigError(f"{name} is {getattr(self, name)}: expected a positive number, at most {most:,.0f}")
        needed = max(self.program_genes * 3, self.regulators + self.targets)
        if self.genes < needed:
            raise ConfigError(
                f"genes is {self.genes}: programs of {self.program_genes} genes and {self.regulators} regulators with "
                f"{self.targets} targets need at least {needed}"
            )

    @classmethod
    def preset(cls, name: str, **changes: Any) -> "PlantedSettings":
        """Settings by name, with changes.

        Raises:
            ConfigError: there is no such preset, or a change is not valid.
        """
        if name not in PRESETS:
            raise ConfigError(f"there is no preset {name!r}: expected one of {', '.join(PRESETS)}")
        return cls(**{**PRESETS[name], **changes})
