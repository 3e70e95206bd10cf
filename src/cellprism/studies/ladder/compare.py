"""Features beside one control under one rule, and which fair control they exceed least."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from anndata import AnnData

from cellprism.enrich.list_rules import Lists
from cellprism.enrich.nulls import null_means, null_rates
from cellprism.enrich.random_lists import MakesModules, coexpression_modules
from cellprism.equations.effects import permutation_p
from cellprism.equations.least import least_mean
from cellprism.equations.units import unit_mean
from cellprism.studies.ladder.score import Matched, Scorer
from cellprism.studies.ladder.tables import Hardest, RuleResult, Rung
from cellprism.studies.programs.over_seeds import excess_of
from cellprism.studies.programs.seeds import REPLICATES
from cellprism.studies.programs.settings import ProgramsSettings


def made_rung(name: str, pairs: Sequence[tuple[Matched, Matched]], unfair: str = "") -> Rung:
    """A control with lists of its own.

    Args:
        name: of the control.
        pairs: what the features' lists and the control's match, autoencoder by autoencoder, the run's own first.
        unfair: why it is not judged.
    """
    shares, controls = ([one[side].rate for one in pairs] for side in (0, 1))
    ours, theirs = pairs[0]
    n = min(ours.total, theirs.total)
    spread = unit_mean(np.array(controls)).interval if len(set(controls)) > 1 else None
    return Rung(
        name, excess_of(name, shares, controls, n), spread, theirs.total, theirs.distinct(n), ours.distinct(n), unfair
    )


@dataclass(frozen=True)
class Draws:
    """How lists are drawn for controls.

    A control that is drawn has lists as many and as long as the features', family after family; beside further
    autoencoders the mean of ``REPLICATES`` families stands.
    """

    collection: Mapping[str, Any]
    background: tuple[str, ...]
    cells: AnnData
    tested: ProgramsSettings
    replicates: int
    seed: int
    modules: MakesModules = coexpression_modules

    def rung(self, name: str, ours: Sequence[Lists], unfair: str = "") -> Rung:
        """A drawn control beside the features' lists, autoencoder by autoencoder."""
        common: dict[str, Any] = {
            "nulls": (name,), "seed": self.seed, "family": self.tested.family, "alpha": self.tested.alpha,
            "min_term_size": self.tested.min_term_size, "modules": self.modules,
        }  # fmt: skip
        given = self.collection, self.background, self.cells
        found = null_rates(ours[0], *given, replicates=self.replicates, **common)
        measured = found.summary.set_index("measure")
        rate, distinct = measured.loc["annotated_rate"], measured.loc["distinct_terms"]
        shares, controls = [float(rate["observed"])], [float(rate["mean"])]
        if ours[1:]:
            means = null_means(ours[1:], *given, replicates=min(REPLICATES, self.replicates), **common)
            shares, controls = shares + means["observed"].tolist(), controls + means[name].tolist()
        p = permutation_p(shares[0], found.replicates["annotated_rate"].to_numpy())
        return Rung(
            name, excess_of(name, shares, controls, len(ours[0]), p, self.replicates),
            (float(rate["low"]), float(rate["high"])), len(ours[0]), float(distinct["mean"]),
            float(distinct["observed"]), unfair,
        )  # fmt: skip


def hardest_of(rungs: Sequence[Rung]) -> Hardest | None:
    """The fair rung that is exceeded least, with the interval of the least excess over all fair ones."""
    fair = [rung for rung in rungs if not rung.unfair]
    if not fair:
        return None
    x = np.array([np.subtract(rung.excess.shares, rung.excess.controls) for rung in fair])
    found = least_mean(x, np.array([np.nan if rung.excess.p is None else rung.excess.p for rung in fair]))
    draws = [rung.excess.draws for rung in fair if rung.excess.draws is not None]
    return Hardest(
        fair[found.place].name, found.mean, found.interval, found.p, min(draws) if draws else None, len(fair)
    )


def result_of(
    rule: str, ours: Sequence[Matched], lists: Lists, rungs: Sequence[Rung], missing: Sequence[str] = ()
) -> RuleResult:
    """All rungs under a rule.

    Args:
        rule: its name.
        ours: what the features' lists match, by autoencoder.
        lists: those of the run's own.
        rungs: the controls.
        missing: names of those that have no lists by this rule.
    """
    shares, hardest = [one.rate for one in ours], hardest_of(rungs)
    control = next((rung.excess.control for rung in rungs if hardest and rung.name == hardest.name), None)
    return RuleResult(
        rule, float(np.mean(shares)), control, shares, unit_mean(np.array(shares)).interval, len(lists),
        float(np.mean([len(genes) for genes in lists.values()])), list(rungs), list(missing), hardest,
    )  # fmt: skip


def paired(scorer: Scorer, ours: Sequence[Lists], theirs: Sequence[Lists], seed: int) -> list[tuple[Matched, Matched]]:
    """What features and a control match, autoencoder by autoencoder."""
    return [
        scorer.beside(a, b, np.random.default_rng([seed, 41, i]))
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True))
    ]
