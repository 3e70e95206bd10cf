"""From effects to answers: factor by factor against matched genes, then over all factors.

Notable choices

- Effects are balanced first (``equations.regulation.balanced``), so that a gene that moves everything, or follows
  everything, does not pass for a direction.
- *Forward* compares how far a factor moves its targets with how far it moves the genes matched to them, *reverse* how
  far targets and matches move the factor, *direction* the difference of the two, gene by gene. Each is a matched AUROC:
  one half is what exchangeable genes give.
- Over all factors the factor is the unit: factors share targets, so that the same is done with relabelled regulons,
  which overlap as the true ones do.
- What could be found is known before anything is measured: it follows from the numbers of targets and matches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import false_discovery_control, t

from cellprism.equations.effects import permutation_p
from cellprism.equations.regulation import (
    LEVEL,
    MatchedAuroc,
    auroc_p,
    balanced,
    detectable,
    equivalence_p,
    matched_auroc,
    sign_flip_p,
)
from cellprism.regulation.pools import Regulon

FORWARD, REVERSE, DIRECTION, SPECIFIC = "forward", "reverse", "direction", "specific"
MARGIN = 0.1
"""An AUROC between .4 and .6 is no difference that matters."""
DIRECTED, COEXPRESSED, UNTOLD = "directed", "co-expression only", "cannot be told"
Effects = Float[np.ndarray, "gene gene"]
ROUNDING = 1e-6  # of the effects


@dataclass(frozen=True)
class Compared:
    """One factor in one table of effects."""

    forward: MatchedAuroc
    reverse: MatchedAuroc
    direction: MatchedAuroc
    alike: MatchedAuroc
    """Forward, beside genes matched on expression and detection alone."""
    agreement: float
    """Share of targets with a known sign that move that way, minus that of their matches; NaN without signs."""


def compared(effects: Effects, own: Regulon) -> Compared:
    """A factor's targets beside the genes matched to them, in balanced effects."""
    ahead, back = effects[own.factor], effects[:, own.factor]
    values = {FORWARD: np.abs(ahead), REVERSE: np.abs(back), DIRECTION: surplus(ahead, back)}
    found = {name: matched_auroc(value[own.targets], value[own.matched]) for name, value in values.items()}
    alike = matched_auroc(values[FORWARD][own.targets], values[FORWARD][own.alike])
    return Compared(found[FORWARD], found[REVERSE], found[DIRECTION], alike, _agreement(ahead, own))


def surplus(ahead: Float[np.ndarray, " gene"], back: Float[np.ndarray, " gene"]) -> Float[np.ndarray, " gene"]:
    """How much larger the effects of one way are than those of the other; 0 where they differ by rounding alone."""
    found = np.abs(ahead) - np.abs(back)
    return np.where(np.abs(found) <= ROUNDING * (np.abs(ahead) + np.abs(back)), 0.0, found)


def _agreement(ahead: Float[np.ndarray, " gene"], own: Regulon) -> float:
    known = (own.sign != 0) & ~np.isnan(ahead[own.targets])
    if not known.any():
        return np.nan
    sign = own.sign[known]
    targets = np.sign(ahead[own.targets[known]]) == sign
    beside = np.sign(ahead[own.matched[known]]) == sign[:, None]
    return float(targets.mean() - beside.mean())


def factor_rows(
    effects: Mapping[tuple[str, str], Effects], regulons: Sequence[Regulon], genes: Sequence[str]
) -> pd.DataFrame:
    """One row a factor, cell type and probe, with q over all of them.

    Args:
        effects: (probe, cell type) -> effects as measured.
        regulons: factors with their matches.
        genes: of the panel.

    Returns:
        factor, type, probe, targets, matches (a target); forward, reverse, direction, alike (matched AUROCs);
        forward_p, direction_p, forward_q, direction_q (two-sided; Benjamini and Hochberg over all rows); agreement;
        detectable (the difference from one half that would be found with 80 % power); answer.
    """
    rows = []
    for (probe, kind), table in effects.items():
        even = balanced(table)
        for own in regulons:
            one = compared(even, own)
            if one.direction.n:
                rows.append(_row(genes[own.factor], kind, probe, own, one))
    found = pd.DataFrame(rows, columns=pd.Index(ROW))
    for name in (FORWARD, DIRECTION):
        p = found[f"{name}_p"].to_numpy(dtype=float)
        found[f"{name}_q"] = false_discovery_control(p, method="bh") if len(p) else p
    found["answer"] = [
        answer(*(float(row[name]) for name in (DIRECTION, "deviation", "direction_q"))) for _, row in found.iterrows()
    ]
    return found.drop(columns="deviation")


ROW = (
    "factor", "type", "probe", "targets", "matches", FORWARD, REVERSE, DIRECTION, "alike", "forward_p", "direction_p",
    "agreement", "detectable", "deviation",
)  # fmt: skip


def _row(name: str, kind: str, probe: str, own: Regulon, one: Compared) -> tuple:
    return (
        name, kind, probe, one.direction.n, own.matched.shape[1], one.forward.value, one.reverse.value,
        one.direction.value, one.alike.value, auroc_p(one.forward), auroc_p(one.direction), one.agreement,
        detectable(one.direction.deviation, 1), one.direction.deviation,
    )  # fmt: skip


def answer(direction: float, deviation: float, q: float) -> str:
    """Directed: targets lie above their matches beyond chance. Co-expression only: the 90 % interval lies within the
    margin around one half (two one-sided tests). Else it cannot be told."""
    if q < LEVEL and direction > 0.5:
        return DIRECTED
    half = 1.645 * deviation
    if direction - half > 0.5 - MARGIN and direction + half < 0.5 + MARGIN:
        return COEXPRESSED
    return UNTOLD


