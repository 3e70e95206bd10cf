"""Claims as a data frame."""

from collections.abc import Sequence

import pandas as pd

from cellprism.report.claims import Claim

COLUMNS: list[str] = [
    "section", "statement", "value", "low", "high", "unit", "null", "null_value", "null_low", "null_high", "p", "q",
    "verdict", "why", "unit_of_inference", "n", "published", "file", "field",
]  # fmt: skip


def claim_table(claims: Sequence[Claim]) -> pd.DataFrame:
    """One row a claim in the order of the page, named by its id; what a claim does not have is missing."""
    rows = [_row(claim) for claim in claims]
    return pd.DataFrame(rows, index=pd.Index([claim.id for claim in claims], name="claim"), columns=pd.Index(COLUMNS))


def _row(claim: Claim) -> dict[str, object]:
    null, source, published = claim.null, claim.source, claim.published
    low, high = claim.interval or (None, None)
    null_low, null_high = (null.interval if null else None) or (None, None)
    return {
        "section": claim.section, "statement": claim.statement, "value": claim.value, "low": low, "high": high,
        "unit": claim.unit, "null": null.name if null else None, "null_value": null.value if null else None,
        "null_low": null_low, "null_high": null_high, "p": null.p if null else None, "q": claim.q,
        "verdict": claim.verdict, "why": claim.why, "unit_of_inference": claim.test.unit_of_inference,
        "n": claim.test.n, "published": published.text if published else None,
        "file": source.file if source else None, "field": source.field if source else None,
    }  # fmt: skip
