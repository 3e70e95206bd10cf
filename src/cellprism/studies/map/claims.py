"""Claims about features of one group."""

from cellprism.report.claims import Claim, Null, Source, Test, judged
from cellprism.report.context import Context
from cellprism.studies.map.tables import COMPONENTS, FILE, MODULES, Alike, Found

SECTION = "The map of features"
WORDS = {COMPONENTS: "that hang together by shared genes", MODULES: "that are active in the same cells"}
SIMILARITY_MATTERS = 0.05
"""A twentieth of the way from terms that share no gene to equal ones."""


def claims(found: Found, context: Context) -> list[Claim]:
    """Do features of one group mean the same, beyond what sharing genes gives?"""
    return [_claim(row, number, found) for number, row in enumerate(found.summary.alike)]


def null_of_names(row: Alike) -> Null:
    """The control: the same lists, of genes that have each other's names."""
    return Null(
        "the same features, genes under each other's names", row.renamed, row.renamed_interval, row.renamed_p,
        row.renamings,
    )  # fmt: skip


def _claim(row: Alike, number: int, found: Found) -> Claim:
    return judged(
        f"{row.groups}-share-meaning",
        SECTION,
        f"Features {WORDS[row.groups]} mean the same, beyond what sharing genes gives",
        row.difference,
        unit="similarity of terms within groups minus between",
        format="+.3f",
        null=null_of_names(row),
        test=Test(
            "best match of the three most enriched terms, Jaccard of their genes; genes renamed among those in about "
            "as many terms",
            "two-sided",
            f"{row.lists} features that share a gene with a program of {found.summary.collection}",
            "none: one mean of all pairs",
            "permutations of gene names",
            row.renamings,
            SIMILARITY_MATTERS,
        ),
        source=Source(f"map/{FILE}", f"alike.{number}.difference"),
    )
