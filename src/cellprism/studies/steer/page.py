"""The part of the page about single features."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.report.effect import moves
from cellprism.report.section import Section, Table, folded
from cellprism.report.words import LOG_COUNTS, Words
from cellprism.studies.reading import where_read
from cellprism.studies.steer.claims import id_of
from cellprism.studies.steer.feature_tables import steering_table, term_table, type_table
from cellprism.studies.steer.figures import dose_figure, expression_figure, gene_figure, overview_figure
from cellprism.studies.steer.tables import PROGRAMS, SUMMARY, Experiment, Steering
from cellprism.studies.steer.view import SteeredFeature, features_of, unjudged_of

TOGETHER = f"steer-{PROGRAMS}-features-beat-controls"
NAMED = 3
"""Steered features that are named in the text: the first, in the order in which they were asked for."""
PROPAGATED = (
    "Through other tokens alone: the same with the tokens of its genes and of their matches left as they are, so that "
    "the change was passed on to them; – where the edit does not act at these tokens anyway."
)
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
    rows = folded(rows, len(rows))
    if own := own_of(found):
        verdicts = [by_id[id_of(own, steered.feature, "genes")].verdict for _, steered in features_of(own)]
        if first := overview_figure(
            [s for _, s in features_of(own)], verdicts, words, (f"steer/{PROGRAMS}/{SUMMARY}",)
        ):
            said = expression_figure(own.genes, own.summary["read"], words, (f"steer/{PROGRAMS}/genes.parquet",))
            rows = [(first, replace(rows[0][1], repeated=False)), (rows[0][0], said), *rows[1:]]
    return Section(
        "steering",
        "What happens when one feature is turned up or down?",
        "Steering",
        _said(found, words),
        rows,
        tables,
        _absent(found),
        method="Steering multiplies one feature by a strength while the model reads a cell, leaves everything else "
        "alone, and asks what the model predicts then. Strength 1 changes nothing, 0 removes the feature, 5 "
        f"makes it five times as strong. {' '.join([*_readings(found), words.note])}".strip(),
        told={TOGETHER: _told(found, by_id, words)} if TOGETHER in by_id else {},
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
    unit = "" if words.unit == LOG_COUNTS else f", {words.unit}"
    caption = (
        f"Mean change{unit}, half of turned up minus turned down, with the range of 95 % of each control, in the "
        f'direction that each stands for: a feature named "low" is strong where its genes are low, and lowers them. '
        f"{built_in}. {PROPAGATED} Mirror symmetry, over these genes and their matches: 1 if down is the exact mirror "
        "image of up. "
        "Any gene: mean size of the change, turned up, of genes whose own token is edited where it is seen, and of all "
        "others." + (f" Not steered or not judged: {'; '.join(silent)}." if silent else "")
    )
    tables = [Table(caption, steering_table(features, words))]
    terms = term_table(features, ALPHA)
    if terms.rows:
        caption = (
            "Programs of the genes that rose and of those that fell most; q corrected over all terms. Genes that pass "
            "the filter of the features' own lists can be among them, and are the background."
        )
        tables.append(Table(caption, terms))
    if (by_type := type_table(features, words)).rows:
        caption = f"Change{unit} of each feature's own genes, against matched ones, in the cells of every type"
        tables.append(Table(caption, by_type))
    return tables


def own_of(found: Steering | None) -> Experiment | None:
    """The run's own steering, never one that somebody tried beside it; None without a feature that was judged."""
    own = next((e for e in (found.experiments if found else ()) if e.name == PROGRAMS), None)
    return own if own and features_of(own) else None


def _told(found: Steering | None, by_id: Mapping[str, Claim], words: Words) -> str:
    """How many features move their genes beyond controls, how many through other tokens alone, and what the first of
    them does."""
    own = own_of(found)
    n = own.summary["together"]["features"] if own else 0
    beat = own.summary["together"]["beat_controls"] if own else 0
    said = f"Turned up and down, {beat} of {n} features move their own genes beyond features that nobody trained"
    if not own:
        return f"{said}."
    features = [s for _, s in features_of(own)]
    through = [by_id[id_of(own, s.feature, "propagated")].verdict for s in features if s.propagated]
    if through:
        said += f"; through other tokens alone {sum(v == 'above chance' for v in through)} of {len(through)} do"
    return f"{said}; {_effect(features[0], words)}."


def _effect(steered: SteeredFeature, words: Words) -> str:
    """``feature 12 (B cell identity) raises its genes by 3.1 %``."""
    name = f"feature {steered.feature} ({steered.program})"
    if steered.no_effect:
        return f"{name} moves no gene by as much as counts: no effect possible"
    return f"{name} {moves(steered.direction * steered.response.value, words.unit, f'its genes{words.within}')}"


def _passed_on(features: Sequence[SteeredFeature], words: Words) -> str:
    """What reaches the genes through other tokens alone, of features that act at the genes' own."""
    some = [(s, s.propagated) for s in features if s.propagated and not s.no_effect]
    listed = [
        f"feature {s.feature} {moves(s.direction * found.value, words.unit, 'them')}" for s, found in some
    ]  # fmt: skip
    return f" With the tokens of all these genes left as they are, {'; '.join(listed)}." if listed else ""


def _said(found: Steering | None, words: Words) -> str:
    """What the first features do to their genes, and the banner of those that are judged too far."""
    own = own_of(found)
    if own is None:
        return ""
    features = [steered for _, steered in features_of(own)]
    more = len(features) - NAMED
    listed = "; ".join(_effect(steered, words) for steered in features[:NAMED])
    said = f"Turned up by {features[0].judged_at:g}, against genes {words.alike}, {listed}"
    said += f"; {more} more stand in the figure." if more > 0 else "."
    still = sum(bool(steered.no_effect) for steered in features)
    together = own.summary["together"]
    if still == len(features):
        return f"{said} None of them moves any gene by as much as counts."
    if not together:
        return said
    return (
        f"{said} {together['beat_controls']} of {together['features']} move them beyond features that nobody trained"
        + (f", and for {still} no effect is possible." if still else ".")
        + _passed_on(features[:NAMED], words)
    )
