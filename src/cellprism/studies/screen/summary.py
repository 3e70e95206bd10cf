"""What holds for all screened features: how derivatives go with exact passes, how description goes with effect."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata, spearmanr

from cellprism.equations.ratio import varies
from cellprism.report.verdict import Interval
from cellprism.steering.screen.scalars import Scalar
from cellprism.studies.screen.tables import KINDS, Agreement, score_of

DRAWS = 2_000  # bootstrap draws of features
AGREES_AT = (0.0, 5.0)  # strengths at which derivatives are compared with exact passes
FEWEST = 4  # features of which a rank correlation is told


@dataclass(frozen=True, eq=False)
class Passed:
    """Features that were passed exactly, by their place among those that were screened."""

    top: Int[np.ndarray, " top"]
    random: Int[np.ndarray, " random"]
    effects: dict[int, Float[np.ndarray, "strength gene"]]
    strengths: tuple[float, ...]

    def at(self, place: int, strength: float) -> Float[np.ndarray, " gene"]:
        """What a feature does at a strength."""
        return self.effects[place][self.strengths.index(strength)]


def agreement(
    scalars: Sequence[Scalar], scores: dict[str, Float[np.ndarray, "scalar feature"]], passed: Passed, seed: int
) -> list[Agreement]:
    """Rank correlation of what each kind says with exact changes, at each strength of ``AGREES_AT``, of each number."""
    rows = []
    for name, places in (("random", passed.random), ("top and random", np.union1d(passed.top, passed.random))):
        for row, scalar in enumerate(scalars):
            for strength in AGREES_AT:
                exact = np.array([passed.at(place, strength) @ scalar.weights for place in places.tolist()])
                for kind in KINDS:
                    said = (strength - 1) * scores[score_of(kind, strength)][row, places]
                    r = rank_correlation(said, exact)
                    span = bootstrap_rank(said, exact, seed)
                    rows.append(Agreement(scalar.name, kind, name, len(places), strength, r, span))
    return rows


def rank_correlation(one: Float[np.ndarray, " some"], other: Float[np.ndarray, " some"]) -> float | None:
    """Spearman's; None for fewer than ``FEWEST``, or where either does not vary."""
    if len(one) < FEWEST or not varies(np.stack([one, other], axis=1)).all():
        return None
    return float(np.asarray(spearmanr(one, other))[0])


def bootstrap_rank(one: Float[np.ndarray, " some"], other: Float[np.ndarray, " some"], seed: int) -> Interval | None:
    """95 % bootstrap interval of ``rank_correlation``; None where it has none. It holds the value itself."""
    r = rank_correlation(one, other)
    if r is None:
        return None
    draws = np.random.default_rng([seed, 61]).integers(len(one), size=(DRAWS, len(one)))
    ranks = [rankdata(values[draws], axis=1) for values in (one, other)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    drawn = (a * b).sum(axis=1)[size > 0] / size[size > 0]
    low, high = np.quantile(drawn, [0.025, 0.975]) if drawn.size else (r, r)
    return min(float(low), r), max(float(high), r)


def quadrants(described: Float[np.ndarray, " feature"], effect: Float[np.ndarray, " feature"]) -> list[str]:
    """Which half each feature is in by description and by effect; the median itself counts as low."""
    says, does = described > np.median(described), effect > np.median(effect)
    return [
        f"{'described' if a else 'not described'}, {'moves genes' if b else 'moves little'}"
        for a, b in zip(says, does, strict=True)
    ]


def apart(
    described: Float[np.ndarray, " feature"], effect: Float[np.ndarray, " feature"]
) -> Float[np.ndarray, " feature"]:
    """Rank by description minus rank by effect, from -1 (does much, described by nothing) to 1 (the other way)."""
    return (rankdata(described) - rankdata(effect)) / max(1, len(described) - 1)
