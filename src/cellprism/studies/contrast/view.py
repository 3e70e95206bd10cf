"""A recipe as claims and figures see it."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from cellprism.report.claims import Null
from cellprism.report.context import Context, cells_of
from cellprism.report.verdict import Interval
from cellprism.report.words import Words
from cellprism.studies.contrast.tables import Recipe
from cellprism.studies.files import drawn_null, interval_of, number_of

NULL_WORDS = {
    "permuted_labels": "recipes fitted on permuted labels",
    "random_recipe": "random recipes of equal norm",
}
COMPETITORS = ("difference_of_means", "difference_of_means_per_gene")


@dataclass(frozen=True)
class Score:
    """One score of a contrast on test cells, beside the same score of edits that chance would make."""

    value: float
    interval: Interval | None
    nulls: dict[str, Null]
    """permuted_labels, random_recipe."""
    competitors: dict[str, float]
    """difference_of_means, difference_of_means_per_gene."""


@dataclass(frozen=True)
class NamedGene:
    """A gene that readers look for: how much of its gap was closed, beside recipes fitted on permuted labels."""

    gene: str
    gap: float
    """Target minus source, in what the model says of genes."""
    value: float
    """Share of the gap that was closed."""
    interval: Interval | None
    null: Null


@dataclass(frozen=True)
class Gaps:
    """Whether predicted gaps between the types follow those in the counts, on test cells."""

    value: float | None
    """Their correlation over genes."""
    interval: Interval | None
    sign_right: float | None
    """Share of the genes whose predicted gap has the observed sign."""
    genes: int


@dataclass(frozen=True)
class Contrast:
    """Source cells steered towards a target type with one objective, judged on cells kept aside."""

    objective: str
    source: str
    target: str
    n_test: int
    """Source cells that judge."""
    penalty: float
    """The lambda that was chosen."""
    sizes: dict[str, int]
    """Features that the recipe moves by more than 0, 0.1, 0.3 and 0.5."""
    path: pd.DataFrame
    genes: pd.DataFrame
    cells: pd.DataFrame
    trials: pd.DataFrame
    scores: dict[str, Score]
    named: dict[str, NamedGene]
    """Genes asked for by name that were measured and differ between the types."""
    asked: tuple[str, ...]
    """All genes asked for by name."""
    predicts: str
    """What the model says of genes."""
    words: Words
    """What the page calls it."""
    read: str
    """Where genes were read: ``hidden`` or ``visible``."""
    passes: int
    """Passes of each cell through the model."""
    gaps: Gaps | None
    """None where nothing is said of genes."""

    @property
    def doubt(self) -> str:
        """Why nothing that is said of these genes can be believed; empty where it can, or nothing is said."""
        if self.gaps is None:
            return ""
        start = f"whether the gaps that the model predicts between {self.source} and {self.target} follow those in the"
        if self.gaps.value is None or self.gaps.interval is None:
            return f"{start} counts cannot be told: too few genes or cells"
        low, high = self.gaps.interval
        if low > 0:
            return ""
        found = f"{self.gaps.value:.2f} [{low:.2f}, {high:.2f}] over {self.gaps.genes} genes".replace("-", "−")
        return (
            f"on test cells the gaps that the model predicts between {self.source} and {self.target} do not follow "
            f"those in the counts (correlation {found}), so what it says of these genes cannot be believed"
        )

    @property
    def source_cells(self) -> str:
        """The source in the plural, without saying cells twice."""
        return cells_of(self.source)


def contrast_of(recipe: Recipe, context: Context) -> Contrast:
    """One recipe as the page sees it."""
    summary = recipe.summary
    named = {
        gene: NamedGene(
            gene,
            float(row["gap"]),
            float(row["gap_fraction"]),
            interval_of(row),
            drawn_null(NULL_WORDS["permuted_labels"], row["permuted_labels"]),
        )
        for gene, row in summary["named"].items()
        if row["measured"] and row["gap_fraction"] is not None
    }
    return Contrast(
        objective=summary["objective"],
        source=summary["source"],
        target=summary["target"],
        n_test=summary["n_cells"]["test"]["source"],
        penalty=float(summary["lambda"]),
        sizes=summary["recipe_sizes"],
        path=recipe.path,
        genes=recipe.genes,
        cells=recipe.cells,
        trials=recipe.trials,
        scores={name: _score(row) for name, row in summary["scores"].items() if row["value"] is not None},
        named=named,
        asked=tuple(summary["named"]),
        predicts=context.model.predicts if context.model else "expression",
        words=context.words,
        read=summary["read"],
        passes=summary["passes"],
        gaps=_gaps(summary["gaps"]),
    )


def _gaps(row: dict[str, Any] | None) -> Gaps | None:
    return (
        None
        if row is None
        else Gaps(number_of(row["correlation"]), interval_of(row), number_of(row["sign_right"]), int(row["genes"]))
    )


def _score(row: dict[str, Any]) -> Score:
    nulls = {name: drawn_null(words, row[name]) for name, words in NULL_WORDS.items() if row.get(name)}
    competitors = {name: float(row[name]) for name in COMPETITORS if row.get(name) is not None}
    return Score(float(row["value"]), interval_of(row), nulls, competitors)
