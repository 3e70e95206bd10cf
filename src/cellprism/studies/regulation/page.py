"""The part of the page about regulation: what could have been seen, the verdict, factor by factor."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cellprism.regulation.inference import COEXPRESSED, DIRECTED, DIRECTION, FORWARD, UNTOLD
from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.report.effect import changed
from cellprism.report.figure import Figure, NumberTable, small_text
from cellprism.report.frames import numbers, ordered, records, texts, where
from cellprism.report.section import Cell, LongTable, Section, Table, folded
from cellprism.report.words import Words
from cellprism.studies.regulation.claims import IDS, factor_id
from cellprism.studies.regulation.figures import (
    ALIKE,
    dose_figure,
    experiment_figure,
    factor_figure,
    factor_row,
    factors_figure,
    median_changes,
    overall_figure,
)
from cellprism.studies.regulation.preset_figures import preset_figure, preset_targets_figure
from cellprism.studies.regulation.tables import (
    COEXPRESSION,
    DOSE,
    EVERY,
    FILE,
    MODEL,
    PUBLISHED,
    RIDGE,
    Design,
    Facts,
    OneFactor,
    Regulation,
)

PATH = f"regulation/{FILE}"
TITLE, SHORT = "Does it know who regulates whom?", "Regulation"
SHOWN = 4  # factors with a figure


def section(found: Regulation | None, claims: Sequence[Claim], context: Context) -> Section:
    """What raising factors does to their targets, and the other way round."""
    if found is None:
        absent = "Nobody asked whether factors move their targets; `cellprism regulation RUN --all --edges FILE` does."
        return Section("regulation", TITLE, SHORT, "", absent=absent)
    facts, design, by_id = found.facts, found.facts.design, {claim.id: claim for claim in claims}
    rows: list[tuple[Figure, ...]] = [(overall_figure(facts, (PATH,)),)] if facts.of(DIRECTION) else []
    if facts.of(DIRECTION):
        rows.append((factors_figure(found.tables["factors"], ("regulation/factors.parquet",)),))
    alone = [(figure,) for figure in _factor_figures(found, context.words)]
    rows += folded(alone, len(alone))
    doses, preset = found.tables["doses"], found.tables["preset"]
    if len(design.doses) > 1 and len(doses):
        rows.append((dose_figure(doses, context.words, ("regulation/doses.parquet",)),))
    if len(preset):
        drawn = [preset_figure]
        if not set(texts(preset, "gene")) <= set(PUBLISHED):
            drawn.append(preset_targets_figure)
        rows += [(figure(preset, context.words, ("regulation/preset.parquet",)),) for figure in drawn]
    if facts.measured:
        rows.append((experiment_figure(facts, (PATH,)),))
    return Section(
        "regulation", TITLE, SHORT, verdict(facts, by_id), rows,
        [Table(_caption(found), _table(found))],
        told={IDS[DIRECTION]: f"{verdict(facts, by_id).partition('. ')[0]}."} if facts.of(DIRECTION) else {},
        method=_power(facts, design), cannot=_cannot(facts), long=[_long(found, context.words)],
    )  # fmt: skip


def _count(n: int) -> str:
    """Factors in words."""
    return f"{n} factor{'s' if n != 1 else ''}"


def _power(facts: Facts, design: Design) -> str:
    """What was asked and what would have shown, before what was found."""
    cells = ", ".join(f"{n} {kind}" for kind, n in design.types.items())
    said = (
        f"{_count(len(design.factors))} with {design.edges} edges to targets that the cells express, each target "
        f"beside "
        f"genes matched in expression, detection and co-expression with the factor; {design.genes} genes raised and "
        f"read, "
        f"{design.context} more shown, in these cells: {cells}. {design.rows:,} rows, {design.seconds:,.0f} s."
    )
    if design.imbalance:
        said += " Targets rank above their matches by, of all genes of the panel: " + (
            ", ".join(f"{f'{share:+.1%}'.replace('-', '−')} {fact}" for fact, share in design.imbalance.items()) + "."
        )
    if one := facts.of(DIRECTION):
        said += (
            f" Over {one.factors} factors a mean of {0.5 - one.detectable:.3f} or {0.5 + one.detectable:.3f} would "
            f"have "
            "shown with 80 % power."
        )
    return said


def verdict(facts: Facts, claims: dict[str, Claim]) -> str:
    """Two sentences: the direction, and what co-expression alone reaches."""
    one, claim = facts.of(DIRECTION), claims.get(IDS[DIRECTION])
    if one is None or claim is None or claim.value is None:
        alone = [(row, claims.get(factor_id(row))) for row in facts.one if row.measure == DIRECTION]
        said = "; ".join(_of_one(row, said.verdict if said else "") for row, said in alone)
        return f"{said[:1].upper()}{said[1:]}."
    low, high = one.interval
    known = {
        "above chance": "The model moves targets from their factors more than the other way round",
        "below chance": "The model moves factors from their targets more than the other way round",
        "at chance": "The model has no direction that matters between factors and their targets",
    }.get(claim.verdict, "Whether the model has a direction between factors and their targets cannot be told")
    why = f"; {claim.why}" if claim.verdict == "cannot be told here" else ""
    return (
        f"{known}: by comparison with matched genes, a factor moves its target more than the target moves it in "
        f"{one.value:.3f} [{low:.3f}, {high:.3f}] of pairs (one half is chance, p = {small_text(one.p)}; "
        f"{one.detectable:.3f} more or less would have shown{why}). {_coexpression(facts)}"
    )


def _of_one(row: OneFactor, verdict: str) -> str:
    """What is said of a factor that was asked about by name."""
    known = {
        "above chance": f"{row.factor} moves its targets more than they move it",
        "below chance": f"the targets of {row.factor} move it more than it moves them",
        "at chance": f"{row.factor} and its targets move each other alike",
    }.get(verdict, f"whether {row.factor} moves its targets more than they move it cannot be told")
    return (
        f"{known}: by comparison with matched genes it does in {row.value:.2f} of pairs (one half is chance; "
        f"{row.targets} targets, p = {small_text(row.p)}; {row.detectable:.2f} more or less would have shown)"
    )


def _coexpression(facts: Facts) -> str:
    model, alone, ridge = (facts.of(ALIKE, source) for source in (MODEL, COEXPRESSION, RIDGE))
    assert model is not None, "there is a direction"
    beside = [
        f"{one.value:.3f} {name}" for one, name in ((alone, "by co-expression alone"), (ridge, "by ridge")) if one
    ]
    beyond, left = facts.of(FORWARD), facts.of(FORWARD, COEXPRESSION)
    said = f"It tells targets from genes of like expression in {model.value:.3f} of pairs"
    said += f" ({', '.join(beside)})" if beside else ""
    known = f" ({left.value:.3f} by co-expression alone)" if left else ""
    return said + (f"; beside genes that are co-expressed alike in {beyond.value:.3f}{known}." if beyond else ".")


def _factor_figures(found: Regulation, words: Words) -> list[Figure]:
    """Of the factors that were asked for by name, else of those whose direction is least likely by chance."""
    factors, pairs = found.tables["factors"], found.tables["pairs"]
    mine = where(factors, (factors["type"] == EVERY) & (factors["probe"] == DOSE))
    names = list(dict.fromkeys(one.factor for one in found.facts.one))
    names = names or texts(ordered(mine, "direction_p"), "factor")[:SHOWN]
    drawn = [(name, factor_row(factors, name, EVERY)) for name in names]
    files = ("regulation/pairs.parquet", "regulation/factors.parquet")
    return [factor_figure(name, pairs, row, words, files) for name, row in drawn if row is not None]


def answers_of(factors: pd.DataFrame) -> dict[str, int]:
    """How many factors are directed, only co-expressed, or cannot be told, by doses over all types."""
    mine = where(factors, (factors["type"] == EVERY) & (factors["probe"] == DOSE))
    return {answer: texts(mine, "answer").count(answer) for answer in (DIRECTED, COEXPRESSED, UNTOLD)}


def _caption(found: Regulation) -> str:
    factors = found.tables["factors"]
    answers = ", ".join(f"{n} {answer}" for answer, n in answers_of(factors).items())
    facts, design = found.facts, found.facts.design
    said = (
        f"Factors one by one, by doses over all types: {answers}. Rows are probes and cell types, means over factors."
    )
    if group := facts.committees:
        said += (
            f" Regulators of one target raised together ({group.targets} targets, {group.members:.1f} regulators each) "
            f"move it "
            f"more than {group.value:.2f} of {group.sets} matched sets (p = {small_text(group.p)})."
        )
    if one := facts.beside(DIRECTION):
        said += (
            f" The test over factors calls {one.called:.0%} of {one.draws} relabelled regulons directed (nominal 5 %)."
        )
    if facts.regulators:
        said += f" {_together(facts)}"
    if design.without_edits:
        said += f" No feature was turned at a token: {design.without_edits}."
    dropped = ", ".join(f"{n:,} {why}" for why, n in design.dropped.items())
    return said + (f" Edges left out: {dropped}." if dropped else "")


def _together(facts: Facts) -> str:
    """Perturbed regulators together."""
    first = facts.regulators[0]
    each = ", ".join(
        f"{one.source} {one.value:+.3f} [{one.interval[0]:+.3f}, {one.interval[1]:+.3f}]" for one in facts.regulators
    )
    return (
        f"Beside {first.experiments} perturbed regulators together (a mean rank correlation of {first.detectable:.3f} "
        f"would have shown) effects go with measured ones, beyond genes of like expression, by: {each}."
    ).replace("-0", "−0")


def _table(found: Regulation) -> NumberTable:
    factors = found.tables["factors"]
    header = (
        "probe",
        "cell type",
        "factors",
        "forward",
        "reverse",
        "direction",
        "signs right minus matched",
        "directed at q < .05",
    )
    rows = []
    for key, some in factors.groupby(["probe", "type"], sort=False):
        directed = int(((numbers(some, "direction_q") < 0.05) & (numbers(some, "direction") > 0.5)).sum())
        agreement = float(np.mean(known)) if (known := _known(some)).size else None
        probe, kind = key if isinstance(key, tuple) else (key, "")
        rows.append((
            str(probe), str(kind), str(len(some)),
            *(f"{some[c].mean():.3f}" for c in ("forward", "reverse", "direction")),
            "–" if agreement is None else f"{agreement:+.3f}".replace("-", "−"), str(directed),
        ))  # fmt: skip
    return NumberTable(header, rows)


def _known(some: pd.DataFrame) -> np.ndarray:
    """How much more often signs are right than those of matches, of the factors with known signs."""
    values = numbers(some, "agreement")
    return values[~np.isnan(values)]


def _long(found: Regulation, words: Words) -> LongTable:
    factors, pairs = found.tables["factors"], dict(iter(found.tables["pairs"].groupby("factor")))
    mine = where(factors, (factors["type"] == EVERY) & (factors["probe"] == DOSE))
    rows = [
        (
            Cell(row.factor), Cell(row.answer), Cell(str(row.targets), row.targets),
            Cell(f"{row.direction:.2f}", row.direction),
            Cell(small_text(row.direction_q), row.direction_q), Cell(f"{row.forward:.2f}", row.forward),
            Cell(small_text(row.forward_q), row.forward_q), Cell(f"{row.detectable:.2f}", row.detectable),
            *_changes(pairs[row.factor], row.factor, words),
        )
        for row in records(mine)
    ]  # fmt: skip
    return LongTable(
        "regulators", "Factors one by one",
        "AUROCs of targets against genes matched in expression, detection and co-expression with the factor; q over "
        "factors, "
        "cell types and probes. Detectable: the difference from one half that as many targets show with 80 % power. "
        "Co-expression only: the 90 % interval of the direction lies between .4 and .6.",
        (
            "factor", "answer", "targets", "direction", "q", "forward", "q", "detectable", "moves its targets by",
            "matches by",
        ), rows,
    )  # fmt: skip


def _changes(own: pd.DataFrame, factor: str, words: Words) -> tuple[Cell, ...]:
    """Median size of what a factor does to its targets, and to their matches."""
    size = median_changes(own, factor)
    return tuple(
        Cell(changed(size[group, "forward"], words.unit).removeprefix("+"), size[group, "forward"])
        for group in ("target", "matched")
    )


def _cannot(facts: Facts) -> list[str]:
    said = [
        "Predicting expression from expression teaches no direction by itself: counts of unperturbed cells need not "
        "hold it."
    ]
    if facts.unread:
        said.append("Experiments not read: " + "; ".join(f"{name} ({why})" for name, why in facts.unread.items()) + ".")
    return said
