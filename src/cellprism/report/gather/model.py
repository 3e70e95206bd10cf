"""Claims about the cell model and its autoencoder."""

from cellprism.report.claims import Claim, Null, Source, Test, judged
from cellprism.report.facts import Measure, ModelFacts, TrainingFacts
from cellprism.report.figures.model import CONTROL_LABELS, ERROR_LABELS, TYPE_LABELS
from cellprism.report.published import NUMBERS

SECTION = "The model"
FILE = "model.json"


def model_claims(model: ModelFacts) -> list[Claim]:
    """The model beside what does the same job without a network, or without training."""
    claims = [
        _error(model.held_out, rival)
        for rival in ("ridge", "type_mean")
        if {"model", rival} <= set(model.held_out)
    ]
    for rival in ("untrained", "raw"):
        if {"model", rival} <= set(model.cell_types):
            claims.append(_reading(model.cell_types, rival))
    return claims


def training_claims(training: TrainingFacts, layer: int) -> list[Claim]:
    """How well the autoencoder rebuilds the residual stream, beside the best of its controls."""
    best = max(training.controls, key=lambda name: training.controls[name], default=None)
    null = None
    if best is not None:
        level = training.controls[best]
        null = Null(CONTROL_LABELS.get(best, best), level, (level, level))
    return [
        judged(
            "sae-explained-variance",
            SECTION,
            f"{training.k} features per gene token explain the model's inner state beyond the best simpler predictor",
            training.explained_variance,
            unit="of variance",
            format=".1%",
            published=NUMBERS["sae-error"],
            null=null,
            test=Test(
                "explained variance, 1 − FVU",
                "greater",
                "residual stream of present genes",
                unit_of_inference="gene tokens",
            ),
            source=Source(f"sae/L{layer}/metrics.json", "explained_variance"),
            why="" if null else "no control was measured for this autoencoder",
        )
    ]


def _error(rows: dict[str, Measure], rival: str) -> Claim:
    """Share of the gene-mean error that is removed: higher is better, so that above means better."""
    ours, other = rows["model"], rows[rival]
    return judged(
        f"model-beats-{rival.replace('_', '-')}",
        SECTION,
        f"The model predicts hidden genes better than the {ERROR_LABELS[rival].removeprefix('the ')}",
        1 - ours.value,
        unit="of the gene-mean error removed",
        format=".1%",
        interval=_mirrored(ours),
        null=Null(
            ERROR_LABELS[rival], 1 - other.value, _mirrored(other) or (1 - other.value, 1 - other.value)
        ),
        test=Test(
            "masked squared error on held-out cells",
            "greater",
            "the same hidden values",
            unit_of_inference="cells",
        ),
        source=Source(FILE, "card.held_out.model.value (shown as 1 − value)"),
    )


def _reading(rows: dict[str, Measure], rival: str) -> Claim:
    ours, other = rows["model"], rows[rival]
    return judged(
        f"cell-types-against-{rival}",
        SECTION,
        f"Cell types are read from the model's inner state better than from {TYPE_LABELS[rival]}",
        ours.value,
        unit="balanced accuracy",
        format=".0%",
        interval=ours.interval,
        null=Null(TYPE_LABELS[rival], other.value, other.interval or (other.value, other.value)),
        test=Test(
            "linear classifier on held-out cells",
            "greater",
            "mean-pooled residual stream",
            unit_of_inference="cells",
        ),
        source=Source(FILE, "card.cell_types.model.value"),
    )


def _mirrored(measure: Measure) -> tuple[float, float] | None:
    return None if measure.interval is None else (1 - measure.interval[1], 1 - measure.interval[0])
