"""What a page knows of its run whatever was studied: the cells, the model, the site, the record."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dacite

from cellprism.errors import DamagedError, RunError
from cellprism.report.words import Words, words_for
from cellprism.store.atomic import read_json
from cellprism.store.run import Run

CELLS, MODEL = "cells.json", "model.json"
"""Files of the step that reads the cells."""


@dataclass(frozen=True)
class CellFacts:
    """Which cells were looked at."""

    source: str
    n_cells: int
    n_genes: int
    types: dict[str, int]
    """Cells per type, most frequent first."""


@dataclass(frozen=True)
class ModelCard:
    """What a page takes from a model's card."""

    limits: list[str] = field(default_factory=list)
    data: Any = ""


@dataclass(frozen=True)
class ModelFacts:
    """Which model was looked at."""

    name: str
    revision: str
    licence: str
    n_layers: int
    d_model: int
    n_genes: int
    tokens: str
    """What features fire at: ``genes``, or ``cells`` where the model reads a cell as a whole."""
    predicts: str
    """What it says of genes: ``expression``, ``token_logit`` or ``nothing``."""
    card: ModelCard

    @property
    def limits(self) -> list[str]:
        """What the card says that it cannot do."""
        return self.card.limits

    @property
    def data(self) -> str:
        """What it was trained on; empty when the card does not say."""
        return str(self.card.data)


@dataclass(frozen=True)
class Context:
    """A run, as every part of its page sees it."""

    name: str
    record: dict[str, Any]
    """run.json as it is; empty where there is none."""
    layer: int | None
    """Block whose output was read; None before an autoencoder was trained."""
    cells: CellFacts | None
    model: ModelFacts | None

    @property
    def tokens(self) -> str:
        """What features fire at: ``genes`` or ``cells``."""
        return self.model.tokens if self.model else "genes"

    @property
    def words(self) -> Words:
        """What the page calls what was measured."""
        return words_for(self.tokens, self.model.predicts if self.model else "expression")

    @property
    def place(self) -> str:
        """The site in words; empty where no layer was looked at."""
        if self.layer is None:
            return ""
        if self.tokens == "cells":
            return "latent vector"
        return place_in_words(self.layer, self.model.n_layers if self.model else None)


def read_context(folder: Path) -> Context:
    """What a run folder says of itself.

    Raises:
        RunError: no such folder.
        DamagedError: a file is not readable or lacks a field.
    """
    if not folder.is_dir():
        raise RunError(f"{folder} is no run folder; make one with `cellprism demo` or `cellprism run`")
    record = Run(folder).state
    return Context(
        name=folder.resolve().name,
        record=record,
        layer=_layer(record),
        cells=_record(CellFacts, folder / CELLS),
        model=_record(ModelFacts, folder / MODEL),
    )


def _layer(record: dict[str, Any]) -> int | None:
    layer = record["steps"].get("train", {}).get("layer")
    return layer if isinstance(layer, int) else None


def _record(kind: Any, path: Path) -> Any:
    if not path.exists():
        return None
    found = _object(path)
    if missing := sorted(set(kind.__dataclass_fields__) - set(found)):
        raise DamagedError(f"{path} lacks {', '.join(missing)}; make the run again")
    try:
        return dacite.from_dict(kind, found)
    except dacite.DaciteError as error:
        raise DamagedError(f"{path} is not what its step writes ({error}); make the run again") from error


def _object(path: Path) -> dict[str, Any]:
    found = read_json(path) if path.exists() else {}
    if not isinstance(found, dict):
        raise DamagedError(f"{path} should hold one JSON object, found {type(found).__name__}; make the run again")
    return found


def cells_of(kind: str) -> str:
    """Cells of a type in the plural: ``B cells`` stays, ``Dendritic`` becomes ``Dendritic cells``."""
    return kind if kind.lower().endswith("cells") else f"{kind} cells"


def place_in_words(layer: int, n_layers: int | None) -> str:
    """A site in words: block 1, the 2nd of 3."""
    place = layer + 1
    ending = "th" if 10 <= place % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"block {layer}, the {place}{ending}" + (f" of {n_layers}" if n_layers else "")
