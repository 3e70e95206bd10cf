"""Claims about the cell model and its autoencoder."""

from cellprism.report.claims import Claim, Null, Source, Test, judged
from cellprism.report.facts import Measure, ModelFacts, TrainingFacts
from cellprism.report.figures.model import CONTROL_LABELS, ERROR_LABELS, TYPE_LABELS
from cellprism.report.published import NUMBERS
from cellprism.report.verdict import ACCURACY_MATTERS

SECTION = "The model"
FILE = "model.json"


def model_claims(model: ModelFacts) -> list[Claim]:
    """The model beside what does the same job without a network, or without training."""
    rivals = [rival for rival in ("ridge", "type mean") if {"model", rival} <= set(model.held_out)]
    claims = [_error(model, rival) for rival in rivals]
    readers = [
        rival for rival in ("untrained network", "raw expression") if {"residuals", rival} <= set(model.cell_types)
    ]
    return claims + [_reading(model.cell_types, rival) for rival in readers]


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


def _error(model: ModelFacts, rival: str) -> Claim:
    """Share of the gene means' error that is removed: higher is better, so that above means better.

    The interval is that of the paired difference, laid around the rival's value.
    """
    ours, other = model.held_out["model"], model.held_out[rival]
    value, level = 1 - ours.value, 1 - other.value
    low, high = (level + edge for edge in other.behind)
    return judged(
        f"model-beats-{rival.replace(' ', '-')}",
        SECTION,
        f"The model predicts hidden genes better than {ERROR_LABELS[rival]}",
        value,
        unit="of the gene means' error removed",
        format=".1%",
        interval=(min(low, value), max(high, value)),
        null=Null(ERROR_LABELS[rival], level, (level, level)),
        test=Test(
            "squared error on hidden genes, difference paired by cell",
            "two-sided",
            "the same hidden values",
            unit_of_inference="cells of one data set, not donors",
            n=model.n_held_out,
        ),
        source=Source(FILE, "card.assessment.masked.methods.model.of_gene_mean (shown as 1 − value)"),
    )


def _reading(rows: dict[str, Measure], rival: str) -> Claim:
    ours, other = rows["residuals"], rows[rival]
    return judged(
        f"cell-types-against-{rival.split()[0]}",
        SECTION,
        f"Cell types are read from the model's inner state better than from {TYPE_LABELS[rival]}",
        ours.value,
        unit="of held-out cells",
        format=".0%",
        interval=ours.interval,
        null=Null(TYPE_LABELS[rival], other.value, other.interval or (other.value, other.value)),
        test=Test(
            "logistic regression, read on held-out cells",
            "two-sided",
            "mean-pooled residual stream",
            unit_of_inference="cells",
            matters=ACCURACY_MATTERS,
        ),
        source=Source(FILE, "card.assessment.cell_types.readout.residuals.accuracy"),
    )
