"""What all screened features together say, judged among dictionaries that nobody trained."""

from cellprism.report.claims import Claim, Null, Source, Test, judged
from cellprism.report.context import Context
from cellprism.report.published import NUMBERS
from cellprism.report.verdict import SHARE_MATTERS
from cellprism.studies.screen.tables import SUMMARY, Screen, Standing

SECTION = "Screen"
MOVES, DESCRIBES = "screen-features-move-their-genes", "screen-description-goes-with-effect"
FILE = f"screen/{SUMMARY}"


def claims(found: Screen, context: Context) -> list[Claim]:
    """Whether features move their own genes, and whether description goes with effect."""
    if found.summary is None:
        return []
    said, within = [], context.words.within
    if one := found.summary.moves:
        statement = (
            f"Of all firing features, those that move the genes of their own lists{within} beyond features of random "
            "dictionaries"
        )
        said.append(
            _claim(
                MOVES, statement, one, "summary.moves", "of firing features", ".1%", NUMBERS["steering-beats-random"]
            )
        )
    for number, one in enumerate(found.summary.describes):
        statement = f"Features that programs describe better move genes{within} more, beyond {one.kind}"
        ending = "-".join(one.kind.split())
        said.append(
            _claim(f"{DESCRIBES}-{ending}", statement, one, f"summary.describes.{number}", "rank correlation", "+.2f")
        )
    return said


def null_of(one: Standing) -> Null:
    """What dictionaries that nobody trained give."""
    return Null(f"dictionaries of {one.kind}, read alike", one.mean, one.interval, one.p, None, one.dictionaries)


def _claim(name: str, statement: str, one: Standing, field: str, unit: str, form: str, published=None) -> Claim:
    """A number of the autoencoder, as if it were one more dictionary of a kind."""
    null = null_of(one)
    return judged(
        name, SECTION, statement, one.value, unit=unit, format=form, interval=one.difference, published=published,
        null=null,
        test=Test(
            "t test of one more dictionary among those that nobody trained", "two-sided", null.name, "none",
            "dictionaries", one.dictionaries, SHARE_MATTERS,
        ),
        source=Source(FILE, f"{field}.value"),
    )  # fmt: skip
