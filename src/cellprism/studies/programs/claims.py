"""Claims about features and their programs."""

from typing import Any

from cellprism.report.claims import Claim, Null, Published, Source, Test, judged
from cellprism.report.context import Context
from cellprism.report.published import NUMBERS
from cellprism.report.verdict import SHARE_MATTERS
from cellprism.studies.programs.rates import label_of
from cellprism.studies.programs.tables import RATES, SPECIFICITY, Programs, TypeSpecificity

NumberedRow = tuple[int, dict[str, Any]]
SECTION = "Features and programs"
CONTROLS = {
    "uniform": ("annotated-against-uniform", "random lists of the same sizes"),
    "popularity": ("annotated-against-popularity", "lists drawn by how popular genes are in programs"),
    "gene_use": ("annotated-against-gene-use", "lists that use each gene as often as features do"),
    "coexpression": ("annotated-against-coexpression", "co-expression modules of the raw counts"),
    "untrained": ("annotated-against-untrained", "those of an untrained autoencoder"),
    "neurons": ("annotated-against-neurons", "the model's own neurons"),
    "neurons, gene means removed": ("annotated-against-centred-neurons", "the model's neurons, gene means removed"),
    "neurons, 20 genes each": ("annotated-against-neurons-20", "the model's neurons, 20 genes each"),
    "neurons, 50 genes each": ("annotated-against-neurons-50", "the model's neurons, 50 genes each"),
}
"""Rows of rates.json that features are compared with: id of the claim, and words."""


def claims(found: Programs, context: Context) -> list[Claim]:
    """How often features match programs beside every control, and how many tell cell types apart."""
    apart = [] if found.specificity is None else [_specificity(found.specificity)]
    return [*_rates(found.rates), *apart]


def _rates(rates: dict[str, Any]) -> list[Claim]:
    """The annotated rate of features against each control, and that of neurons against popularity."""
    rows = {row["name"]: (number, row) for number, row in enumerate(rates["rows"])}
    if "features" not in rows:
        return []
    said = []
    for control, (id, words) in CONTROLS.items():
        if control in rows:
            published = NUMBERS["annotated-popularity" if control == "popularity" else "annotated-features"]
            statement = f"Features match programs more often than {words}"
            ours = rows[rows[control][1]["against"]]
            said.append(_rate(rates, ours, rows[control], id, statement, published))
    if {"neurons", "popularity"} <= set(rows):
        statement = f"Neurons match programs more often than {CONTROLS['popularity'][1]}"
        id, published = "neurons-against-popularity", NUMBERS["annotated-neurons"]
        said.append(_rate(rates, rows["neurons"], rows["popularity"], id, statement, published))
    return said


def _specificity(found: TypeSpecificity) -> Claim:
    """How many features tell cell types apart, against shuffled labels."""
    return judged(
        "features-tell-types-apart",
        SECTION,
        "Features vary between cell types more than shuffled labels allow",
        found.share_apart,
        unit="of firing features",
        format=".0%",
        interval=found.interval,
        null=Null("shuffled cell-type labels", found.null, found.null_interval),
        test=Test(
            "one-way analysis of variance per feature, each at p < 0.05",
            "greater",
            "all cells of this run",
            "none: 5 % expected",
            "features (cells of one data set, not donors)",
            found.firing,
            SHARE_MATTERS,
        ),
        source=Source(f"programs/{SPECIFICITY}", "share_apart"),
    )


def _rate(
    rates: dict[str, Any],
    ours: NumberedRow,
    control: NumberedRow,
    id: str,
    statement: str,
    published: Published,
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
            f"hypergeometric over-representation, q < {rates['alpha']:g}; {rates['n_terms']} programs of "
            f"{rates['collection']}",
            "greater",
            f"{rates['background_size']} measured genes",
            f"Benjamini-Hochberg, {rates['family']}",
            "gene lists",
            row["n_lists"],
            SHARE_MATTERS,
        ),
        source=Source(f"programs/{RATES}", f"rows.{number}.rate"),
        barred="" if row["comparable"] == null["comparable"] else unlike,
    )


def _pair(interval: list[float] | None) -> tuple[float, float] | None:
    return None if interval is None else (float(interval[0]), float(interval[1]))
