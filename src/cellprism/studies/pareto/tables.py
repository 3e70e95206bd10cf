"""What the trade found: ``pareto/pareto.json`` with what holds for all, and ``front.parquet``, a row a recipe,
``cosines.parquet``, a row a pair of gradients."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from cellprism.report.verdict import Interval
from cellprism.store.tables import write_table
from cellprism.studies.files import read_columns, read_record, write_record

SUMMARY = "pareto.json"
FRONT_COLUMNS = {
    "unit": str, "autoencoder": int, "donor": str, "weight": float, "lambda": float, "features": int,
    "features_above_0.3": int, "loss": float, "evaluations": int, "norm": float, "validation_latent_gain": float,
    "validation_expression_gain": float, "latent_gain": float, "latent_low": float, "latent_high": float,
    "expression_gain": float, "expression_low": float, "expression_high": float, "latent_progress": float,
    "drift": float, "variance_kept": float, "on_front": bool, "chosen": str,
}  # fmt: skip
"""unit (an autoencoder and a donor); weight of expression; lambda; features that the recipe turns at all, and by more
than 0.3; loss of the training cells, in units of the neutral loss; evaluations of the gradient so far on this path;
norm of the edit of the test cells, over that of the difference of means per gene; gains (1 minus the squared distance
that is left, in units of that without steering) on validation cells, and on test cells with 95 % intervals over cells;
every score of a contrast on test cells; ``way of GENE``, the share of its predicted gap that a gene goes; on_front: no
other recipe of the unit is better in both by validation cells; chosen: ``latent``, ``expression``, ``both``."""
COSINE_COLUMNS = {
    "unit": str, "at": str, "weight": float, "lambda": float, "place": str, "pooling": str, "weighting": str,
    "common": str, "cosine": float, "low": float, "high": float,
}  # fmt: skip
"""at: ``neutral``, or ``path`` with weight and lambda of the recipe; place and pooling of the embedding's objective,
weighting of expression's, common mode ``left in`` or ``taken out``; cosine of their gradients with the 95 % interval
over cells."""
BESIDE_COLUMNS = {
    "kind": str, "replicate": int, "features": int, "norm": float, "latent_gain": float, "expression_gain": float,
    "latent_progress": float, "expression_progress": float, "balanced_correct": float, "drift": float,
    "variance_kept": float,
}  # fmt: skip
"""An edit a row: kind and replicate; features that it turns, 0 where it is no recipe; norm as above; gains and scores
on test cells, ``way of GENE`` and ``way of JUDGE``."""
RECIPE_COLUMNS = {
    "recipe": str, "feature": int, "strength": float, "program": str, "firing_rate": float, "edit_share": float,
    "latent_loss": float, "expression_loss": float, "rank": int,
}  # fmt: skip
"""A feature of a chosen recipe a row: strength, program by which it is described, share of tokens at which it fires in
the source, share of the squared edit; what leaving it out costs of either gain on test cells; its place in the greedy
smallest recipe, -1 where it is not in it."""
GENE_COLUMNS = {
    "recipe": str, "gene": str, "direction": str, "observed_gap": float, "gap": float, "left": float, "fraction": float,
}  # fmt: skip
"""A gene that counts a row, for the recipes of both objectives: its direction and gap in the counts, the gap that the
model predicts, what is left of it in test cells, and the share that is closed."""
PLANE_COLUMNS = {"space": str, "kind": str, "x": float, "y": float, "among": float}
"""A cell a row, of both types unsteered and of the test cells steered: space ``final`` or ``site``; kind ``source``,
``target``, or the recipe that steers it; place on the map of the unsteered cells of that space; share of the target's
cells among the unsteered cells nearest to a steered one."""
TABLES = {
    "front": FRONT_COLUMNS, "cosines": COSINE_COLUMNS, "beside": BESIDE_COLUMNS, "recipes": RECIPE_COLUMNS,
    "genes": GENE_COLUMNS, "plane": PLANE_COLUMNS,
}  # fmt: skip

SMALL, OURS = "the small recipe for both", "recipe for both, of any size"
AS_FOUND = f"{OURS}, as found"
BY_DIFFERENCE, DENSE, ICA = (
    "top features by difference",
    "one free vector, searched",
    "recipe of independent components",
)
EDIT_OF = "recipe that would {}"
PERMUTED, PERMUTED_SCALED = "permuted labels, as found", "permuted labels"
OTHER_TYPE, RANDOM_TARGET, HALF = "towards {}", "towards a random centroid as far", "towards other cells of the source"
RANDOM_RECIPE = "the small recipe on random features"
"""Kinds of edits beside the recipe; with those of ``steering.pareto.directions`` and of plain means."""


@dataclass(frozen=True)
class Condition:
    """One thing that is asked of the recipe aimed at."""

    words: str
    value: float | None
    """None where it could not be measured."""
    needed: float
    at_most: bool
    """Whether ``needed`` is an upper limit."""
    format: str

    @property
    def met(self) -> bool | None:
        """None where it could not be measured."""
        if self.value is None:
            return None
        return self.value <= self.needed if self.at_most else self.value >= self.needed


@dataclass(frozen=True)
class Aimed:
    """The recipe aimed at: small, half-way in both, no larger than the plain edit."""

    conditions: list[Condition]
    """Of the recipe for both that was chosen on validation cells, on test cells."""
    others_reach: int
    """Recipes of the front that meet every measured condition on test cells, whichever was chosen."""
    recipes: int

    @property
    def reached(self) -> bool:
        """Whether every condition that could be measured is met."""
        return all(one.met is not False for one in self.conditions)


@dataclass(frozen=True)
class Both:
    """How far one recipe, of any size, goes in both, among recipes that the same search finds for permuted labels."""

    value: float | None
    """The lesser of its two gains on test cells."""
    mean: float | None
    """Of the same number of the recipes of permuted labels, as they are found; then where 95 % of them lie."""
    low: float | None
    high: float | None
    p: float | None
    """Two-sided, of its rank among them."""
    n: int


@dataclass(frozen=True)
class Spread:
    """A number of every unit: an autoencoder and a donor."""

    words: str
    values: list[float | None]
    mean: float | None
    interval: Interval | None
    """95 % t interval over units; null of a single one."""


@dataclass(frozen=True)
class Gaps:
    """Whether the gaps that the model predicts follow those in the counts, on test cells."""

    correlation: float | None
    low: float | None
    high: float | None
    genes: int


@dataclass(frozen=True)
class Judge:
    """Somebody else's way to tell the two types apart."""

    name: str
    auroc: float
    """On the predicted expression of unsteered test cells."""
    trusted: bool
    """Whether that is enough for it to judge."""


