"""Nothing of this study is judged: it has no control whose calibration is known. Its numbers stand beside those of
other edits of the same size."""

from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.studies.pareto.tables import Pareto


def claims(found: Pareto, context: Context) -> list[Claim]:
    """None."""
    return []
