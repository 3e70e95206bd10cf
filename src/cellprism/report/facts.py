"""The facts of a run as the page needs them: small frozen records, filled by ``inputs`` from the run
folder."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from cellprism.report.claims import Null
from cellprism.report.verdict import Interval
from cellprism.report.words import Words, words_for


@dataclass(frozen=True)
class Measure:
    """A number with its 95 % interval, where it has one."""

    value: float
    interval: Interval | None = None


@dataclass(frozen=True)
class MaskedError:
    """Error on hidden genes of held-out cells, as a share of the gene means' error."""

    value: float
    interval: Interval | None
    behind: Interval
    """95 % of how far it lies behind the model, cell by cell: a paired difference, sharper than the two
    intervals."""


@dataclass(frozen=True)
class CellFacts:
    """Which cells were looked at."""

    source: str
    n_cells: int
    n_genes: int
    types: dict[str, int]
    """Cells per type, most frequent first."""


@dataclass(frozen=True)
class ModelFacts:
    """Which model was looked at, and what its card says."""

    name: str
    revision: str
    licence: str
    n_layers: int
    d_model: int
    n_genes: int
    data: str
    """What it was trained on; empty when the card does not say."""
    limits: tuple[str, ...]
    held_out: dict[str, MaskedError]
    """By method: model, ridge, type mean, gene mean."""
    n_held_out: int | None
    """Cells behind these errors."""
    cell_types: dict[str, Measure]
    """Share of held-out cells whose type is read rightly from: residuals (or a latent model's vectors), raw
    expression, untrained network, largest type."""
    neighbours: dict[str, list[str]]
    """Nearest gene embeddings, best first."""
    neighbours_at_start: dict[str, list[str]]
    """The same before the first step of training, where the card has it."""
    reconstruction: dict[str, Measure] = field(default_factory=dict)
    """Of a latent model: nats per count by which the other half of a held-out cell's counts is predicted better than by
    the gene means, by method: model, type mean, gene mean, untrained network."""


@dataclass(frozen=True)
class SpliceFacts:
    """Loss recovered when the reconstruction takes the site's place, against the strongest ablation."""

    recovered: Measure
    untrained: Measure
    n_cells: int
    share_hidden: float
    """Share of each cell's genes, or of its counts where the cell is the one token, that was hidden."""
    ablation: str
    """``gene_mean``: each gene's mean vector; ``mean``: that of all cells."""


@dataclass(frozen=True)
class MeasureFacts:
    """What was measured of the autoencoder after its training."""

    firing_edges: list[float]
    """Edges of the histogram of firing rates, as powers of ten."""
    firing_counts: list[int]
    never: int
    """Features that never fire."""
    classes: list[dict[str, Any]]
    """class, genes, tokens, variance_share, error_share, explained_variance; empty where tokens are no genes."""
    splice: SpliceFacts | None
    """None where the model has no loss of its own."""
    no_splice: str
    """Why not."""
    other: tuple[str, float, float] | None
    """Another data set: its name, and the variance explained there, trained and untrained."""
    tokens: str = "genes"
    """What features fire at: ``genes``, or ``cells`` where the model reads a cell as a whole."""


@dataclass(frozen=True)
class TrainingFacts:
    """How the autoencoder was trained and how well it fits."""

    history: pd.DataFrame
    n_features: int
    k: float
    """Features that fire per token: fixed, or the mean where it is not."""
    explained_variance: float
    l0: float
    dead_share: float
    dense_share: float
    controls: dict[str, float]
    """Variance explained by simpler things: gene identity alone, an untrained autoencoder."""
    measures: MeasureFacts | None = None
    """None where the step was not run."""


@dataclass(frozen=True)
class FeatureFacts:
    """The features: one table row each, and how they differ between cell types."""

    table: pd.DataFrame
    """The columns of features.parquet, plus ``type_share`` and ``type_padj`` where cells were scored."""
    contrast: pd.DataFrame | None
    """Features x cell types: mean of the type minus mean of all cells, in standard deviations between
    cells."""
    chance_share: float | None
    """Share of variance between types that shuffled labels exceed once in twenty features."""
    type_counts: dict[str, int]
    tokens: str = "genes"
    """What features fire at: ``genes``, or ``cells`` where the model reads a cell as a whole."""


@dataclass(frozen=True)
class RateFacts:
    """How often lists of genes match a known program: features, and lists that chance would make."""

    rows: list[dict[str, Any]]
    """name, rate, interval, replicates, n_lists, mean_set_size, distinct_terms."""
    family: str
    alpha: float
    collection: str
    n_terms: int
    background_size: int


@dataclass(frozen=True)
class Ranked:
    """A number beside the same number for edits that chance would make."""

    value: float
    random_feature: Null
    """Random features that fire alike, at equal norm."""
    random_direction: Null
    """Random directions at the same tokens, of equal norm."""
    p: float | None
    """One-sided Monte-Carlo p against random features."""
    n: int
    """How many random features were drawn."""
    competitor: float | None
    """The difference of means at equal norm."""


