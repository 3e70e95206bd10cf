"""Claims about regulation: over factors, of factors that were asked for by name, and beside experiments."""

from scipy.stats import binom

from cellprism.regulation.inference import DIRECTION, FORWARD, SPECIFIC, Overall, Relabelled, one_more_network
from cellprism.report.claims import Claim, Null, Source, Test, judged
from cellprism.report.context import Context
from cellprism.report.published import NUMBERS
from cellprism.report.verdict import SHARE_MATTERS
from cellprism.studies.regulation.tables import FILE, MODEL, UNTRAINED, Facts, OneFactor, Regulation

SECTION = "Regulation"
PATH = f"regulation/{FILE}"
FEWEST_FACTORS = 5
RHO_MATTERS = 0.1
LEVEL = 0.05
UNIT = "chance that a target exceeds a gene matched to it"
SAID = {
    DIRECTION: "Factors move their targets more than targets move them, beyond genes that match in expression and "
    "co-expression",
    FORWARD: "Factors move their targets more than genes that match in expression and co-expression",
}
IDS = {DIRECTION: "regulators-directed", FORWARD: "regulators-beyond-coexpression", SPECIFIC: "regulators-specific"}


def claims(found: Regulation, context: Context) -> list[Claim]:
    """What the numbers say."""
    facts = found.facts
    said = [_over_factors(facts, measure) for measure in (DIRECTION, FORWARD)]
    said.append(_specific(facts))
    said += [_one(one, number) for number, one in enumerate(facts.one)]
    return said + _beside_experiments(facts)


def _over_factors(facts: Facts, measure: str) -> Claim:
    """The mean over factors; the factor is the unit."""
    one, beside = facts.of(measure), facts.beside(measure)
    test = Test(
        "mean matched AUROC, sign flips by factor", "two-sided", "genes matched in expression, detection, "
        "co-expression",
        "none", "factors", one.factors if one else None, SHARE_MATTERS,
    )  # fmt: skip
    published = NUMBERS["tbx21"] if measure == DIRECTION else None
    if one is None or one.factors < FEWEST_FACTORS:
        n = one.factors if one else len(facts.design.factors)
        why = f"{n} factor{'s were' if n != 1 else ' was'} asked about; over factors takes at least {FEWEST_FACTORS}"
        return judged(
            IDS[measure], SECTION, SAID[measure], None, unit=UNIT, format=".3f", published=published, test=test,
            source=None, why=f"{why} (`cellprism regulation RUN --all`)",
        )  # fmt: skip
    null = Null(
        f"one half; relabelled regulons give {beside.mean:.3f}" if beside else "one half", 0.5,
        _around_half(beside), one.p, units=one.factors,
    )  # fmt: skip
    return judged(
        IDS[measure], SECTION, SAID[measure], one.value, unit=UNIT, format=".3f", interval=one.interval,
        published=published, null=null, test=test, source=Source(PATH, f"overall.{facts.overall.index(one)}.value"),
        barred=_called_too_often(beside) or _of_one_network(one, facts.of(measure, UNTRAINED)),
    )  # fmt: skip


def _around_half(beside: Relabelled | None) -> tuple[float, float] | None:
    if beside is None:
        return None
    return min(beside.interval[0], 0.5), max(beside.interval[1], 0.5)


def _called_too_often(beside: Relabelled | None) -> str:
    """Why the test over factors is not to be believed on this panel: it calls relabelled regulons too often."""
    if beside is None:
        return "without relabelled regulons it is not known how often the test is wrong on this panel"
    called = round(beside.called * beside.draws)
    if binom.sf(called - 1, beside.draws, LEVEL) < 0.01 and beside.p > LEVEL:
        return (
            f"the test over factors calls {beside.called:.0%} of relabelled regulons, whose factors share targets as "
            f"the "
            f"true ones do, and among these the true ones have p = {beside.p:.2g}"
        )
    return ""


def _of_one_network(one: Overall, untrained: Overall | None) -> str:
    """Why a difference over factors may be an accident of this network's weights, which all of its factors share."""
    if one.p > LEVEL:
        return ""
    if untrained is None:
        return "without untrained networks it is not known how much one network differs from one half by accident"
    low, high = one_more_network(untrained)
    if low <= one.value <= high:
        return (
            f"this is one network, and by the accident of its weights one that nobody trained lies between {low:.3f} "
            f"and {high:.3f} (95 %, {untrained.networks} networks); others trained alike were not asked"
        )
    return ""


def _specific(facts: Facts) -> Claim:
    """The share of factors that move their targets beyond matched genes, among relabelled regulons."""
    beside = facts.beside(SPECIFIC)
    said = "Factors that move their own targets beyond matched genes"
    test = Test(
        "matched AUROC of each factor, q < .05 over factors", "two-sided", "relabelled regulons",
        "Benjamini-Hochberg over factors", "factors, relabelled together", beside.draws if beside else None,
        SHARE_MATTERS,
    )  # fmt: skip
    n = len(facts.design.factors)
    if beside is None or n < FEWEST_FACTORS:
        return judged(
            IDS[SPECIFIC], SECTION, said, None, unit="of factors", format=".0%", published=NUMBERS["specific-tfs"],
            test=test, source=None, why=f"a share takes at least {FEWEST_FACTORS} factors; {n} asked about",
        )  # fmt: skip
    null = Null("relabelled regulons", beside.mean, beside.interval, beside.p, beside.draws)
    return judged(
        IDS[SPECIFIC], SECTION, said, beside.value, unit="of factors", format=".0%", published=NUMBERS["specific-tfs"],
        null=null, test=test, source=Source(PATH, f"relabelled.{facts.relabelled.index(beside)}.value"),
    )  # fmt: skip


def _one(one: OneFactor, number: int) -> Claim:
    """One factor among genes in its targets' place."""
    said = {
        DIRECTION: f"{one.factor} moves its targets more than they move it, beyond matched genes",
        FORWARD: f"{one.factor} moves its targets more than matched genes",
    }[one.measure]
    return judged(
        factor_id(one), SECTION, said, one.value, unit=UNIT, format=".2f",
        published=NUMBERS["tbx21"] if (one.factor, one.measure) == ("TBX21", DIRECTION) else None,
        null=Null("genes of the same set in the targets' place", one.mean, one.interval, one.p, one.draws),
        test=Test(
            "matched AUROC, permutation within sets", "two-sided", "genes matched in expression, detection, "
            "co-expression",
            "none", "targets", one.targets, SHARE_MATTERS,
        ),
        source=Source(PATH, f"one.{number}.value"),
    )  # fmt: skip


def factor_id(one: OneFactor) -> str:
    """The id of the claim about a factor that was asked for by name."""
    return f"regulator-{_slug(one.factor)}-{one.measure}"


def _beside_experiments(facts: Facts) -> list[Claim]:
    """The model's effects beside measured ones; what it stands beside is in the table."""
    said = []
    for number, row in enumerate(facts.measured):
        if row.source == MODEL:
            said.append(judged(
                f"measured-{_slug(row.experiment)}", SECTION, f"Effects in the model go with measured ones: "
                f"{row.experiment}",
                row.rho, unit="rank correlation", format="+.3f",
                null=Null(
                    "measured values exchanged among genes of like expression", row.chance, row.chance_interval, row.p,
                    row.draws,
                ),
                test=Test(
                    "Spearman", "two-sided", "genes of like expression", "none", "genes", row.genes, RHO_MATTERS,
                ),
                source=Source(PATH, f"measured.{number}.rho"),
            ))  # fmt: skip
    return said


def _slug(text: str) -> str:
    return "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in text.lower()).split())