@dataclass(frozen=True)
class Response:
    """How a recipe's change of genes goes with a measured one."""

    name: str
    r: float | None
    """Rank correlation over genes; null with too few."""
    low: float | None
    high: float | None
    pearson: float | None
    genes: int


@dataclass(frozen=True)
class Recruited:
    """How many features it takes to reach as much."""

    objective: str
    gain: float | None
    """On validation cells: the most that both paths reach."""
    features: int | None
    """Of the path for this objective alone, the fewest that reach it; null where none does."""
    greedy: int | None
    """Of the greedy smallest recipe that keeps 90 % of the chosen one's gain."""
    chosen: int
    """Of the recipe chosen."""
    longer: float | None
    """Gain of a search of three times the effort."""
    longer_features: int | None


@dataclass(frozen=True)
class Likeness:
    """How alike two recipes are."""

    words: str
    shared: int
    either: int
    cosine: float | None
    """Of their changes of strengths, in units of the edit that each makes."""


@dataclass(frozen=True)
class Drawn:
    """A number of a recipe, and the same of recipes on features that fire alike."""

    value: float
    mean: float
    low: float
    high: float
    draws: int


@dataclass(frozen=True)
class Summary:
    """What holds for all recipes."""

    source: str
    target: str
    edit: str
    weighting: str
    learnable: str
    cells: dict[str, dict[str, int]]
    """Cells of the first unit by part and type."""
    genes: int
    """Genes that count in expression."""
    features: int
    free: int
    """Features that a recipe could turn."""
    read: str
    passes: int
    units: list[str]
    evaluations: int
    """Gradients computed, each of ``learners`` cells."""
    learners: int
    operations: float
    """Multiplications and additions of these gradients."""
    aimed: Aimed
    both: Both | None
    gaps: Gaps | None
    spreads: list[Spread]
    judges: list[Judge]
    responses: list[Response]
    recruited: list[Recruited]
    likeness: list[Likeness]
    annotated: Drawn | None
    """Share of the small recipe's features that match a program."""


@dataclass(frozen=True, eq=False)
class Pareto:
    """The study's results."""

    absent: str = ""
    """Why nothing could be traded."""
    summary: Summary | None = None
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    """By name, as in ``TABLES``."""


@dataclass(frozen=True)
class _Kept:
    absent: str
    summary: Summary | None


def write(folder: Path, found: Pareto) -> list[Path]:
    """Write the study's folder."""
    files = [write_record(folder / SUMMARY, _Kept(found.absent, found.summary))]
    for name, table in found.tables.items():
        write_table(folder / f"{name}.parquet", table)
        files.append(folder / f"{name}.parquet")
    return files


def read(folder: Path) -> Pareto:
    """Read it. Raises ``DamagedError`` where it is not what ``write`` wrote."""
    kept = read_record(_Kept, folder / SUMMARY)
    names = TABLES if kept.summary is not None else {}
    return Pareto(
        kept.absent, kept.summary, {n: read_columns(folder / f"{n}.parquet", c, float) for n, c in names.items()}
    )
