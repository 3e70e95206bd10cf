"""Many claims stand on one page: how many of their verdicts chance alone would give, and which outlast a correction.

- A verdict calls a number above or below chance at ``LEVEL``, so that were there nothing in any of the judged claims,
  at most that share of them would be called all the same. Claims that cannot be told call nothing.
- Claims with a p-value are corrected together. They share cells, model and features and depend on each other in ways
  that nobody knows, hence Benjamini and Yekutieli 2001 (false discovery rate under any dependence), not Benjamini and
  Hochberg 1995, which needs independence or positive dependence.
- A p-value of n draws is at least 2 / (1 + n). Claims whose draws are so few that they could not outlast even where
  every other claim does take no part: they cannot be discoveries, and leaving them out is decided by their number
  of draws alone, before any value is seen, as Tarone 1990 does. What is left is corrected over fewer claims.
- A claim that takes part and does not outlast may still have too few draws, given what the others came to: it is said
  that it cannot be told, not that there is nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import false_discovery_control

from cellprism.equations.effects import LEVEL
from cellprism.report.claims import Claim, Null, judgement
from cellprism.report.verdict import FEWEST_DRAWS, FEWEST_UNITS

OUTLASTS, FAILS, UNREACHED = "outlasts the correction", "does not outlast the correction", "cannot be told"
CALLED = ("above chance", "below chance")


def corrected(claims: Sequence[Claim]) -> list[Claim]:
    """The claims, those that were tested with their q and with what is left of their verdict.

    Formula: q_(i) = min over j >= i of p_(j) m (1 + 1/2 + ... + 1/m) / j, at most 1, for m claims that take part.
    """
    tested = [place for place, claim in enumerate(claims) if _is_tested(claim)]
    part = [place for place in tested if _null_of(claims[place]).least_p * _harmonic(len(tested)) < LEVEL]
    p = {place: float(_null_of(claims[place]).p or 0) for place in part}
    q = dict(zip(part, false_discovery_control(list(p.values()), method="by").tolist() if part else [], strict=True))
    found = list(claims)
    for place in tested:
        others = [value for other, value in p.items() if other != place]
        said = _said(claims[place], q.get(place), others) if claims[place].verdict in CALLED else ""
        found[place] = replace(claims[place], q=q.get(place), corrected=said)
    return found


def _said(claim: Claim, q: float | None, others: Sequence[float]) -> str:
    """What is left of a claim that is called above or below chance."""
    if q is not None and q < LEVEL:
        return OUTLASTS
    limit, null = limit_beside(others), _null_of(claim)
    if q is not None and null.least_p < limit:
        return FAILS
    return f"{UNREACHED} after correction: {null.draws} draws cannot reach it, {math.floor(2 / limit):,} could"


def limit_beside(others: Sequence[float]) -> float:
    """The p-value below which one more claim would outlast the correction, beside those of the others.

    Formula: j LEVEL / (m (1 + 1/2 + ... + 1/m)) with m claims in all, for the largest j such that j - 1 of the
    others lie below that.
    """
    m = len(others) + 1
    rank = np.arange(1, m + 1)
    limits = rank * LEVEL / (m * _harmonic(m))
    below = (np.asarray(others)[None, :] < limits[:, None]).sum(axis=1)
    return float(limits[below >= rank - 1].max())


def expected_false(claims: Sequence[Claim]) -> float:
    """The most verdicts that would be false on average, were there nothing in any claim that is judged."""
    return LEVEL * sum(claim.verdict != "cannot be told here" for claim in claims)


def sentences(claims: Sequence[Claim]) -> list[str]:
    """Both, in plain words; ``claims`` are corrected."""
    found = []
    if judged := sum(claim.verdict != "cannot be told here" for claim in claims):
        found.append(
            f"Were there nothing in any of the {judged} judged claims, up to {expected_false(claims):.1f} would be "
            "called above or below chance all the same."
        )
    if called := [claim for claim in claims if claim.corrected]:
        outlast = sum(map(outlasts, called))
        unreached = sum(claim.corrected.startswith(UNREACHED) for claim in called)
        found.append(
            f"Of the {len(called)} that are called so by a p-value, {outlast} outlast a correction over the "
            f"{sum(claim.q is not None for claim in claims)} claims that have enough draws for one (q < 0.05, "
            "Benjamini-Yekutieli, since claims about the same cells depend on each other in unknown ways)"
            + (f"; of {unreached} it cannot be told, since their draws are too few." if unreached else ".")
        )
    return found


def outlasts(claim: Claim) -> bool:
    """Whether a claim is called above or below chance, corrected for all on its page."""
    return claim.corrected == OUTLASTS


def _harmonic(m: int) -> float:
    """1 + 1/2 + ... + 1/m."""
    return float((1 / np.arange(1, m + 1)).sum())


def _null_of(claim: Claim) -> Null:
    assert claim.null is not None, "claims that are tested have a null"
    return claim.null


def _is_tested(claim: Claim) -> bool:
    """Whether a claim has a p-value, from enough draws or units, that nothing forbids to be used."""
    null = claim.null
    if claim.value is None or null is None or null.p is None or (null.draws is None and null.units is None):
        return False
    if (null.draws is not None and null.draws < FEWEST_DRAWS) or (null.units is not None and null.units < FEWEST_UNITS):
        return False
    said = judgement(claim.value, claim.interval, null, claim.format, claim.test.matters)
    return claim.verdict == said.verdict and (claim.why == said.why or claim.verdict != "cannot be told here")
