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
    """Loss recovered, beside the better of an untrained autoencoder and the hardest fair dictionary."""
    splice, null = measures.splice, None
    if splice is not None:
        rivals = {"untrained": splice.untrained, splice.fair_kind: splice.fair}
        name = max(rivals, key=lambda one: rivals[one].value)
        null = Null(CONTROL_LABELS[name], rivals[name].value, rivals[name].interval)
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
        null=null,
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
    """The dictionary beside the hardest of those that lie where the inner state lies."""
    tokens, fair = context.words.tokens, measures.fair
    null = None
    if fair is not None:
        best = fair.best
        null = Null(CONTROL_LABELS[best.kind], best.explained, best.interval, best.p, best.draws)
    mean = "each gene's mean" if context.tokens == "genes" else "the mean"
    return judged(
        "sae-explained-variance",
        SECTION,
        f"{measures.k:g} features for each of its {tokens} explain the model's inner state beyond the best untrained "
        "directions",
        fair.trained if fair else None,
        unit="of variance",
        format=".1%",
        published=NUMBERS["sae-error"],
        null=null,
        test=Test(
            f"explained variance, 1 − FVU, {mean} taken off; all dictionaries used by matching pursuit with "
            f"{fair.k if fair else measures.k:g} atoms",
            "two-sided",
            f"{fair.tokens:,} {tokens} of {fair.cells} cells, from which no directions were taken" if fair else "",
            unit_of_inference="dictionaries",
            n=fair.best.draws if fair else None,
        ),
        source=Source(PATH, "fair.trained") if fair else None,
        why=""
        if fair
        else "a transcoder rebuilds something else than it reads, and tokens that do not vary leave "
        "nothing to rebuild: none of these directions could",
    )
