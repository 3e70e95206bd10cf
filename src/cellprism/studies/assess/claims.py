"""Claims about the cell model, as it was measured on the run's own cells."""

from cellprism.report.claims import Claim, Null, Source, Test, judged
from cellprism.report.context import Context
from cellprism.report.verdict import ACCURACY_MATTERS, Interval
from cellprism.studies.assess.labels import ERROR_LABELS, GAIN_LABELS, OURS, TYPE_LABELS
from cellprism.studies.assess.tables import FILE, Assessment, HiddenGenes, Measure

SECTION = "The model"
PATH = f"assess/{FILE}"
RIVALS = ("ridge", "type mean", "gene mean")
COUNT_RIVALS = ("type mean", "untrained network", "gene mean")
CELLS = "cells of one data set, not donors"


def claims(found: Assessment, context: Context) -> list[Claim]:
    """The model beside what does the same job without a network, or without training, on the same cells."""
    said = []
    if found.hidden_genes:
        said += [_error(found, found.hidden_genes, name) for name in RIVALS if name in found.hidden_genes.methods]
        said += _agreements(found, found.hidden_genes.agreement)
    said += [_gain(found, name) for name in COUNT_RIVALS if name in found.hidden_counts]
    ours = next((name for name in OURS if name in found.cell_types), None)
    readers = [name for name in ("untrained network", "raw expression") if ours and name in found.cell_types]
    return said + [_reading(found, str(ours), name) for name in readers]


def error_id(baseline: str) -> str:
    """Id of the claim about hidden genes."""
    return f"model-beats-{baseline.replace(' ', '-')}"


def gain_id(baseline: str) -> str:
    """Id of the claim about hidden counts."""
    return f"model-gains-over-{baseline.replace(' ', '-')}"


def _error(found: Assessment, genes: HiddenGenes, baseline: str) -> Claim:
    """Share of the gene means' error that is removed: higher is better, so that above means better."""
    value, other = genes.methods["model"].removed, genes.methods[baseline]
    return judged(
        error_id(baseline),
        SECTION,
        f"On these cells the model predicts hidden genes better than {ERROR_LABELS[baseline]}",
        value,
        unit="of the gene means' error removed, each gene's mean put right",
        format=".1%",
        interval=_around(value, other.removed, other.behind),
        null=Null(ERROR_LABELS[baseline], other.removed, (other.removed, other.removed)),
        test=Test(
            "squared error on hidden genes, difference paired by cell",
            "two-sided",
            f"the same hidden values; simpler methods were fitted on {found.fit_cells:,} other cells",
            unit_of_inference=CELLS,
            n=found.cells,
        ),
        source=Source(PATH, "hidden_genes.methods.model.removed"),
    )


def _around(value: float, level: float, behind: Interval) -> Interval:
    """The interval of a paired difference, laid around the baseline's value."""
    low, high = (level + edge for edge in behind)
    return min(low, value), max(high, value)


def _agreements(found: Assessment, agreement: dict[str, Measure]) -> list[Claim]:
    """Whether the model's output goes with the counts over cells, at tokens that it sees and at those that it does not.

    What is said of a hidden gene is no copy of its count: there counts without structure are the control. They say what
    depth alone gives.
    """
    noise = found.noise.agreement.get("hidden") if found.noise else None
    controls = {
        "hidden": Null("counts with the same margins and no other structure", noise.value, noise.interval)
        if noise
        else None,
        "visible": Null("an output that has nothing to do with the counts", 0.0, (0.0, 0.0)),
    }
    return [
        judged(
            f"{token}-output-follows-counts",
            SECTION,
            f"The model's output at {token} tokens follows the counts from cell to cell",
            agreement[token].value,
            unit="median correlation over cells, gene by gene",
            format=".2f",
            interval=agreement[token].interval,
            null=null,
            test=Test(
                "correlation of output and log1p counts per ten thousand",
                "two-sided",
                f"genes that vary, {token} while others are hidden",
                unit_of_inference=CELLS,
                n=found.cells,
            ),
            source=Source(PATH, f"hidden_genes.agreement.{token}.value"),
        )
        for token, null in controls.items()
        if token in agreement
    ]


def _gain(found: Assessment, baseline: str) -> Claim:
    """Gains over the gene means, paired by cell."""
    value, other = found.hidden_counts["model"].value, found.hidden_counts[baseline]
    return judged(
        gain_id(baseline),
        SECTION,
        f"On these cells the model predicts the other half of a cell's counts better than {GAIN_LABELS[baseline]}",
        value,
        unit="nats per count over the gene means, each gene's mean put right",
        format=".3f",
        interval=_around(value, other.value, other.behind),
        null=Null(GAIN_LABELS[baseline], other.value, (other.value, other.value)),
        test=Test(
            "likelihood of hidden counts, difference paired by cell",
            "two-sided",
            f"half of each cell's counts; simpler methods were fitted on {found.fit_cells:,} other cells",
            unit_of_inference=CELLS,
            n=found.cells,
        ),
        source=Source(PATH, "hidden_counts.model.value"),
    )


def _reading(found: Assessment, source: str, baseline: str) -> Claim:
    ours, other = found.cell_types[source], found.cell_types[baseline]
    return judged(
        f"cell-types-against-{baseline.split()[0]}",
        SECTION,
        f"Cell types are read from the model's inner state better than from {TYPE_LABELS[baseline]}",
        ours.value,
        unit="of cells that the reader has not seen",
        format=".0%",
        interval=ours.interval,
        null=Null(TYPE_LABELS[baseline], other.value, other.interval or (other.value, other.value)),
        test=Test(
            "logistic regression, read on other cells",
            "two-sided",
            "mean-pooled residual stream" if source == "residuals" else "latent vectors",
            unit_of_inference="cells",
            n=found.cells,
            matters=ACCURACY_MATTERS,
        ),
        source=Source(PATH, f"cell_types.{source}.value"),
    )
