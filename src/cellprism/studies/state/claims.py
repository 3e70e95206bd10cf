"""Claims about what goes with features."""

from cellprism.report.claims import Claim, Null, Source, Test, judged
from cellprism.report.context import Context
from cellprism.report.verdict import SHARE_MATTERS
from cellprism.studies.state.tables import DEPTH, FILE, G2M, MITOCHONDRIAL, RIBOSOMAL, Followed, Followers, Found, S

SECTION = "Gene or state"
WORDS = {
    DEPTH: "how deeply a cell was sequenced",
    MITOCHONDRIAL: "a cell's share of mitochondrial counts",
    RIBOSOMAL: "a cell's share of ribosomal counts",
    S: "a cell's score of the S phase",
    G2M: "a cell's score of the G2 and M phases",
}


def words_of(name: str) -> str:
    """What features go with, in a sentence."""
    return WORDS.get(name, f"{name!r} of a cell")


def judged_of(row: Followed) -> tuple[Followers, str]:
    """The followers that are judged, those within types where there are any, and the field that holds them."""
    return (row.over_cells, "over_cells") if row.within_types is None else (row.within_types, "within_types")


def claims(found: Found, context: Context) -> list[Claim]:
    """One for each thing that is known of the cells: do features go with it, where possible within cell types?"""
    return [_claim(row, number, found) for number, row in enumerate(found.state.followed)] if found.state.firing else []


def _claim(row: Followed, number: int, found: Found) -> Claim:
    state, (followers, field) = found.state, judged_of(row)
    within = field == "within_types"
    where = " within cell types" if within else ""
    measure = f"eta of ranks between {row.groups} groups" if row.groups else "rank correlation"
    return judged(
        id_of(row.name, number),
        SECTION,
        f"Features go with {words_of(row.name)}{where}",
        followers.share,
        unit="of firing features",
        format=".0%",
        null=Null(
            f"the same dealt out at random{' within each type' if within else ''}", followers.null, followers.interval,
            followers.p, state.permutations,
        ),
        test=Test(
            f"{measure} beyond the limit of p = .05, features counted; dealt out with all features kept together",
            "two-sided",
            f"{state.cells} cells; {state.firing} firing features",
            "none: one count of all features",
            "permutations of cells (of one data set, not donors)",
            state.permutations,
            SHARE_MATTERS,
        ),
        source=Source(f"state/{FILE}", f"followed.{number}.{field}.share"),
    )  # fmt: skip


def id_of(name: str, number: int) -> str:
    """Id of the claim about one covariate; columns of obs, whose names may be any, are told by their number too."""
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in name.lower()).split()
    return "-".join(["features-follow", *([] if name in WORDS else [str(number)]), *words])
