"""What happened when one feature was steered."""

from collections.abc import Sequence

from cellprism.report.card import Fact
from cellprism.report.claims import Claim
from cellprism.studies.steer.claims import id_of
from cellprism.studies.steer.tables import Steering


def facts(found: Steering, claims: Sequence[Claim], feature: int) -> list[Fact]:
    """Its claims, in every experiment in which it was steered; none where it was not."""
    starts = tuple(id_of(experiment, feature, "") for experiment in found.experiments)
    return [
        Fact(claim.statement, claim.value, claim.source.file if claim.source else "", _beside(claim))
        for claim in claims
        if claim.id.startswith(starts)
    ]


def _beside(claim: Claim) -> str:
    """Its control and verdict."""
    parts = [claim.verdict]
    if claim.null is not None and claim.null.interval is not None:
        low, high = map(claim.show, claim.null.interval)
        parts.append(f"{claim.null.name}: {low} to {high}")
    return "; ".join(parts)