@dataclass(frozen=True)
class Overall:
    """One measure over all factors; the factor is the unit."""

    measure: str
    source: str
    """Whose effects: the model's, those of the model untrained, of ridge regression, of co-expression; or the model's
    in co-expressed pairs without an edge."""
    probe: str
    value: float
    """Mean matched AUROC."""
    interval: tuple[float, float]
    """95 % t interval over units."""
    p: float
    """Sign flips by unit, two-sided."""
    equivalence: float
    """P-value of its not lying within the margin around one half."""
    factors: int
    detectable: float
    """What as many units show with 80 % power: factors from their targets and matches alone, networks from their
    spread."""
    networks: int = 0
    """Untrained networks, which are the units then; 0: the factors are."""


def overall(measure: str, source: str, probe: str, found: Sequence[MatchedAuroc], seed: int) -> Overall | None:
    """Factors together; None where fewer than two have a value."""
    kept = [one for one in found if one.n]
    if len(kept) < 2:
        return None
    x = np.array([one.value for one in kept])
    return Overall(measure, source, probe, *_over_units(x, seed), len(x), detectable_over(kept))


def detectable_over(found: Sequence[MatchedAuroc]) -> float:
    """The difference from one half that the mean over some factors shows with 80 % power; from their targets and
    matches alone, so that it is known before anything is measured."""
    return detectable(float(np.sqrt(np.mean([one.deviation**2 for one in found]))), len(found)) if found else np.inf


def known_before(regulons: Sequence[Regulon]) -> float:
    """``detectable_over`` some regulons whose effects are yet to be measured."""
    return detectable_over([matched_auroc(np.zeros(len(r.targets)), np.zeros(r.matched.shape)) for r in regulons])


def over_networks(
    measure: str, source: str, probe: str, found: Sequence[Sequence[MatchedAuroc]], seed: int
) -> Overall | None:
    """Untrained networks together, each with all factors; None of fewer than two. The network is the unit: whatever
    direction one has by the accident of its weights all factors share, and so do data sets that it reads."""
    x = np.array([np.nanmean([one.value for one in each]) for each in found if any(one.n for one in each)])
    if len(x) < 2:
        return None
    factors = sum(one.n > 0 for one in found[0])
    smallest = detectable(float(x.std(ddof=1)), len(x))
    return Overall(measure, source, probe, *_over_units(x, seed), factors, smallest, len(x))


def one_more_network(untrained: Overall) -> tuple[float, float]:
    """Where one more network of the kind lies with 95 % confidence.

    Formula: m -+ t s sqrt(1 + 1 / n), which is the interval of the mean widened by sqrt(n + 1).
    """
    half = (untrained.interval[1] - untrained.value) * np.sqrt(untrained.networks + 1)
    return float(untrained.value - half), float(untrained.value + half)


def _over_units(x: Float[np.ndarray, " unit"], seed: int) -> tuple[float, tuple[float, float], float, float]:
    """Mean, 95 % t interval, p of sign flips around one half, and p of a difference that matters."""
    mean, half = float(x.mean()), float(t.ppf(1 - LEVEL / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    return mean, (mean - half, mean + half), sign_flip_p(x - 0.5, seed), equivalence_p(x - 0.5, MARGIN)


@dataclass(frozen=True)
class Relabelled:
    """What regulons whose genes' names were exchanged give under the same rules."""

    measure: str
    value: float
    """Of the true regulons: the mean AUROC, or the share of factors that move their targets specifically."""
    mean: float
    interval: tuple[float, float]
    """95 % of the draws."""
    p: float
    """Two-sided p of the true regulons among them."""
    draws: int
    called: float
    """Share of draws that the test over factors calls at .05."""


def specific(found: Sequence[MatchedAuroc]) -> float:
    """Share of factors whose targets are moved more than their matches at q < .05 over the factors; NaN without
    factors."""
    kept = [one for one in found if one.n]
    if not kept:
        return np.nan
    q = false_discovery_control([auroc_p(one) for one in kept], method="bh")
    return float(np.mean([(q_ < LEVEL) & (one.value > 0.5) for q_, one in zip(q, kept, strict=True)]))


def beside_relabelled(
    true: Sequence[MatchedAuroc], drawn: Sequence[Sequence[MatchedAuroc]], measure: str, seed: int
) -> Relabelled:
    """The mean AUROC of the true regulons among those of relabelled ones, and how often the test calls these."""
    means = np.array([np.nanmean([one.value for one in each]) for each in drawn])
    value = float(np.nanmean([one.value for one in true]))
    p = [sign_flip_p(np.array([one.value for one in each if one.n]) - 0.5, seed, 999) for each in drawn]
    return _among(measure, value, means, float(np.mean(np.array(p) <= LEVEL)))


def specific_beside_relabelled(true: Sequence[MatchedAuroc], drawn: Sequence[Sequence[MatchedAuroc]]) -> Relabelled:
    """The share of specific factors among those of relabelled regulons."""
    return _among(SPECIFIC, specific(true), np.array([specific(each) for each in drawn]), 0.0)


def _among(measure: str, value: float, drawn: Float[np.ndarray, " draw"], called: float) -> Relabelled:
    low, high = np.quantile(drawn, [0.025, 0.975])
    interval = (min(float(low), float(drawn.mean())), max(float(high), float(drawn.mean())))
    return Relabelled(
        measure, value, float(drawn.mean()), interval, permutation_p(value, drawn), len(drawn), called
    )  # fmt: skip


def of_measure(measure: str, effects: Effects, regulons: Sequence[Regulon]) -> list[MatchedAuroc]:
    """One measure of every factor, in balanced effects."""
    return [getattr(compared(effects, own), measure) for own in regulons]
