"""One claim a list rule: features match programs more often than the hardest fair rung."""

from cellprism.report.claims import Claim, Null, Source, Test, judged
from cellprism.report.context import Context
from cellprism.report.published import NUMBERS
from cellprism.report.verdict import SHARE_MATTERS, Interval
from cellprism.studies.ladder.labels import named, words_of
from cellprism.studies.ladder.tables import FILE, Hardest, Ladder, RuleResult

SECTION = "Features and programs"
ID = "ladder-{}"


def claims(found: Ladder, context: Context) -> list[Claim]:
    """The annotated rate beside the hardest fair rung, by every rule."""
    return [_claim(found, number, rule) for number, rule in enumerate(found.rules) if rule.hardest]


def _claim(found: Ladder, number: int, rule: RuleResult) -> Claim:
    hardest, n = rule.hardest, len(found.seeds)
    assert hardest is not None, "else nothing is claimed"
    controls = f"the hardest of {hardest.fair} fair controls"
    return judged(
        ID.format(rule.name),
        SECTION,
        f"Features match programs more often than {controls}, with {words_of(rule.name)[0]}",
        rule.share,
        unit=f"of lists, mean of {n} autoencoder{'s' if n > 1 else ''}",
        format=".0%",
        interval=beside(rule, hardest),
        published=NUMBERS["annotated-features"],
        null=null_of(rule, hardest, n, found.brought),
        test=Test(
            f"hypergeometric over-representation, q < {found.alpha:g}, {found.terms:,} programs of {found.collection}; "
            f"t tests of the excess over each of {hardest.fair} fair controls, all of which must show it",
            "two-sided",
            f"{found.background:,} measured genes; {rule.lists} lists of this run's own",
            f"Benjamini-Hochberg, {found.family}; the least excess over all fair controls",
            "autoencoders of other seeds, on this model and these cells",
            n,
            SHARE_MATTERS,
        ),
        source=Source(f"ladder/{FILE}", f"rules.{number}.share"),
    )


def beside(rule: RuleResult, hardest: Hardest) -> Interval | None:
    """The interval of the features' rate, that of the hardest control held where it is."""
    if hardest.interval is None or rule.control is None:
        return None
    low, high = (rule.control + end for end in hardest.interval)
    return min(low, rule.share), max(high, rule.share)  # equal but for rounding


def null_of(rule: RuleResult, hardest: Hardest, seeds: int, brought: str = "") -> Null:
    """The hardest control, with the p-value of the excess over it and how many autoencoders it is over."""
    assert rule.control is not None, "a hardest rung has a rate"
    words = named(hardest.name, brought).words
    return Null(words, rule.control, (rule.control, rule.control), hardest.p, hardest.draws, seeds)
