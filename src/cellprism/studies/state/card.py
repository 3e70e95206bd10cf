"""What is said of one feature: gene or state, and what goes with it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cellprism.report.card import Fact
from cellprism.report.claims import Claim
from cellprism.report.figure import small_text
from cellprism.studies.state.tables import FEATURES, FOLLOWED, Found

SHARES = {
    "of_gene": "variance that is which gene",
    "of_state": "variance that is the cell's state",
    "of_rest": "variance that is this gene in this cell",
}


def facts(found: Found, claims: Sequence[Claim], feature: int) -> list[Fact]:
    """How its variance splits, and its association with everything that is known of the cells."""
    row, at = found.features.set_index("feature").loc[feature], f"state/{FEATURES}"
    said = [Fact(words, _number(row[name]), at) for name, words in SHARES.items()]
    said.append(Fact("state against gene", _number(row["score"]), at, "1 a state of cells, −1 a gene, 0 noise"))
    for covariate in found.state.followed:
        within = covariate.within_types is not None
        r, q = (row[f"{covariate.name}_{kind}"] for kind in FOLLOWED[2 * within : 2 * within + 2])
        note = "" if np.isnan(q) else f"q = {small_text(float(q))} over features, unit: cells"
        measure = "eta of ranks" if covariate.groups else "rank correlation"
        where = " within cell types" if within else ""
        said.append(Fact(f"{covariate.name}, {measure}{where}", _number(r), at, note))
    return said


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
