"""Claims about features and their programs."""

from typing import Any

from cellprism.report.claims import Claim, Null, Published, Source, Test, judged
from cellprism.report.context import Context
from cellprism.report.published import NUMBERS
from cellprism.report.verdict import SHARE_MATTERS
from cellprism.studies.programs.rates import label_of
from cellprism.studies.programs.tables import EXCESS, RATES, SPECIFICITY, Programs, TypeExcess, TypeSpecificity

DIRECTIONS = {"tokens": "vectors of the inner state as directions", "components": "principal components, both signs"}
NumberedRow = tuple[int, dict[str, Any]]
SECTION = "Features and programs"
ONE_SEED = (
    "one seed: an autoencoder was trained once and one was not trained, and between seeds such rates differ by more "
    "than these intervals, which are of lists; seeds are the unit, at least 5 of each"
)
CONTROLS = {
    "uniform": ("annotated-against-uniform", "random lists of the same sizes"),
    "popularity": ("annotated-against-popularity", "lists drawn by how popular genes are in programs"),
    "gene_use": ("annotated-against-gene-use", "lists that use each gene as often as features do"),
    "coexpression": ("annotated-against-coexpression", "co-expression modules of the raw counts"),
    "untrained": ("annotated-against-untrained", "those of an untrained autoencoder"),
    "neurons": ("annotated-against-neurons", "the model's own neurons"),
    "neurons, gene means removed": ("annotated-against-centred-neurons", "the model's neurons, gene means removed"),
    "untrained, 20 genes each": ("annotated-against-untrained-20", "an untrained autoencoder's, 20 genes each"),
    "untrained, 50 genes each": ("annotated-against-untrained-50", "an untrained autoencoder's, 50 genes each"),
    "neurons, 20 genes each": ("annotated-against-neurons-20", "the model's neurons, 20 genes each"),
    "neurons, 50 genes each": ("annotated-against-neurons-50", "the model's neurons, 50 genes each"),
    "coexpression, 20 genes by correlation": (
        "annotated-against-coexpression-20", "co-expression modules of the raw counts, 20 genes each by correlation",
    ),
    "coexpression, 50 genes by correlation": (
        "annotated-against-coexpression-50", "co-expression modules of the raw counts, 50 genes each by correlation",
    ),
    "untrained, 20 genes by correlation": (
        "annotated-against-untrained-correlation-20", "an untrained autoencoder's, 20 genes each by correlation",
    ),
    "untrained, 50 genes by correlation": (
        "annotated-against-untrained-correlation-50", "an untrained autoencoder's, 50 genes each by correlation",
    ),
}  # fmt: skip
"""Rows of rates.json that features are compared with: id of the claim, and words."""


def claims(found: Programs, context: Context) -> list[Claim]:
    """How often features match programs beside every control, and how many tell cell types apart."""
    apart = [] if found.specificity is None else [_specificity(found.specificity)]
    beside = [] if found.excess is None else [_beside(found.excess)]
    return [*_rates(found.rates), *apart, *beside]


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
        null=Null("shuffled cell-type labels", found.null, found.null_interval, found.p, found.permutations),
        test=Test(
            "features beyond the F limit of p = 0.05, counted; labels permuted with all features kept together",
            "two-sided",
            f"all labelled cells of this run; {found.firing} firing features",
            "none: one count of all features",
            "permutations of the labels of cells (of one data set, not donors)",
            found.permutations,
            SHARE_MATTERS,
        ),
        source=Source(f"programs/{SPECIFICITY}", "share_apart"),
    )


def _beside(found: TypeExcess) -> Claim:
    """How many features tell cell types apart, against directions that nobody trained."""
    hardest = found.rows[found.hardest]
    return judged(
        "features-tell-types-apart-beside-untrained-directions",
        SECTION,
        "More features tell cell types apart than directions taken from the inner state itself",
        found.share_apart,
        unit="of firing features",
        format=".0%",
        null=Null(DIRECTIONS[hardest.name], hardest.share_apart, hardest.interval, hardest.p, hardest.draws),
        test=Test(
            "features beyond the F limit of p = 0.05, counted; the harder of tokens and principal components as "
            "directions, drawn from other cells",
            "two-sided",
            f"{found.cells} labelled cells, at most {found.tokens} tokens each",
            "none: one count of all features",
            "dictionaries",
            hardest.draws,
            SHARE_MATTERS,
        ),
        source=Source(f"programs/{EXCESS}", "share_apart"),
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
    if null["name"] == "coexpression":
        unlike = "features' lists are made at tokens, modules over cells; compare lists by correlation"
    p, draws = (null["p_value"], null["replicates"]) if "p_value" in null else (None, None)
    return judged(
        id,
        SECTION,
        statement,
        row["rate"],
        unit="of lists annotated",
        format=".0%",
        interval=_pair(row["interval"]),
        published=published,
        null=Null(label_of(null), null["rate"], _pair(null["interval"]), p, draws),
        test=Test(
            f"hypergeometric over-representation, q < {rates['alpha']:g}; {rates['n_terms']} programs of "
            f"{rates['collection']}",
            "two-sided",
            f"{rates['background_size']} measured genes",
            f"Benjamini-Hochberg, {rates['family']}",
            "gene lists",
            row["n_lists"],
            SHARE_MATTERS,
        ),
        source=Source(f"programs/{RATES}", f"rows.{number}.rate"),
        barred=unlike if row["comparable"] != null["comparable"] else ONE_SEED if _is_network(null) else "",
    )


def _is_network(row: dict[str, Any]) -> bool:
    """Whether a row is that of another network, whose draw of directions counts like a training's."""
    return row["name"].startswith("untrained")


def _pair(interval: list[float] | None) -> tuple[float, float] | None:
    return None if interval is None else (float(interval[0]), float(interval[1]))
