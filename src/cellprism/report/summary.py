"""The top of the page: what was looked at, large numbers with their hardest control, a tally of verdicts and errors."""

import math
from collections import Counter
from collections.abc import Sequence

from cellprism.report.claims import Claim, judgement
from cellprism.report.context import Context
from cellprism.report.multiple import sentences
from cellprism.report.section import KeyNumber, Section
from cellprism.report.verdict import VERDICTS


def key_numbers(claims: Sequence[Claim], part: str, words: str) -> list[KeyNumber]:
    """The large number of the claims whose id holds ``part``, beside the hardest control that is fair; none where none
    was measured. ``words`` go under the number."""
    measured = [c for c in claims if part in c.id and c.value is not None]
    if not measured:
        return []
    claim = hardest(measured)
    control = "no control was measured"
    if claim.null and claim.null.value is not None:
        control = f"{claim.show(claim.null.value)}, {claim.null.name.split(' (')[0]}"
    return [KeyNumber(claim.show(claim.value), words, control, claim.verdict, claim.id)]


def hardest(claims: Sequence[Claim]) -> Claim:
    """The claim with the highest control, of those that are fair where there are such."""
    return max([c for c in claims if _is_fair(c)] or claims, key=_control)


def _is_fair(claim: Claim) -> bool:
    """Whether the verdict is what the numbers say, so that nothing else forbids the comparison."""
    return judgement(claim.value, claim.interval, claim.null, matters=claim.test.matters).verdict == claim.verdict


def _control(claim: Claim) -> float:
    return -math.inf if claim.null is None or claim.null.value is None else claim.null.value


def summary_sentences(context: Context, sections: Sequence[Section], claims: Sequence[Claim]) -> list[str]:
    """What this run found, in plain sentences; parts that were not run are left out."""
    parts = [_what(context), *(section.summary for section in sections), _tally(claims), " ".join(sentences(claims))]
    return [s for s in parts if s]


def _what(context: Context) -> str:
    cells, model = context.cells, context.model
    if model is None or cells is None:
        return ""
    site = f" ({context.place})" if context.place else ""
    return (
        f"We looked inside the cell model {model.name}{site} while it read {cells.n_cells:,} cells of "
        f"{len(cells.types)} types, each with {cells.n_genes:,} measured genes."
    )


def _tally(claims: Sequence[Claim]) -> str:
    counts = Counter(claim.verdict for claim in claims)
    parts = [
        f"{counts[v]} {v if v != 'cannot be told here' else 'that cannot be told here'}" for v in VERDICTS if counts[v]
    ]
    return f"Of {len(claims)} claims on this page, we find " + ", ".join(parts) + "." if claims else ""
