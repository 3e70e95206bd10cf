"""Claims about the cell model."""

from cellprism.report.claims import Claim, Null, Source, Test, judged
from cellprism.report.context import Context
from cellprism.report.verdict import ACCURACY_MATTERS
from cellprism.studies.assess.labels import ERROR_LABELS, GAIN_LABELS, OURS, TYPE_LABELS
from cellprism.studies.assess.tables import FILE, Assessment, Measure

SECTION = "The model"
PATH = f"assess/{FILE}"


def claims(found: Assessment, context: Context) -> list[Claim]:
    """The model beside what does the same job without a network, or without training."""
    baselines = [name for name in ("ridge", "type mean", "gene mean") if {"model", name} <= set(found.held_out)]
    said = [_error(found, name) for name in baselines]
    said += [_gain(found, name) for name in GAIN_LABELS if name != "model" and name in found.reconstruction]
    ours = next((name for name in OURS if name in found.cell_types), None)
    readers = [name for name in ("untrained network", "raw expression") if ours and name in found.cell_types]
    return said + [_reading(found.cell_types, str(ours), name) for name in readers]


def error_id(baseline: str) -> str:
    """Id of the claim about hidden genes."""
    return f"model-beats-{baseline.replace(' ', '-')}"


def gain_id(baseline: str) -> str:
    """Id of the claim about held-out counts."""
    return f"model-gains-over-{baseline.replace(' ', '-')}"


def _error(found: Assessment, baseline: str) -> Claim:
    """Share of the gene means' error that is removed: higher is better, so that above means better.

    The interval is that of the paired difference, laid around the baseline's value.
    """
    ours, other = found.held_out["model"], found.held_out[baseline]
    value, level = ours.removed, other.removed
    low, high = (level + edge for edge in other.behind)
    return judged(
        error_id(baseline),
        SECTION,
        f"The model predicts hidden genes better than {ERROR_LABELS[baseline]}",
        value,
        unit="of the gene means' error removed",
        format=".1%",
        interval=(min(low, value), max(high, value)),
        null=Null(ERROR_LABELS[baseline], level, (level, level)),
        test=Test(
            "squared error on hidden genes, difference paired by cell",
            "two-sided",
            "the same hidden values",
            unit_of_inference="cells of one data set, not donors",
            n=found.cells,
        ),
        source=Source(PATH, "held_out.model.removed"),
    )


def _gain(found: Assessment, baseline: str) -> Claim:
    """Gains over the gene means, both measured on the same held-out counts."""
    ours, other = found.reconstruction["model"], found.reconstruction[baseline]
    return judged(
        gain_id(baseline),
        SECTION,
        f"The model predicts the other half of a cell's counts better than {GAIN_LABELS[baseline]}",
        ours.value,
        unit="nats per count over the gene means",
        format=".3f",
        interval=ours.interval,
        null=Null(GAIN_LABELS[baseline], other.value, other.interval),
        test=Test(
            "likelihood of held-out counts, gain over the gene means",
            "two-sided",
            "half of each held-out cell's counts",
            unit_of_inference="cells of one data set, not donors",
            n=found.cells,
        ),
        source=Source(PATH, "reconstruction.model.value"),
    )


def _reading(rows: dict[str, Measure], source: str, baseline: str) -> Claim:
    ours, other = rows[source], rows[baseline]
    return judged(
        f"cell-types-against-{baseline.split()[0]}",
        SECTION,
        f"Cell types are read from the model's inner state better than from {TYPE_LABELS[baseline]}",
        ours.value,
        unit="of held-out cells",
        format=".0%",
        interval=ours.interval,
        null=Null(TYPE_LABELS[baseline], other.value, other.interval or (other.value, other.value)),
        test=Test(
            "logistic regression, read on held-out cells",
            "two-sided",
            "mean-pooled residual stream" if source == "residuals" else "latent vectors",
            unit_of_inference="cells",
            matters=ACCURACY_MATTERS,
        ),
        source=Source(PATH, f"cell_types.{source}.value"),
    )
