"""From the model's card to the numbers of the page."""

from typing import Any

from cellprism.errors import ModelError
from cellprism.studies.assess.settings import AssessSettings
from cellprism.studies.assess.tables import Assessment, MaskedError, Measure
from cellprism.studies.workbench import Workbench


def work(bench: Workbench, settings: AssessSettings) -> Assessment:
    """What the model's card says that was measured on held-out cells.

    Raises:
        ModelError: the card lacks a number that it should hold.
    """
    card: dict[str, Any] = dict(bench.model.card).get("assessment") or {}
    try:
        return from_card(card)
    except (KeyError, TypeError) as error:
        raise ModelError(f"the card of {bench.model.name!r} holds scores without {error}; measure it again") from error


def from_card(card: dict[str, Any]) -> Assessment:
    """The assessment that a card holds (``models``' ``assess``); empty where it holds none."""
    masked, types = card.get("masked", {}), card.get("cell_types", {})
    readout = {name: _measure(row, "accuracy") for name, row in types.get("readout", {}).items()}
    if readout and "largest_type" in types:
        readout["largest type"] = Measure(float(types["largest_type"]))
    return Assessment(
        held_out={name: _masked_error(row) for name, row in masked.get("methods", {}).items()},
        reconstruction={name: _measure(row, "gain") for name, row in card.get("reconstruction", {}).items()},
        cells=masked.get("test_cells", card.get("test_cells")),
        cell_types=readout,
        neighbours=card.get("neighbours", {}),
        neighbours_at_start=card.get("neighbours_at_start", {}),
    )


def _masked_error(row: dict[str, Any]) -> MaskedError:
    unit = row["mse"] / row["of_gene_mean"]  # the gene means' own error, in which minus_model is not yet counted
    low, high = row["minus_model"]
    value = float(row["of_gene_mean"])
    return MaskedError(value, _pair(row["interval"]), 1 - value, (low / unit, high / unit))


def _measure(row: dict[str, Any], name: str) -> Measure:
    return Measure(float(row[name]), _pair(row["interval"]))


def _pair(interval: list[float]) -> tuple[float, float]:
    return float(interval[0]), float(interval[1])