@dataclass(frozen=True)
class SteeredFeature:
    """One feature, turned up and down; effects are mean changes of what the model says of genes."""

    feature: int
    program: str
    judged_at: float
    """Distance d from the neutral 1: the feature is judged at 1 + d and 1 - d."""
    response: Ranked
    """Effect on its genes minus that on others of which the model says as much, half of up minus down."""
    its_own: Null
    """The same for what random features do to their own strongest genes."""
    held_out: Ranked | None
    """The same on genes of the program that are not the feature's own, where there are any."""
    antisymmetry: Ranked | None
    """1: turning down mirrors turning up exactly."""
    edit_ratio: float
    """Size of the edit over that of the residual stream."""
    doses: pd.DataFrame
    """alpha, on_target, off_target, response: mean effects on its genes, on matched ones, their
    difference."""
    genes: pd.DataFrame
    """gene, alpha, effect, baseline, on_target."""
    terms: pd.DataFrame
    """alpha, direction, genes, term, padj: programs of the genes that moved most."""

    @property
    def up(self) -> float:
        """The strength above 1 at which it is judged."""
        return 1 + self.judged_at

    @property
    def down(self) -> float:
        """The strength below 1 at which it is judged."""
        return 1 - self.judged_at


@dataclass(frozen=True)
class SteeringFacts:
    """One steering experiment."""

    name: str
    n_cells: int
    features: list[SteeredFeature]
    silent: list[str]
    """Programs that could not be steered or judged, each with the reason."""
    quantity: str = "expression"
    """What the model says of genes, see ``words``."""


@dataclass(frozen=True)
class Score:
    """One score of a contrast on test cells, beside the same score of edits that chance would make."""

    value: float
    interval: Interval | None
    nulls: dict[str, Null]
    """shuffled_labels, random_recipe, random_direction."""
    competitors: dict[str, float]
    """difference_of_means, difference_of_means_per_gene."""
    short_search: float | None
    """The score of a search with the true labels that is as short as those with shuffled labels."""


@dataclass(frozen=True)
class NamedGene:
    """A gene that readers look for: how much of its gap was closed, beside random edits of equal norm."""

    gene: str
    gap: float
    """Target minus source, in what the model says of genes."""
    value: float
    """Share of the gap that was closed."""
    interval: Interval | None
    null: Null


@dataclass(frozen=True)
class ContrastFacts:
    """Source cells steered towards a target type with one objective, judged on cells kept aside."""

    objective: str
    source: str
    target: str
    n_test: int
    """Source cells that judge."""
    penalty: float
    """The lambda that was chosen."""
    path: pd.DataFrame
    genes: pd.DataFrame
    cells: pd.DataFrame
    recipe: pd.DataFrame
    scores: dict[str, Score]
    named: dict[str, NamedGene]
    """Genes asked for by name that were measured and differ between the types."""
    quantity: str = "expression"
    """What the model says of genes, see ``words``."""

    @property
    def words(self) -> Words:
        """What the page calls what the model says of genes."""
        return words_for(quantity=self.quantity)

    @property
    def source_cells(self) -> str:
        """The source in the plural, without saying cells twice."""
        return cells_of(self.source)


def cells_of(kind: str) -> str:
    """Cells of a type in the plural: ``B cells`` stays, ``Dendritic`` becomes ``Dendritic cells``."""
    return kind if kind.lower().endswith("cells") else f"{kind} cells"


def place_in_words(layer: int, n_layers: int | None) -> str:
    """A site in words: block 1, the 2nd of 3."""
    place = layer + 1
    ending = "th" if 10 <= place % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"block {layer}, the {place}{ending}" + (f" of {n_layers}" if n_layers else "")


@dataclass(frozen=True)
class RunFacts:
    """Everything that a page is made of; None or empty where a step was not run."""

    name: str
    layer: int | None
    record: dict[str, Any]
    """run.json as it is."""
    cells: CellFacts | None
    model: ModelFacts | None
    training: TrainingFacts | None
    features: FeatureFacts | None
    rates: RateFacts | None
    steering: list[SteeringFacts]
    contrasts: list[ContrastFacts]
    absent: dict[str, str] = field(default_factory=dict)
    """Why ``steering`` and ``contrast`` are not there, or not whole, where the model has nothing to show for them."""

    @property
    def tokens(self) -> str:
        """What features fire at: ``genes``, or ``cells`` where the model reads a cell as a whole."""
        measures = self.training.measures if self.training else None
        return self.features.tokens if self.features else measures.tokens if measures else "genes"

    @property
    def place(self) -> str:
        """The site in words; empty where no layer was looked at."""
        if self.layer is None:
            return ""
        if self.tokens == "cells":
            return "latent vector"
        return place_in_words(self.layer, self.model.n_layers if self.model else None)

    @property
    def words(self) -> Words:
        """What the page calls what was measured."""
        quantities = [found.quantity for found in (*self.steering, *self.contrasts)]
        return words_for(self.tokens, next(iter(quantities), "expression"))

    @property
    def alpha(self) -> float:
        """The q-value below which a feature counts as annotated."""
        return self.rates.alpha if self.rates else 0.05
