"""The part of the page about single features."""

from collections.abc import Sequence
from dataclasses import replace

from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.report.section import Section, Table, folded
from cellprism.report.summary import key_numbers
from cellprism.report.words import Words
from cellprism.studies.reading import where_read
from cellprism.studies.steer.claims import id_of
from cellprism.studies.steer.figures import dose_figure, gene_figure, signed, steering_table, term_table
from cellprism.studies.steer.tables import PROGRAMS, SUMMARY, Experiment, Steering
from cellprism.studies.steer.view import SteeredFeature, features_of, unjudged_of

ALPHA = 0.05  # q below which a program of moved genes is named


def section(found: Steering | None, claims: Sequence[Claim], context: Context) -> Section:
    """Dose by dose, each steered feature beside its controls."""
    rows, tables = [], []
    words, by_id = context.words, {claim.id: claim for claim in claims}
    for experiment in found.experiments if found else ():
        folder = f"steer/{experiment.name}"
        features = [steered for _, steered in features_of(experiment)]
        for steered in features:
            claim, n_cells = by_id[id_of(experiment, steered.feature, "genes")], experiment.summary["n_cells"]
            pair = (
                dose_figure(steered, claim, n_cells, words, (f"{folder}/doses.parquet", f"{folder}/{SUMMARY}")),
                gene_figure(steered, words, (f"{folder}/effects.parquet",)),
            )
            # one feature may be in two experiments; each figure has an id of its own
            own = experiment.name == PROGRAMS
            rows.append(pair if own else tuple(replace(f, id=f"{f.id}-{experiment.name}") for f in pair))
        tables += _tables(experiment, features, words)
    return Section(
        "steering",
        "What happens when one feature is turned up or down?",
        "Steering",
        "Steering multiplies one feature by a strength while the model reads a cell, leaves everything else "
        "alone, and asks what the model predicts then. Strength 1 changes nothing, 0 removes the feature, 5 "
        f"makes it five times as strong. {' '.join([*_readings(found), words.note])}".strip(),
        folded(rows, len(rows)),
        tables,
        _absent(found),
        keys=key_numbers(claims, f"steer-{PROGRAMS}-features-beat-controls", "of steered features move their genes"),
        summary=_summary(found, by_id, words),
        can=[
            "Show what this model predicts when one of its features is made stronger or weaker, and compare "
            "that with features that nobody trained."
        ]
        if rows
        else [],
        cannot=_cannot(found),
    )


def _absent(found: Steering | None) -> str:
    if found is None:
        return "This run has no steering step; `cellprism steer RUN` adds one."
    return f"Programs: {found.absent}." if found.absent else ""


def _readings(found: Steering | None) -> list[str]:
    """How genes were read, each way once."""
    said = [where_read(e.summary["read"], e.summary["passes"]) for e in (found.experiments if found else ())]
    return [words for words in dict.fromkeys(said) if words]


def _cannot(found: Steering | None) -> list[str]:
    features = [s for e in (found.experiments if found else ()) for _, s in features_of(e)]
    drawn = [s.response.controls.draws for s in features if s.response.controls.draws]
    if not drawn:
        return []
    return [
        f"Resolve small p-values of steering: with {min(drawn)} control features none can be below "
        f"{2 / (min(drawn) + 1):.2g}."
    ]


def _tables(experiment: Experiment, features: list[SteeredFeature], words: Words) -> list[Table]:
    if not features:
        return []
    silent = [f"{program}: {why}" for _, program, why in unjudged_of(experiment)]
    built_in = words.built_in
    if experiment.summary["read"] == "hidden":
        built_in = (
            "Its genes are read while they are hidden, so the edit never acts on them and what moves them came from "
            "other genes. Direct is the same response where they are seen and their own tokens are edited, which this "
            "model was not trained to answer. Control features are read on their own genes"
        )
    caption = (
        f"Mean change, {words.unit}, half of turned up minus turned down, with the range of 95 "
        f'% of each control, in the direction that each stands for: a feature named "low" is strong where its genes '
        f"are low, and lowers them. {built_in}. Mirror symmetry, over these genes and their matches: 1 if down is "
        "the exact mirror image of up." + (f" Not steered or not judged: {'; '.join(silent)}." if silent else "")
    )
    tables = [Table(caption, steering_table(features))]
    terms = term_table(features, ALPHA)
    if terms.rows:
        caption = (
            "Programs of the genes that moved most; q corrected over all terms, with all genes of the cells as "
            "background."
        )
        tables.append(Table(caption, terms))
    return tables


def _summary(found: Steering | None, by_id: dict[str, Claim], words: Words) -> str:
    """The run's own steering, never one that somebody tried beside it."""
    own = next((e for e in (found.experiments if found else ()) if e.name == PROGRAMS), None)
    features = [steered for _, steered in features_of(own)] if own else []
    if own is None or not features:
        return ""
    still = [steered for steered in features if steered.no_effect]
    if len(still) == len(features):
        return (
            f"Turned up and down, none of the {len(features)} steered features moves any gene{words.within} by as much "
            "as counts: no effect possible."
        )
    best = max((steered for steered in features if not steered.no_effect), key=_beyond)
    null, together = best.response.controls, own.summary["together"]
    amount = signed(best.response.value).removeprefix("+")
    span = ""
    if null.interval:
        low, high = (signed(edge) for edge in null.interval)
        span = f" (95 % of features that nobody trained, on theirs: {low} to {high})"
    return (
        f"Turned up and down, feature {best.feature} ({best.program}) {best.moves} its "
        f"genes{words.within} by {amount} against others {words.alike}{span}; "
        f"{together['beat_controls']} of {together['features']} steered features move their genes beyond such features"
        + (f", and for {len(still)} no effect is possible." if still else ".")
    )


def _beyond(steered: SteeredFeature) -> float:
    """How far a feature's response lies beyond that of control features, in half-widths of their range."""
    null = steered.response.controls
    if null.interval is None or null.interval[0] == null.interval[1]:
        return -float("inf")
    low, high = null.interval
    return (steered.response.value - (low + high) / 2) / (high - low)
