"""The ladder's part of the page."""

from collections.abc import Sequence

from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.report.figure import NumberTable
from cellprism.report.findings import than_control
from cellprism.report.section import Section, Table, folded
from cellprism.studies.ladder.claims import ID
from cellprism.studies.ladder.figures import information_figure, ladder_figure, ratio_figure
from cellprism.studies.ladder.labels import label_of, named, words_of
from cellprism.studies.ladder.tables import FILE, Ladder, RuleResult

TITLE, SHORT = "What else gives such programs?", "The ladder"
PATHS = (f"ladder/{FILE}",)
SHOWN = ("top20", "correlation")
"""Rules of which the summary tells the rates."""


def section(found: Ladder | None, claims: Sequence[Claim], context: Context) -> Section:
    """Every null and baseline beside the features, under every list rule."""
    if found is None:
        absent = "Nobody put the features beside every null and baseline; `cellprism do ladder RUN` does."
        return Section("ladder", TITLE, SHORT, "", absent=absent)
    by_id = {claim.id: claim for claim in claims}
    verdicts = {rule.name: c.verdict if (c := by_id.get(ID.format(rule.name))) else "" for rule in found.rules}
    ladders = [ladder_figure(found, rule, verdicts[rule.name], PATHS) for rule in found.rules]
    rows = folded([tuple(ladders[i : i + 2]) for i in range(0, len(ladders), 2)], -(-len(ladders) // 2))
    ratios = ratio_figure(found, PATHS)
    informed = information_figure(found.information, PATHS) if found.information else None
    rows += [tuple(figure for figure in (ratios, informed) if figure)] if ratios or informed else []
    return Section(
        "ladder", TITLE, SHORT, _said(found, by_id), rows,
        [Table(_caption(found), _table(found, by_id))], method=f"{_lead(found)} {_absent(found)}".strip(),
        told={c.id: f"{c.show(c.value)} of features match a known program, {than_control(c)}." for c in claims},
    )  # fmt: skip


def _lead(found: Ladder) -> str:
    n = len(found.seeds)
    return (
        "Whatever prefers frequent genes, or genes that vary together, matches known programs. Each figure puts the "
        "features beside the whole ladder of such things, from lists drawn at random (E0) to other methods (E8), by "
        f"one way of making lists. {n} autoencoder{'s' if n > 1 else ''}, each beside controls of its own; what counts "
        "is the hardest control that is fair."
    )


def _said(found: Ladder, claims: dict[str, Claim]) -> str:
    """By how many rules features exceed the hardest fair control, and the rates by two of them."""
    judged = [rule for rule in found.rules if rule.hardest and ID.format(rule.name) in claims]
    if not judged:
        return "No fair control was measured, so that nothing is judged."
    beyond = [claims[ID.format(rule.name)].verdict for rule in judged].count("above chance")
    start = f"Features exceed the hardest fair control by {beyond} of {len(judged)} ways of making lists"
    shown = [rule for rule in judged if rule.name in SHOWN] or judged[:1]
    return f"{start}: {'; '.join(_outcome(found, rule, claims) for rule in shown)}."


def _outcome(found: Ladder, rule: RuleResult, claims: dict[str, Claim]) -> str:
    claim, hardest = claims[ID.format(rule.name)], rule.hardest
    assert hardest is not None, "the caller asks for rules that have one"
    ours, theirs = claim.show(claim.value), claim.show(rule.control)
    return f"{words_of(rule.name)[1]}, {ours} beside {theirs} of {named(hardest.name, found.brought).words}"


def _absent(found: Ladder) -> str:
    said = [f"{label_of(row.name, found.brought)}: {row.why}" for row in found.absent]
    said += [f"{words_of(rule)[1]}: features have no such lists" for rule in found.without]
    return f"This run cannot have some of the ladder. {'; '.join(said)}." if said else ""


def _caption(found: Ladder) -> str:
    return (
        "The least excess over all fair controls, by every way of making lists, with its 95 % interval over "
        f"{len(found.seeds)} autoencoders ({PATHS[0]}): the hardest control was found among several, which the "
        f"interval knows. {found.terms:,} programs of {found.collection}, {found.background:,} genes, "
        f"{found.replicates} draws of E0 to E3. Not judged are lists drawn from all genes alike, and groups of genes "
        "that vary together over cells beside lists by where features fire."
    )


def _table(found: Ladder, claims: dict[str, Claim]) -> NumberTable:
    header = ("lists", "features", "hardest fair control", "its lists", "least excess [95 %]", "fair", "verdict")
    rows = []
    for rule in found.rules:
        claim, hardest = claims.get(ID.format(rule.name)), rule.hardest
        if claim is None or hardest is None:
            rows.append((words_of(rule.name)[1], f"{rule.share:.0%}", *["–"] * 5))
            continue
        interval = ""
        if hardest.interval:
            interval = f" [{', '.join(_signed(end) for end in hardest.interval)}]"
        excess = f"{_signed(hardest.mean)}{interval}".replace("-", "−").replace("%", "\u00a0%")
        rows.append((
            words_of(rule.name)[1], claim.show(rule.share), named(hardest.name, found.brought).words,
            claim.show(rule.control), excess, str(hardest.fair), claim.verdict,
        ))  # fmt: skip
    return NumberTable(header, rows)


def _signed(share: float) -> str:
    """A share with its sign, which 0 has not."""
    return f"{share:+.0%}" if abs(share) >= 0.005 else "0%"
