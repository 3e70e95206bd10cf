"""What all screened features together say, judged among dictionaries that nobody trained. How description goes with
effect is shown beside the same of such dictionaries and not judged."""

from cellprism.report.claims import Claim, Null, Source, Test, judged
from cellprism.report.context import Context
from cellprism.report.published import NUMBERS
from cellprism.report.verdict import SHARE_MATTERS
from cellprism.studies.screen.tables import SUMMARY, Screen, Standing

SECTION = "Screen"
MOVES = "screen-features-move-their-genes"


def claims(found: Screen, context: Context) -> list[Claim]:
    """Whether features move their own genes, as if the autoencoder were one more dictionary that nobody trained."""
    if found.summary is None or found.summary.moves is None:
        return []
    one, null = found.summary.moves, null_of(found.summary.moves)
    return [
        judged(
            MOVES, SECTION,
            f"Of all firing features, those that move the genes of their own lists{context.words.within} beyond "
            "features of random dictionaries",
            one.value, unit="of firing features", format=".1%", interval=one.difference,
            published=NUMBERS["steering-beats-random"], null=null,
            test=Test(
                "t test of one more dictionary among those that nobody trained", "two-sided", null.name, "none",
                "dictionaries", one.dictionaries, SHARE_MATTERS,
            ),
            source=Source(f"screen/{SUMMARY}", "summary.moves.value"),
        )
    ]  # fmt: skip


def null_of(one: Standing) -> Null:
    """What dictionaries that nobody trained give."""
    return Null(f"dictionaries of {one.kind}, read alike", one.mean, one.interval, one.p, None, one.dictionaries)
