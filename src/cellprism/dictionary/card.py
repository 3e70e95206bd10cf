"""The card of a dictionary: what it was trained on, how well it fits, how stable it is, in plain JSON values."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dacite

from cellprism.errors import DamagedError
from cellprism.store.atomic import read_json

FORMAT = 1
EXPLAINED = "share of the inner state's variance, each gene's mean taken off where it is centred so"


@dataclass(frozen=True)
class ModelCard:
    """The cell model whose inner state it reads."""

    name: str
    revision: str
    source: str
    """What to give as ``--model``: a bundled name, an address of the hub, or empty where it lay in files."""
    licence: str
    fingerprint: str
    """Hash of its weights."""
    gene_order: str
    """Hash of its genes in their order; of no meaning where tokens are no genes."""
    tokens: str
    """``genes`` or ``cells``."""
    options: dict[str, Any]
    """How it was loaded."""


@dataclass(frozen=True)
class FitCard:
    """How well it fits, where that was measured."""

    explained: float | None
    """On the cells that it was trained on: EXPLAINED."""
    recovered: float | None
    """Loss recovered with the reconstruction in the site's place, against the strongest ablation."""
    recovered_interval: tuple[float, float] | None
    elsewhere: str
    """Other cells on which it was measured, empty without."""
    explained_elsewhere: float | None
    """Variance explained there, about the mean of all tokens."""
    explained_here: float | None
    """The same on the cells that it was trained on, to compare."""


@dataclass(frozen=True)
class LabelCard:
    """How well its labels foretell features in cells that did not choose them."""

    shown: int
    """Features whose label does so better than labels like it."""
    judged_on: int
    """Cells."""
    donors: str
    auroc: float | None
    chance: float | None


@dataclass(frozen=True)
class StabilityCard:
    """Which features other trainings find again."""

    grades: dict[str, int]
    share: float
    by_chance: float


@dataclass(frozen=True)
class Card:
    """Everything that a folder says of its dictionary."""

    name: str
    made_by: str
    model: ModelCard
    layer: int
    site: str
    architecture: str
    n_features: int
    l0: float | None
    """Features that fire at a token of the training cells."""
    centring: str
    trained_on: dict[str, Any]
    """Cells: source, n_cells, n_genes, and tokens learned from in all."""
    fit: FitCard
    labels: LabelCard | None
    """None where labels were not judged."""
    stability: StabilityCard | None
    """None where no other trainings were looked at."""
    sha256: dict[str, str]
    """Of the files beside it."""
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def read_card(path: Path) -> Card:
    """Read a card. Raises ``DamagedError`` where it is none, or of another format."""
    found = read_json(path)
    try:
        card = dacite.from_dict(Card, found, dacite.Config(cast=[tuple], type_hooks={float: _number}))
    except (dacite.DaciteError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError(f"{path} is not the card of a dictionary ({error}); get the folder anew") from error
    if card.format != FORMAT:
        raise DamagedError(f"{path} has format {card.format}, expected {FORMAT}; update cellprism")
    return card


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def readme(card: Card) -> str:
    """The card for people, as Markdown."""
    model, fit = card.model, card.fit
    rows = [
        ("model", f"{model.name} ({model.revision}), licence: {model.licence}"),
        ("to load it", f"`--model {model.source}`" if model.source else "`--model` with its files, which are not here"),
        ("weights of the model, SHA-256", model.fingerprint),
        ("site", card.site),
        ("autoencoder", f"{card.architecture}, {card.n_features:,} features, centring {card.centring}"),
        ("features that fire at a token", _shown(card.l0)),
        ("trained on", _trained(card.trained_on)),
        (f"explained there ({EXPLAINED})", _shown(fit.explained)),
        ("loss recovered", _with_interval(fit.recovered, fit.recovered_interval)),
        ("explained on other cells", _elsewhere(fit)),
        ("labels that foretell features in other cells", _labels(card.labels)),
        ("found again by other trainings", _stability(card.stability)),
    ]
    if model.tokens == "genes":
        rows.insert(3, ("genes in their order, SHA-256", model.gene_order))
    table = "\n".join(f"| {name} | {said} |" for name, said in rows)
    return f"""# {card.name}

A dictionary of {card.n_features:,} features of the cell model {model.name}, made by {card.made_by}.

```
cellprism encode CELLS.h5ad --with THIS_FOLDER --out features.h5ad
```

gives every cell its features' mean activations, and how much of its inner state they explain. Features are the same, in
the same order, for any cells.

| | |
|---|---|
{table}

`features.tsv` has a row a feature: how often it fires, its genes, and what else was measured of it. A label describes
what a feature goes with; what it says of biology is what its controls leave over. The weights are under SAELens' file
names. They were learned from the inner state of {model.name}, whose licence is: {model.licence}.
"""


def _shown(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3g}"


def _with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    return _shown(value) + (f" [{interval[0]:.3g}, {interval[1]:.3g}]" if value is not None and interval else "")


def _trained(found: dict[str, Any]) -> str:
    cells, genes = found.get("n_cells"), found.get("n_genes")
    size = f"{cells:,} cells x {genes:,} genes" if isinstance(cells, int) and isinstance(genes, int) else "cells"
    tokens = f", {found['tokens']:,} tokens in all" if isinstance(found.get("tokens"), int) else ""
    return f"{found.get('source') or 'unnamed cells'}: {size}{tokens}"


def _elsewhere(fit: FitCard) -> str:
    if fit.explained_elsewhere is None:
        return "not measured"
    return f"{fit.elsewhere}: {_shown(fit.explained_elsewhere)}, where it was trained {_shown(fit.explained_here)}"


def _labels(found: LabelCard | None) -> str:
    if found is None:
        return "not judged"
    return (
        f"{found.shown:,}, judged on {found.judged_on:,} cells ({found.donors}); median AUROC {_shown(found.auroc)}, "
        f"labels like them {_shown(found.chance)}"
    )


def _stability(found: StabilityCard | None) -> str:
    if found is None:
        return "not measured"
    grades = ", ".join(f"{name} {n:,}" for name, n in found.grades.items())
    return f"{found.share:.0%} of features, by chance {found.by_chance:.0%}; grades {grades}"
