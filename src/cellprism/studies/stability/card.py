"""Whether another training finds one feature again."""

from collections.abc import Sequence

import numpy as np

from cellprism.report.card import Fact
from cellprism.report.claims import Claim
from cellprism.studies.stability.tables import FEATURES, GRADES, Stability


def facts(found: Stability, claims: Sequence[Claim], feature: int) -> list[Fact]:
    """Its grade, and how like its matches are, each beside what dictionaries that were drawn give."""
    row, at = found.features.set_index("feature").loc[feature], f"stability/{FEATURES}"
    grade = str(row["grade"])
    said = [Fact("grade", grade or None, at, GRADES.get(grade, "it is silent on the cells that were compared"))]
    if not grade:
        return said
    chance = f"of features, by chance {found.agreement.again.by_chance:.1%}" if found.agreement else ""
    said += [
        Fact("found again by (share of trainings)", float(row["found_again"]), at, chance),
        Fact("likeness of its matches", float(row["likeness"]), at, f"1 in 20 drawn dictionaries {row['chance']:.2f}"),
        Fact(
            "rebuilt from others", float(row["rebuilt"]), at,
            f"share of its direction; 1 in 20 drawn dictionaries {row['chance_rebuilt']:.2f}",
        ),
    ]  # fmt: skip
    if not np.isnan(elsewhere := float(row["found_elsewhere"])):
        said.append(Fact("found by trainings on other cells (share)", elsewhere, at))
    return said
