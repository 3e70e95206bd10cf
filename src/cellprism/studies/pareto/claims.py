"""How far one recipe goes in both at once, judged among recipes of permuted labels that the same search finds. All else
stands beside other edits of the same size, unjudged."""

from dataclasses import asdict

from cellprism.report.claims import Claim, Null, Source, Test, judged
from cellprism.report.context import Context, cells_of
from cellprism.report.verdict import SHARE_MATTERS
from cellprism.studies.files import drawn_null
from cellprism.studies.pareto.tables import SUMMARY, Both, Pareto, Summary

SECTION = "Both at once"
BOTH = "pareto-both-at-once"


def claims(found: Pareto, context: Context) -> list[Claim]:
    """Whether one recipe gains in the inner state and in expression at once."""
    if found.summary is None or found.summary.both is None:
        return []
    summary, both = found.summary, found.summary.both
    null = null_of(both)
    return [
        judged(
            BOTH, SECTION,
            f"One recipe, of any size, brings {cells_of(summary.source)} closer to {summary.target} in the inner state "
            f"and in expression{context.words.within} at once, against {null.name}",
            both.value, unit="of the squared distance, the lesser of both", format=".0%", null=null,
            test=Test(
                f"lesser gain on {summary.cells['test']['source']} test cells, ranked among {null.name}", "two-sided",
                f"{cells_of(summary.source)} and {cells_of(summary.target)}",
                unit_of_inference="edits; the cells are of one data set", n=null.draws, matters=SHARE_MATTERS,
            ),
            source=Source(f"pareto/{SUMMARY}", "summary.both.value"), barred=_barred(summary),
        )
    ]  # fmt: skip


def null_of(both: Both) -> Null:
    """What recipes of permuted labels gain."""
    return drawn_null("recipes fitted on permuted labels", asdict(both))


def _barred(summary: Summary) -> str:
    """Why nothing that is said of genes can be believed; empty where it can."""
    gaps = summary.gaps
    if gaps is not None and gaps.low is not None and gaps.low > 0:
        return ""
    return "on test cells the gaps that the model predicts between the two types do not follow those in the counts"
