"""The part of the page that says which features to trust with a name."""

from collections.abc import Sequence

from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.report.figure import NumberTable, percent
from cellprism.report.findings import than_control
from cellprism.report.section import Section, Table
from cellprism.studies.stability.claims import PATH
from cellprism.studies.stability.figures import grades_figure, matches_figure
from cellprism.studies.stability.tables import FEATURES, GRADES, Again, Agreement, Stability

TITLE, SHORT = "Would another training find the same features?", "Stability"
SHOWN = 12


def section(found: Stability | None, claims: Sequence[Claim], context: Context) -> Section:
    """Grades, matches, and the features with programs that are found again best."""
    if found is None:
        absent = "Features of several trainings were not compared; `cellprism do stability RUN` does it."
        return Section("stability", TITLE, SHORT, "", absent=absent)
    if found.agreement is None:
        absent = "A transcoder's directions lie in another block than the tokens that it reads; none were compared."
        return Section("stability", TITLE, SHORT, "", absent=absent)
    files = (PATH, f"stability/{FEATURES}")
    tables = [Table(_caption(found.agreement), _numbers(found.agreement))]
    if (best := _best(found)).rows:
        tables.append(Table(f"Features with a program that most trainings find again (stability/{FEATURES}).", best))
    return Section(
        "stability", TITLE, SHORT, _said(found.agreement, claims),
        [(grades_figure(found, files),), (matches_figure(found, files),)], tables,
        told={c.id: f"{_again(c)}, {than_control(c)}." for c in claims if c.value is not None},
        method=_method(found.agreement),
        cannot=["Name features by their numbers: another training numbers them anew. Refer to them by their genes."],
    )  # fmt: skip


def _again(claim: Claim) -> str:
    """``43 % of features are found again by another training with another seed``."""
    return f"{claim.show(claim.value)} of f{claim.statement[1:]}"


def _said(found: Agreement, claims: Sequence[Claim]) -> str:
    grades, again = found.grades, [claim for claim in claims if claim.value is not None]
    said = [f"{_again(claim)}, {claim.show(claim.null.value)} would be by chance." for claim in again if claim.null]
    said.append(
        f"Of {found.firing} features, {grades['A']} are found again by at least half of {len(found.seeds) - 1} other "
        f"trainings (grade A), {grades['B']} as a mixture of theirs (B), {grades['C']} in neither way (C): name no "
        "program after these."
    )
    return " ".join(said)


def _method(found: Agreement) -> str:
    again = found.again
    return (
        f"Grade B: only as a mixture of {found.atoms} features of another training. Decoder rows matched one to one "
        f"have a mean cosine (PW-MCC) of {again.mean_cosine:.2f}, and of {again.chance_cosine:.2f} in dictionaries "
        f"that nobody trained; language models are said to have .80. {_consensus(found)}"
    ).strip()


def _consensus(found: Agreement) -> str:
    mean = found.consensus
    if mean is None:
        return ""
    low, high = min(mean.own), max(mean.own)
    place = "more than any of them" if mean.explained > high else "no more than they do"
    return (
        f"The mean of the directions that were found again explains {percent(mean.explained, 1)} of the variance, "
        f"{place} ({percent(low, 1)} to {percent(high, 1)})."
    )


def _caption(found: Agreement) -> str:
    return (
        f"Features found again ({PATH}). A feature's match in another training counts where it is better than in "
        f"{percent(1 - found.level)} of {found.draws} dictionaries drawn with the covariance of the same tokens; how "
        "good a match is, is the smaller of the cosine of decoder rows and the correlation of gene profiles on "
        f"{found.cells} cells. By chance: drawn dictionaries in the place of trainings."
    )


def _numbers(found: Agreement) -> NumberTable:
    rows = [("other seeds", found.again)] + ([(found.other, found.elsewhere)] if found.elsewhere else [])
    return NumberTable(
        ("trainings", "found again", "each training", "by chance", "p", "PW-MCC", "PW-MCC by chance"),
        [(name, *_cells(row)) for name, row in rows],
    )


def _cells(row: Again) -> tuple[str, ...]:
    low, high = row.interval
    return (
        percent(row.share), f"{percent(min(row.shares))} to {percent(max(row.shares))}",
        f"{percent(row.by_chance)} [{percent(low)}, {percent(high)}]", f"{row.p:.2g}", f"{row.mean_cosine:.2f}",
        f"{row.chance_cosine:.2f}",
    )  # fmt: skip


def _best(found: Stability) -> NumberTable:
    some = found.features.query("program != '' and grade == 'A'")
    some = some.sort_values(["found_again", "likeness"], ascending=False, kind="stable").head(SHOWN)
    rows = [
        (
            str(row["feature"]), str(row["program"]), f"{row['grade']}, {GRADES[row['grade']]}",
            percent(row["found_again"]), f"{row['cosine']:.2f}", f"{row['profile']:.2f}", f"{row['chance']:.2f}",
        )
        for row in some.to_dict("records")
    ]  # fmt: skip
    return NumberTable(
        ("feature", "program", "grade", "found again by", "cosine", "gene profile", "smaller of both by chance"), rows
    )
