"""Claims about the cells in which features are high."""

from cellprism.report.claims import Claim, Null, Source, Test, judged
from cellprism.report.context import Context
from cellprism.report.verdict import EFFECT_MATTERS, SHARE_MATTERS
from cellprism.studies.lens.tables import SUMMARY, Lens, Moved

SECTION = "Cells in which features are high"
RARE = "lens-rare-cells"


def claims(found: Lens, context: Context) -> list[Claim]:
    """Whether features mark cells that lie together, and what each feature that was set high does to its genes."""
    said = [] if found.summary.rare is None else [_rare(found)]
    return [*said, *(_moved(number, one, context) for number, one in enumerate(found.summary.moved))]


def _rare(found: Lens) -> Claim:
    rare = found.summary.rare
    assert rare is not None
    same = " of the same types" if rare.by_type else ""
    return judged(
        RARE,
        SECTION,
        f"The cells in which features are high lie together, more than random cells{same}",
        rare.beyond,
        unit="of features read",
        format=".0%",
        null=Null(f"cells that trade places with others{same}", rare.null, rare.null_interval, rare.p, rare.draws),
        test=Test(
            "share of features whose high cells have more neighbours among each other than 95 % of draws",
            background="cells" + same, unit_of_inference="cells, all features together", n=found.summary.cells,
            matters=SHARE_MATTERS,
        ),
        source=Source(f"lens/{SUMMARY}", "rare.beyond"),
    )  # fmt: skip


def _moved(number: int, one: Moved, context: Context) -> Claim:
    words = context.words
    name = f"Feature {one.feature}" + (f" ({one.term})" if one.term else "")
    return judged(
        id_of(one),
        SECTION,
        f"{name}, set high in all cells, raises its differential genes{words.within}, more than others {words.alike}, "
        "beyond features of random dictionaries set high alike",
        one.value,
        unit=words.unit,
        format="+.2g",
        null=Null(
            "features of random dictionaries chosen alike, on their own differential genes", one.null,
            one.null_interval, one.p, one.controls,
        ),
        test=Test(
            "mean change, ranked among control features",
            background="features of random dictionaries, edits of equal size",
            unit_of_inference="features (cells are not replicates: the model is deterministic)", n=one.controls,
            matters=EFFECT_MATTERS,
        ),
        source=Source(f"lens/{SUMMARY}", f"moved.{number}.value"),
        why="" if one.controls else "no feature of a random dictionary was found alike",
    )  # fmt: skip


def id_of(one: Moved) -> str:
    """Id of the claim about a feature that was set high."""
    return f"lens-set-high-{one.feature}"
