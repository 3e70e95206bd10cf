"""Claims about the autoencoder."""

from cellprism.report.claims import Claim, Null, Source, Test, judged
from cellprism.report.context import Context
from cellprism.report.published import NUMBERS
from cellprism.studies.fit.labels import CONTROL_LABELS
from cellprism.studies.fit.tables import FILE, Fit, Measures

SECTION = "The autoencoder"
PATH = f"fit/{FILE}"


def claims(found: Fit, context: Context) -> list[Claim]:
    """How well the autoencoder rebuilds the residual stream, and what of the model's own task survives in it."""
    return [_fit(found.measures, context), _splice(found.measures, context)]


def _splice(measures: Measures, context: Context) -> Claim:
    """Loss recovered, beside an untrained autoencoder."""
    splice = measures.splice
    hidden, mean, loss = "genes", "each gene's mean vector", "masked error"
    if context.tokens == "cells":
        hidden, mean, loss = "counts", "the mean vector of all cells", "nats per hidden count"
    return judged(
        "sae-loss-recovered",
        SECTION,
        f"With the reconstruction in place of the inner state the model still predicts hidden {hidden}",
        splice.trained.value if splice else None,
        unit=f"of the loss that {mean} costs",
        format=".1%",
        interval=splice.trained.interval if splice else None,
        null=Null("an untrained autoencoder", splice.untrained.value, splice.untrained.interval) if splice else None,
        test=Test(
            f"loss recovered: {loss}, against {mean} at the site",
            "greater",
            f"{splice.share_hidden:.0%} of each cell's {hidden} hidden".replace("%", "\u00a0%") if splice else "",
            unit_of_inference="cells of one data set, not donors",
            n=splice.cells if splice else None,
        ),
        source=Source(PATH, "splice.trained.value") if splice else None,
        why="" if splice else measures.no_splice,
    )


def _fit(measures: Measures, context: Context) -> Claim:
    tokens = context.words.tokens
    best = max(measures.controls, key=lambda name: measures.controls[name], default=None)
    null = None
    if best is not None:
        level = measures.controls[best]
        null = Null(CONTROL_LABELS.get(best, best), level, (level, level))
    return judged(
        "sae-explained-variance",
        SECTION,
        f"{measures.k:g} features for each of its {tokens} explain the model's inner state beyond the best simpler "
        "predictor",
        measures.explained_variance,
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
        source=Source(PATH, "explained_variance"),
        why="" if null else "no control was measured for this autoencoder",
    )
