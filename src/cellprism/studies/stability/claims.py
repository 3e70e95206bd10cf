"""The claims that features are found again, by other seeds and on the cells of another donor."""

from cellprism.report.claims import Claim, Null, Source, Test, judged
from cellprism.report.context import Context
from cellprism.report.published import NUMBERS
from cellprism.studies.stability.tables import FILE, Again, Agreement, Stability

SECTION = "Stability"
PATH = f"stability/{FILE}"
CONTROL = "dictionaries with the tokens' covariance in the place of trainings"


def claims(found: Stability, context: Context) -> list[Claim]:
    """One a comparison that was made."""
    agreement = found.agreement
    told = [
        _claim(
            "features-stable", "Features are found again by another training with another seed", agreement,
            agreement.again if agreement else None, "again",
        )
    ]  # fmt: skip
    if agreement is not None and agreement.elsewhere is not None:
        told.append(
            _claim(
                "features-stable-elsewhere", f"Features are found again by trainings on {agreement.other}", agreement,
                agreement.elsewhere, "elsewhere",
            )
        )  # fmt: skip
    return told


def _claim(id: str, statement: str, agreement: Agreement | None, row: Again | None, field: str) -> Claim:
    null = None
    if row is not None:
        null = Null(CONTROL, row.by_chance, row.interval, row.p, row.permutations)
    barred = ""
    if agreement is not None and agreement.draws < 1 / agreement.level:
        barred = f"{agreement.draws} dictionaries drawn are too few for a match to exceed nearly all of them"
    return judged(
        id,
        SECTION,
        statement,
        row.share if row else None,
        unit="of the features that fire, mean over trainings",
        format=".0%",
        published=NUMBERS["stability"],
        null=null,
        test=Test(
            "one-to-one match of decoder rows and gene profiles, better than in 95 % of drawn dictionaries; trainings "
            "and draws permuted",
            "two-sided",
            f"{agreement.draws} dictionaries drawn, {agreement.cells} cells" if agreement else "",
            unit_of_inference="dictionaries",
            n=len(row.shares) if row else None,
        ),
        source=Source(PATH, f"{field}.share") if row else None,
        why="" if row else "a transcoder's directions lie in another block than the tokens that it reads",
        barred=barred if row else "",
    )
