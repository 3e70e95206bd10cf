"""Claims about the cell model and its autoencoder."""

from cellprism.report.claims import Claim, Null, Source, Test, judged
from cellprism.report.facts import Measure, MeasureFacts, ModelFacts, TrainingFacts
from cellprism.report.figures.model import CONTROL_LABELS, ERROR_LABELS, GAIN_LABELS, OURS, TYPE_LABELS
from cellprism.report.published import NUMBERS
from cellprism.report.verdict import ACCURACY_MATTERS
from cellprism.report.words import words_for

SECTION = "The model"
FILE = "model.json"


def model_claims(model: ModelFacts) -> list[Claim]:
    """The model beside what does the same job without a network, or without training."""
    rivals = [rival for rival in ("ridge", "type mean") if {"model", rival} <= set(model.held_out)]
    claims = [_error(model, rival) for rival in rivals]
    claims += [_gain(model, rival) for rival in GAIN_LABELS if rival != "model" and rival in model.reconstruction]
    ours = next((name for name in OURS if name in model.cell_types), None)
    readers = [rival for rival in ("untrained network", "raw expression") if ours and rival in model.cell_types]
    return claims + [_reading(model.cell_types, str(ours), rival) for rival in readers]


def training_claims(training: TrainingFacts, layer: int) -> list[Claim]:
    """How well the autoencoder rebuilds the residual stream, and what of the model's own task survives in it."""
    fit = _fit(training, layer)
    return [*fit, *([_splice(training.measures, layer)] if training.measures else [])]


def _splice(measures: MeasureFacts, layer: int) -> Claim:
    """Loss recovered, beside an untrained autoencoder."""
    splice, null = measures.splice, None
    hidden, mean, loss = "genes", "each gene's mean vector", "masked error"
    if measures.tokens == "cells":
        hidden, mean, loss = "counts", "the mean vector of all cells", "nats per hidden count"
    if splice:
        level = splice.untrained
        null = Null("an untrained autoencoder", level.value, level.interval)
    return judged(
        "sae-loss-recovered",
        SECTION,
        f"With the reconstruction in place of the inner state the model still predicts hidden {hidden}",
        splice.recovered.value if splice else None,
        unit=f"of the loss that {mean} costs",
        format=".1%",
        interval=splice.recovered.interval if splice else None,
        null=null,
        test=Test(
            f"loss recovered: {loss}, against {mean} at the site",
            "greater",
            f"{splice.share_hidden:.0%} of each cell's {hidden} hidden".replace("%", "\u00a0%") if splice else "",
            unit_of_inference="cells of one data set, not donors",
            n=splice.n_cells if splice else None,
        ),
        source=Source(f"sae/L{layer}/measures.json", f"loss_recovered.trained.recovered.{splice.ablation}")
        if splice
        else None,
        why="" if splice else measures.no_splice,
    )


def _fit(training: TrainingFacts, layer: int) -> list[Claim]:
    tokens = words_for(training.measures.tokens if training.measures else "genes").tokens
    best = max(training.controls, key=lambda name: training.controls[name], default=None)
    null = None
    if best is not None:
        level = training.controls[best]
        null = Null(CONTROL_LABELS.get(best, best), level, (level, level))
    return [
        judged(
            "sae-explained-variance",
            SECTION,
            f"{training.k:g} features for each of its {tokens} explain the model's inner state beyond the best simpler "
            "predictor",
            training.explained_variance,
            unit="of variance",
            format=".1%",
            published=NUMBERS["sae-error"],
            null=null,
            test=Test(
                "explained variance, 1 − FVU",
                "greater",
                f"inner state, all {tokens} of this run",
                unit_of_inference=tokens,
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


def _gain(model: ModelFacts, rival: str) -> Claim:
    """Gains over the gene means, both measured on the same held-out counts."""
    ours, other = model.reconstruction["model"], model.reconstruction[rival]
    return judged(
        f"model-gains-over-{rival.replace(' ', '-')}",
        SECTION,
        f"The model predicts the other half of a cell's counts better than {GAIN_LABELS[rival]}",
        ours.value,
        unit="nats per count over the gene means",
        format=".3f",
        interval=ours.interval,
        null=Null(GAIN_LABELS[rival], other.value, other.interval),
        test=Test(
            "likelihood of held-out counts, gain over the gene means",
            "two-sided",
            "half of each held-out cell's counts",
            unit_of_inference="cells of one data set, not donors",
            n=model.n_held_out,
        ),
        source=Source(FILE, "card.assessment.reconstruction.model.gain"),
    )


def _reading(rows: dict[str, Measure], source: str, rival: str) -> Claim:
    ours, other = rows[source], rows[rival]
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
            "mean-pooled residual stream" if source == "residuals" else "latent vectors",
            unit_of_inference="cells",
            matters=ACCURACY_MATTERS,
        ),
        source=Source(FILE, f"card.assessment.cell_types.readout.{source}.accuracy"),
    )
