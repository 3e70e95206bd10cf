"""Many claims stand on one page: how many of their verdicts chance alone would give, and which outlast a correction.

- A verdict calls a number above or below chance at ``LEVEL``, so that were there nothing in any of the judged claims,
  at most that share of them would be called all the same. Claims that cannot be told call nothing.
- Claims with a p-value are corrected together. They share cells, model and features and depend on each other in ways
  that nobody knows, hence Benjamini and Yekutieli 2001 (false discovery rate under any dependence), not Benjamini and
  Hochberg 1995, which needs independence or positive dependence.
"""

from collections.abc import Sequence
from dataclasses import replace

from scipy.stats import false_discovery_control

from cellprism.equations.effects import LEVEL
from cellprism.report.claims import Claim, judgement
from cellprism.report.verdict import FEWEST_DRAWS


def corrected(claims: Sequence[Claim]) -> list[Claim]:
    """The claims, those that were tested with their q; the correction is over all of them.

    Formula: q_(i) = min over j >= i of p_(j) m (1 + 1/2 + ... + 1/m) / j, at most 1, for m claims with p-values.
    """
    tested = [place for place, claim in enumerate(claims) if _is_tested(claim)]
    p = [claims[place].null.p for place in tested]  # pyright: ignore[reportOptionalMemberAccess]
    q = dict(zip(tested, false_discovery_control(p, method="by").tolist() if tested else [], strict=True))
    return [replace(claim, q=q.get(place)) for place, claim in enumerate(claims)]


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
    if tested := [claim for claim in claims if claim.q is not None]:
        said = sum(claim.verdict in ("above chance", "below chance") for claim in tested)
        outlast = sum(outlasts(claim) for claim in tested)
        found.append(
            f"Of the {said} that are called so by a p-value, {outlast} outlast a correction over all {len(tested)} "
            "claims with one (q < 0.05, Benjamini-Yekutieli, since claims about the same cells depend on each other in "
            "unknown ways)."
        )
    return found


def outlasts(claim: Claim) -> bool:
    """Whether a claim is called above or below chance, corrected for all on its page."""
    return claim.q is not None and claim.q < LEVEL and claim.verdict in ("above chance", "below chance")


def _is_tested(claim: Claim) -> bool:
    """Whether a claim has a p-value, from enough draws, that nothing forbids to be used."""
    null = claim.null
    if claim.value is None or null is None or null.p is None or (null.draws or 0) < FEWEST_DRAWS:
        return False
    said = judgement(claim.value, claim.interval, null, claim.format, claim.test.matters)
    return claim.verdict == said.verdict and (claim.why == said.why or claim.verdict != "cannot be told here")
