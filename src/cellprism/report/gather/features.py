"""Claims about features and their programs."""

from typing import Any

from scipy.stats import binom, binomtest

from cellprism.report.claims import Claim, Null, Published, Source, Test, judged
from cellprism.report.facts import FeatureFacts, RateFacts
from cellprism.report.figures.enrichment import as_long, label_of
from cellprism.report.published import NUMBERS
from cellprism.report.verdict import SHARE_MATTERS

NumberedRow = tuple[int, dict[str, Any]]
SECTION = "Features and programs"
CONTROLS = {
    "uniform": ("annotated-against-uniform", "random lists of the same sizes"),
    "popularity": ("annotated-against-popularity", "lists drawn by how popular genes are in programs"),
    "gene_use": ("annotated-against-gene-use", "lists that use each gene as often as features do"),
    "coexpression": ("annotated-against-coexpression", "co-expression modules of the raw counts"),
    "untrained": ("annotated-against-untrained", "those of an untrained autoencoder"),
    "neurons": ("annotated-against-neurons", "the model's own neurons"),
}
"""Rows of rates.json that features are compared with: id of the claim, and words."""


def rate_claims(rates: RateFacts, layer: int) -> list[Claim]:
    """The annotated rate of features against each control, and that of neurons against popularity."""
    rows = {row["name"]: (number, row) for number, row in enumerate(rates.rows)}
    if "features" not in rows:
        return []
    claims = []
    for control, (id, words) in CONTROLS.items():
        if control in rows:
            published = NUMBERS["annotated-popularity" if control == "popularity" else "annotated-features"]
            statement = f"Features match programs more often than {words}"
            claims.append(_rate(rates, rows["features"], rows[control], id, statement, published, layer))
    if {"neurons", "popularity"} <= set(rows):
        statement = f"Neurons match programs more often than {CONTROLS['popularity'][1]}"
        id, published = "neurons-against-popularity", NUMBERS["annotated-neurons"]
        claims.append(_rate(rates, rows["neurons"], rows["popularity"], id, statement, published, layer))
    return claims


def specificity_claims(features: FeatureFacts, layer: int) -> list[Claim]:
    """How many features tell cell types apart, against shuffled labels."""
    if features.chance_share is None:
        return []
    fires = features.table[features.table["firing_rate"] > 0]
    if fires.empty:
        return []
    passed = int((fires["type_share"] > features.chance_share).sum())
    found = binomtest(passed, len(fires)).proportion_ci(method="wilson")
    chance = [edge / len(fires) for edge in _binomial_range(len(fires), 0.05)]
    return [
        judged(
            "features-tell-types-apart",
            SECTION,
            "Features vary between cell types more than shuffled labels allow",
            passed / len(fires),
            unit="of firing features",
            format=".0%",
            interval=(float(found.low), float(found.high)),
            null=Null("shuffled cell-type labels", 0.05, (chance[0], chance[1])),
            test=Test(
                "one-way analysis of variance per feature, each at p < 0.05",
                "greater",
                "all cells of this run",
                "none: 5 % expected",
                "features (cells of one data set, not donors)",
                len(fires),
                SHARE_MATTERS,
            ),
            source=Source(
                f"features/L{layer}/cells.h5ad",
                f"X by obs.cell_type, share above {features.chance_share:.3g}",
            ),
        )
    ]


def _binomial_range(n: int, p: float) -> tuple[float, float]:
    """Central 95 % of a binomial count."""
    low, high = binom.interval(0.95, n, p)
    return float(low), float(high)


def _rate(
    rates: RateFacts,
    ours: NumberedRow,
    control: NumberedRow,
    id: str,
    statement: str,
    published: Published,
    layer: int,
) -> Claim:
    number, row = ours
    _, null = control
    sizes = f"{row['mean_set_size']:.0f} and of {null['mean_set_size']:.0f}"
    unlike = f"lists of {sizes} genes on average: long lists match more easily"
    return judged(
        id,
        SECTION,
        statement,
        row["rate"],
        unit="of lists annotated",
        format=".0%",
        interval=_pair(row["interval"]),
        published=published,
        null=Null(label_of(null), null["rate"], _pair(null["interval"])),
        test=Test(
            f"hypergeometric over-representation, q < {rates.alpha:g}; {rates.n_terms} programs of {rates.collection}",
            "greater",
            f"{rates.background_size} measured genes",
            f"Benjamini-Hochberg, {rates.family}",
            "gene lists",
            row["n_lists"],
            SHARE_MATTERS,
        ),
        source=Source(f"terms/L{layer}/rates.json", f"rows.{number}.rate"),
        barred="" if as_long(null, row) else unlike,
    )


def _pair(interval: list[float] | None) -> tuple[float, float] | None:
    return None if interval is None else (float(interval[0]), float(interval[1]))
