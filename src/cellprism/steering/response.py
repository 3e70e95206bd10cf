"""How the genes of a feature's program respond to an edit, against other genes of the same level."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.stats import t as student_t

from cellprism.equations.effects import antisymmetry, nearest_others
from cellprism.errors import ConfigError

MATCHES = 100
"""Other genes that a long list is compared with; more would cost without telling more."""


@dataclass(frozen=True)
class GeneGroup:
    """Some genes and others of which the model says as much, as positions."""

    chosen: Int[np.ndarray, " some"]
    matched: Int[np.ndarray, " other"]

    @classmethod
    def of(
        cls,
        chosen: Int[np.ndarray, " some"],
        excluded: Int[np.ndarray, " others"],
        level: Float[np.ndarray, " gene"],
        per_gene: int,
    ) -> "GeneGroup":
        """Match genes by ``level``, at most ``per_gene`` each and only as many as give ``MATCHES`` in all; those
        ``excluded`` (the chosen ones and more of their kind) are never a match."""
        some = min(per_gene, max(1, MATCHES // max(1, len(chosen))))
        return cls(chosen, nearest_others(level, chosen, excluded, some))

    @property
    def genes(self) -> Int[np.ndarray, " some"]:
        """All of them."""
        return np.union1d(self.chosen, self.matched)

    def response(self, effect: Float[np.ndarray, " gene"]) -> float:
        """Mean effect on the chosen genes minus that on the matched ones; NaN without genes."""
        if not (self.chosen.size and self.matched.size):
            return np.nan
        return float(effect[self.chosen].mean() - effect[self.matched].mean())


@dataclass(frozen=True)
class Mirror:
    """Mean effects per gene of an edit at strengths 1 + d and 1 - d."""

    up: Float[np.ndarray, " gene"]
    down: Float[np.ndarray, " gene"]
    level: Float[np.ndarray, " gene"]
    """What the model predicts of the genes without an edit."""

    def response(self, group: GeneGroup) -> float:
        """Half the difference of the two responses: positive where up raises the genes and down lowers
        them."""
        return (group.response(self.up) - group.response(self.down)) / 2

    def antisymmetry(self, group: GeneGroup) -> float:
        """``equations.effects.antisymmetry`` over the genes of a group and those matched to them."""
        genes = group.genes
        return antisymmetry(self.up[genes], self.down[genes], self.level[genes])


@dataclass(frozen=True)
class Effect:
    """What an edit does to each gene, over the edited cells that express it; 0 where none does."""

    read: Float[np.ndarray, " gene"]
    """Mean change where the model is read."""
    direct: Float[np.ndarray, " gene"]
    """Mean change where it sees the gene, whose own token may be edited; the same where it is read there."""
    deviation: Float[np.ndarray, " gene"]
    """Standard deviation over these cells of the change where the model is read."""
    cells: Float[np.ndarray, " gene"]
    """How many these cells are."""
    rises: Float[np.ndarray, " gene"]
    """Share of these cells in which the gene rises by more than counts as nothing."""
    falls: Float[np.ndarray, " gene"]
    """Share of them in which it falls by more."""
    by_type: Float[np.ndarray, "type gene"]
    """Mean change where the model is read, over the cells of each type; NaN where none of a type expresses the
    gene."""

    @classmethod
    def still(cls, n_genes: int, n_types: int) -> "Effect":
        """That of no edit."""
        zero = np.zeros(n_genes)
        return cls(zero, zero, zero, zero, zero, zero, np.zeros((n_types, n_genes)))


@dataclass(frozen=True)
class Sweep:
    """Effects of one feature at every strength, and the genes it is judged on."""

    feature: int
    direction: int
    """Where its genes go when it is turned up, if it does what it stands for: 1, or -1 for a feature that is strong
    where they are low."""
    strengths: Float[np.ndarray, " dose"]
    by_dose: Sequence[Effect]
    """What each strength does."""
    own: GeneGroup
    """The feature's program."""
    held_out: GeneGroup | None
    """Genes of the program it stands for that are not its own."""
    level: Float[np.ndarray, " gene"]
    """What the model predicts of the genes without an edit."""

    @cached_property
    def effects(self) -> Float[np.ndarray, "dose gene"]:
        """Mean change of each gene's predicted value, over the cells that express it."""
        return np.stack([effect.read for effect in self.by_dose])

    def at(self, strength: float) -> Effect:
        """What one of the strengths does."""
        return self.by_dose[int(np.flatnonzero(self.strengths == strength)[0])]

    def mirror(self, distance: float) -> Mirror:
        """Effects at 1 + d and 1 - d."""
        return Mirror(self.at(1 + distance).read, self.at(1 - distance).read, self.level)

    def direct_mirror(self, distance: float) -> Mirror:
        """Direct effects at 1 + d and 1 - d."""
        return Mirror(self.at(1 + distance).direct, self.at(1 - distance).direct, self.level)

    def responses(self, group: GeneGroup) -> Float[np.ndarray, " dose"]:
        """Response of a group at every strength."""
        return np.array([group.response(effect) for effect in self.effects])


def positions_of(genes: Sequence[str], index: pd.Index, what: str) -> Int[np.ndarray, " some"]:
    """Positions of the genes that the cells have.

    Raises:
        ConfigError: none of them is there.
    """
    places = index.get_indexer(pd.Index(list(dict.fromkeys(genes)), dtype=object))
    places = np.sort(places[places >= 0])
    if places.size == 0:
        raise ConfigError(
            f"none of the {len(genes)} genes of {what} is among the cells' {len(index)}; name genes that they have"
        )
    return places


def top_moved(
    effect: Float[np.ndarray, " gene"],
    genes: pd.Index,
    sign: int,
    count: int,
    least: float,
    allowed: Bool[np.ndarray, " gene"] | None = None,
) -> list[str]:
    """Genes among the allowed ones, or all, that moved most in one direction, strongest first; fewer where fewer moved
    by at least ``least``."""
    signed = sign * effect if allowed is None else np.where(allowed, sign * effect, -np.inf)
    order = np.argsort(-signed, kind="stable")[:count]
    return [str(genes[i]) for i in order if signed[i] >= least]


def moves_surely(effect: Effect, level: float) -> Bool[np.ndarray, " gene"]:
    """Genes whose mean change differs from 0 by a paired t test over cells, Bonferroni over the genes.

    Source: Yanovsky and Chernomoretz 2026, whose lists are made of these genes. The model is deterministic, so with
    enough cells it calls every gene that moves at all.
    """
    n = effect.cells
    told = (n >= 2) & (effect.deviation > 0)
    t = np.divide(effect.read * np.sqrt(n), effect.deviation, out=np.zeros_like(effect.read), where=told)
    p = np.where(told, 2 * student_t.sf(np.abs(t), np.maximum(n - 1, 1)), 1.0)
    return p * len(p) < level
