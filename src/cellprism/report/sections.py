"""The sections of the page: which figures and tables stand where, and what to say where a step was not
run."""

from dataclasses import dataclass, field, replace

import numpy as np

from cellprism.report.facts import RunFacts, SteeringFacts
from cellprism.report.figures.contrast import axis_figure, gap_figure, path_figure
from cellprism.report.figures.enrichment import rate_figure
from cellprism.report.figures.features import feature_map, program_heatmap
from cellprism.report.figures.figure import Figure, NumberTable
from cellprism.report.figures.measures import class_table, firing_figure
from cellprism.report.figures.model import error_figure, gain_figure, reading_figure, training_figure
from cellprism.report.figures.scores import progress_figure, score_table
from cellprism.report.figures.steering import dose_figure, gene_figure, steering_table, term_table
from cellprism.report.frames import numbers
from cellprism.report.words import Words, words_for

STEPLESS = "This run has no {} step; `cellprism {}` adds one."


@dataclass(frozen=True)
class Table:
    """A table of a section, with a caption that says what it holds."""

    caption: str
    numbers: NumberTable


@dataclass(frozen=True)
class Section:
    """A part of the page. ``absent`` says why it is empty."""

    id: str
    title: str
    lead: str
    rows: list[tuple[Figure, ...]] = field(default_factory=list)
    """Figures, those of a row side by side where there is room."""
    tables: list[Table] = field(default_factory=list)
    absent: str = ""


def page_sections(facts: RunFacts) -> list[Section]:
    """All sections with figures, in reading order."""
    return [_model(facts), _features(facts), _steering(facts), _contrast(facts)]


def _folded(rows: list[tuple[Figure, ...]], alike: int) -> list[tuple[Figure, ...]]:
    """Rows of which the first ``alike`` are read in the same way: after the first, the reading is folded."""
    return [tuple(replace(figure, repeated=0 < i < alike) for figure in row) for i, row in enumerate(rows)]


def _model(facts: RunFacts) -> Section:
    figures, tables = [], []
    if facts.model:
        files = ("model.json",)
        figures.append(
            tuple(f for f in (draw(facts.model, files) for draw in (error_figure, gain_figure, reading_figure)) if f)
        )
        if facts.model.neighbours:
            before = facts.model.neighbours_at_start
            rows = [
                (gene, ", ".join(near), ", ".join(before.get(gene, [])))
                for gene, near in facts.model.neighbours.items()
            ]
            caption = (
                "Genes whose learned embeddings lie closest, best first. What was there before the first step of "
                "training is its control: where embeddings start from co-expression, neighbours come with the start."
            )
            tables.append(Table(caption, NumberTable(("gene", "after training", "before training"), rows)))
    if facts.training and facts.layer is not None:
        figures.append(
            (
                training_figure(
                    facts.training,
                    (f"sae/L{facts.layer}/history.parquet", f"sae/L{facts.layer}/metrics.json"),
                ),
            )
        )
        if training := facts.training.measures:
            file = f"sae/L{facts.layer}/measures.json"
            figures.append((firing_figure(training, (file,)),))
            if table := class_table(training):
                caption = (
                    f"Which genes' inner state the features rebuild ({file}). A class with a larger share of the error "
                    "than of the variance is rebuilt worse than the others."
                )
                tables.append(Table(caption, table))
    figures = [row for row in figures if row]
    return Section(
        "model",
        "Is the model any good?",
        "Before asking what a model has learned, ask whether it has learned anything: each of its scores "
        "stands beside the score of something simpler.",
        figures,
        tables,
        ""
        if facts.model and (facts.model.held_out or facts.model.reconstruction or facts.model.cell_types)
        else "How good the model is was not measured: its card holds no scores on held-out cells.",
    )


def _features(facts: RunFacts) -> Section:
    rows: list[tuple[Figure, ...]] = []
    if facts.features and facts.layer is not None:
        files = tuple(f"features/L{facts.layer}/{name}" for name in ("features.parquet", "cells.h5ad"))
        rows += [
            (f,)
            for f in (
                feature_map(facts.features, facts.alpha, files),
                program_heatmap(facts.features, facts.alpha, files),
            )
            if f
        ]
    if facts.rates and facts.layer is not None:
        rows.append((rate_figure(facts.rates, (f"terms/L{facts.layer}/rates.json",)),))
    return Section(
        "features",
        "Which gene programs are inside, and would chance give them too?",
        f"The autoencoder splits the model's inner state into features. Each is described {facts.words.described}. "
        "Each list of genes is then compared with known programs, and so are lists that nobody learned.",
        rows,
        absent="" if rows else "This run has no features yet; `cellprism interpret` adds them.",
    )


