"""Claims about features and their programs."""

from cellprism.report.claims import Claim, Null, Source, Test, judged
from cellprism.report.context import Context
from cellprism.report.published import NUMBERS
from cellprism.report.verdict import SHARE_MATTERS
from cellprism.studies.programs.over_seeds import Excess
from cellprism.studies.programs.rates import label_of
from cellprism.studies.programs.tables import EXCESS, SEEDS, SPECIFICITY, Programs, TypeExcess, TypeSpecificity

DIRECTIONS = {
    "tokens": "vectors of the inner state as directions",
    "components": "principal components of it, both signs",
}
SECTION = "Features and programs"
CONTROLS = {
    "popularity, 20 genes each": ("annotated-against-popularity", "lists drawn by how popular genes are in programs"),
    "gene_use, 20 genes each": ("annotated-against-gene-use", "lists that use each gene as often as features do"),
    "untrained, 20 genes each": ("annotated-against-untrained", "those of untrained autoencoders"),
    "neurons, 20 genes each": ("annotated-against-neurons", "the model's own neurons"),
    "neurons, gene means removed, 20 genes each": (
        "annotated-against-centred-neurons", "the model's neurons, gene means removed",
    ),
    "coexpression, 20 genes by correlation": (
        "correlated-against-coexpression", "co-expression modules of the raw counts",
    ),
    "untrained, 20 genes by correlation": ("correlated-against-untrained", "those of untrained autoencoders"),
}  # fmt: skip
"""Controls that features are judged against, as named in seeds.json: id of the claim, and words. Lists of 50 genes
have ids that end with -50."""
RULES = {
    "20 genes each": "with the 20 genes at which each is strongest",
    "50 genes each": "with the 50 genes at which each is strongest",
    "20 genes by correlation": "with the 20 genes that vary most with each over cells",
    "50 genes by correlation": "with the 50 genes that vary most with each over cells",
}


def claims(found: Programs, context: Context) -> list[Claim]:
    """How often features match programs beside every control, and how many tell cell types apart."""
    apart = [] if found.specificity is None else [_specificity(found.specificity)]
    return [*_rates(found), *apart, *(_beside(found.excess) if found.excess else [])]


def control_claims() -> dict[str, tuple[str, str]]:
    """Each control of ``seeds.json`` that features are judged against -> id of the claim, and words."""
    longer = {name.replace(", 20 ", ", 50 "): (f"{id}-50", words) for name, (id, words) in CONTROLS.items()}
    return CONTROLS | longer


def _rates(found: Programs) -> list[Claim]:
    """The annotated rate of features over seeds, against each control with lists of the same rule, number and
    length."""
    rows = {row.name: (number, row) for number, row in enumerate(found.seeds.rows)}
    return [_rate(found, *rows[name], *said) for name, said in control_claims().items() if name in rows]


def _rate(found: Programs, number: int, row: Excess, id: str, words: str) -> Claim:
    rates, rule = found.rates, row.name.rpartition(", ")[2]
    name = "popularity" if "popularity" in row.name else "features"
    return judged(
        id,
        SECTION,
        f"Features match programs more often than {words}, {RULES[rule]}",
        row.share,
        unit=_unit("lists annotated", row),
        format=".0%",
        interval=row.beside,
        published=NUMBERS[f"annotated-{name}"],
        null=null_over_seeds(label_of({"name": row.name}), row),
        test=Test(
            f"hypergeometric over-representation, q < {rates['alpha']:g}, {rates['n_terms']} programs of "
            f"{rates['collection']}; t test of the excess over the control"
            + ("" if row.draws is None else f", and this run's own lists among {row.draws} families of random ones"),
            "two-sided",
            f"{rates['background_size']} measured genes; {row.lists} lists of this run's own",
            f"Benjamini-Hochberg, {rates['family']}",
            "autoencoders of other seeds, on this model and these cells",
            len(row.shares),
            SHARE_MATTERS,
        ),
        source=Source(f"programs/{SEEDS}", f"rows.{number}.share"),
    )


def null_over_seeds(name: str, row: Excess) -> Null:
    """A control over seeds, with the p-value of the excess over it; how far that spreads is the value's interval."""
    return Null(name, row.control, (row.control, row.control), row.p, row.draws, len(row.shares))


def _unit(of_what: str, row: Excess) -> str:
    """What a share over seeds is a share of, and what this run's own autoencoder has."""
    n = len(row.shares)
    mean = f"mean of {n} autoencoder{'s' if n > 1 else ''}"
    return f"of {of_what}, {mean}; this run's own: {row.shares[0]:.0%}".replace("%", "\u00a0%")


def _specificity(found: TypeSpecificity) -> Claim:
    """How many features tell cell types apart, against shuffled labels."""
    cells, some = sum(found.types.values()), f"; labels of {found.permuted_cells:,} of them permuted"
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
            f"all {cells:,} labelled cells of this run{some if found.permuted_cells < cells else ''}; "
            f"{found.firing} firing features",
            "none: one count of all features",
            "permutations of the labels of cells (of one data set, not donors)",
            found.permutations,
            SHARE_MATTERS,
        ),
        source=Source(f"programs/{SPECIFICITY}", "share_apart"),
    )


def _beside(found: TypeExcess) -> list[Claim]:
    """How many features tell cell types apart, against directions that nobody trained."""
    return [
        judged(
            f"features-tell-types-apart-beside-{row.name}",
            SECTION,
            f"More features tell cell types apart than {DIRECTIONS[row.name]}",
            row.share,
            unit=_unit("firing features", row),
            format=".0%",
            interval=row.beside,
            null=null_over_seeds(DIRECTIONS[row.name], row),
            test=Test(
                "features beyond the F limit of p = 0.05, counted; t test of the excess over directions drawn from "
                f"other cells, {found.draws} dictionaries beside each autoencoder",
                "two-sided",
                f"{found.cells} labelled cells, at most {found.tokens} tokens each",
                "none: one count of all features",
                "autoencoders of other seeds, on this model and these cells",
                len(row.shares),
                SHARE_MATTERS,
            ),
            source=Source(f"programs/{EXCESS}", f"rows.{number}.share"),
        )
        for number, row in enumerate(found.rows)
    ]
