"""The top of the page: what was looked at, and the few claims that stand first.

Which claims these are is one rule, which looks at no result. Every study names them in its record (``Study.headline``)
before any run is seen, as patterns of ids: a question each. Where several claims answer one question, each beside
another control, the one with the hardest control that is fair stands first. They are shown in the order of the studies,
whatever they say.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from cellprism.report.claims import Claim, judgement
from cellprism.report.context import Context
from cellprism.report.section import Section
from cellprism.report.verdict import VERDICTS

_BESIDE = {
    "above chance": "more than",
    "below chance": "less than",
    "at chance": "no more than",
    "cannot be told here": "not told apart from",
}


@dataclass(frozen=True)
class Finding:
    """One line at the top of the page."""

    claim: Claim
    said: str
    """What was found, in one plain sentence."""
    section: str
    """Id of the section with its figure."""

    @property
    def control(self) -> str:
        """What the control gives, with its name."""
        return control_of(self.claim)

    @property
    def by_chance(self) -> str:
        """What the control gives."""
        return self.claim.plain(self.claim.null.value if self.claim.null else None)


def findings_of(headline: Sequence[str], section: Section) -> list[Finding]:
    """The lines of one study: a claim for each pattern that some of its claims have."""
    found = []
    for pattern in headline:
        if measured := [c for c in section.claims if fnmatchcase(c.id, pattern) and c.value is not None]:
            claim = hardest(measured)
            found.append(Finding(claim, section.told.get(claim.id) or _plain(claim), section.id))
    return found


def hardest(claims: Sequence[Claim]) -> Claim:
    """The claim with the highest control, of those that are fair where there are such."""
    return max([c for c in claims if _is_fair(c)] or claims, key=_control)


def control_of(claim: Claim) -> str:
    """The name of a claim's control and what it gives."""
    null = claim.null
    if null is None or null.value is None:
        return "no control was measured"
    return f"{null.name.split(' (')[0]}: {claim.plain(null.value)}"


def than_control(claim: Claim) -> str:
    """How a number stands to its control, as the verdict says: ``more than raw neurons``."""
    return f"{_BESIDE[claim.verdict]} {claim.null.name.split(' (')[0] if claim.null else 'any control'}"


def _plain(claim: Claim) -> str:
    return f"{claim.statement}: {claim.plain(claim.value)} {claim.unit}."


def _is_fair(claim: Claim) -> bool:
    """Whether the verdict is what the numbers say, so that nothing else forbids the comparison."""
    return judgement(claim.value, claim.interval, claim.null, matters=claim.test.matters).verdict == claim.verdict


def _control(claim: Claim) -> float:
    return -math.inf if claim.null is None or claim.null.value is None else claim.null.value


def looked_at(context: Context) -> str:
    """Which model, at which site, while it read which cells; empty before there are any."""
    cells, model = context.cells, context.model
    if model is None or cells is None:
        return ""
    site = f" ({context.place})" if context.place else ""
    return (
        f"We looked inside the cell model {model.name}{site} while it read {cells.n_cells:,} cells of "
        f"{len(cells.types)} types, each with {cells.n_genes:,} measured genes."
    )


def tally(claims: Sequence[Claim]) -> str:
    """How many claims there are of each verdict."""
    counts = Counter(claim.verdict for claim in claims)
    parts = [f"{counts[v]} {v.removesuffix(' here')}" for v in VERDICTS if counts[v]]
    return f"{len(claims)} claim{'s' if len(claims) > 1 else ''}: {', '.join(parts)}." if claims else ""