def _steering(facts: RunFacts) -> Section:
    rows: list[tuple[Figure, ...]] = []
    tables = []
    for experiment in facts.steering:
        folder = f"steer/{experiment.name}"
        files = tuple(f"{folder}/{name}" for name in ("dose.parquet", "doses.parquet", "summary.json"))
        words = words_for(facts.tokens, experiment.quantity)
        rows += [
            (dose_figure(f, experiment.n_cells, words, files[1:]), gene_figure(f, words, files[:1]))
            for f in experiment.features
        ]
        tables += _steering_tables(experiment, words, facts.alpha)
    return Section(
        "steering",
        "What happens when one feature is turned up or down?",
        "Steering multiplies one feature by a strength while the model reads a cell, leaves everything else "
        "alone, and asks what the model predicts then. Strength 1 changes nothing, 0 removes the feature, 5 "
        f"makes it five times as strong. {facts.words.note}",
        _folded(rows, len(rows)),
        tables,
        facts.absent.get("steer") or ("" if facts.steering else STEPLESS.format("steering", "steer")),
    )


def _steering_tables(experiment: SteeringFacts, words: Words, alpha: float) -> list[Table]:
    if not experiment.features:
        return []
    silent = f" Not steered or not judged: {'; '.join(experiment.silent)}." if experiment.silent else ""
    caption = (
        f"Mean change, {words.unit}, half of turned up minus turned down, with the range of 95 "
        f"% of each control. {words.built_in}, and so is what random features do to "
        f"genes of their own. Mirror symmetry: 1 if down is the exact mirror image of up.{silent}"
    )
    tables = [Table(caption, steering_table(experiment))]
    terms = term_table(experiment, alpha)
    if terms.rows:
        tables.append(
            Table(
                "Programs of the genes that moved most; q corrected over all terms, with all genes of the "
                "cells as background.",
                terms,
            )
        )
    return tables


def _contrast(facts: RunFacts) -> Section:
    rows: list[tuple[Figure, ...]] = []
    tables = []
    for c in facts.contrasts:
        folder = f"contrast/{c.objective}"
        axis = axis_figure(c, (f"{folder}/cells.parquet", f"{folder}/summary.json"))
        says_of_genes = bool(np.isfinite(numbers(c.genes, "gap_fraction")).any())
        rows.append((axis, gap_figure(c, (f"{folder}/genes.parquet",))) if says_of_genes else (axis,))
    if facts.contrasts:
        scores = progress_figure(
            facts.contrasts, tuple(f"contrast/{c.objective}/summary.json" for c in facts.contrasts)
        )
        path = path_figure(facts.contrasts, tuple(f"contrast/{c.objective}/path.parquet" for c in facts.contrasts))
        rows.append((scores, path) if scores else (path,))
    for c in facts.contrasts:
        caption = (
            f"The {c.objective} recipe on both scales, on {c.n_test} test cells: value with its 95 % "
            "interval over cells, the range of 95 % of the edits that chance makes, and the verdict against "
            "shuffled labels. Of drift, variance and closeness to the own mean neither direction is better."
        )
        tables.append(Table(caption, score_table(c)))
    types = (
        f"{facts.contrasts[0].source_cells} be steered towards {facts.contrasts[0].target}"
        if facts.contrasts
        else "one cell type be steered towards another"
    )
    return Section(
        "contrast",
        f"How far can {types}?",
        "A recipe of strengths is fitted on some cells, its size chosen on others, and judged on a third "
        f"part that it has never seen. {_pulls(facts)} {facts.words.note}",
        _folded(rows, len(facts.contrasts)),
        tables,
        facts.absent.get("contrast") or ("" if facts.contrasts else STEPLESS.format("contrast", "contrast")),
    )


def _pulls(facts: RunFacts) -> str:
    """What the recipes of this run bring close."""
    if len(facts.contrasts) == 1 and facts.contrasts[0].objective == "latent":
        return "The recipe pulls the model's inner state towards the target."
    return "One recipe pulls the model's inner state towards the target, the other its predicted expression."
