"""What the model's card says of the model: measured by its makers, on cells held out of its training."""

from collections.abc import Mapping
from typing import Any

from cellprism.errors import ModelError
from cellprism.studies.assess.tables import CardScores, MaskedError, Measure


def card_scores(name: str, card: Mapping[str, Any]) -> CardScores:
    """The scores of a model's card.

    Raises:
        ModelError: the card lacks a number that it should hold, or holds something else.
    """
    try:
        return from_card(card.get("assessment") or {})
    except KeyError as error:
        raise ModelError(f"the card of {name!r} holds scores without {error}; measure it again") from error
    except (TypeError, ValueError, AttributeError, IndexError, ZeroDivisionError) as error:
        raise ModelError(f"the card of {name!r} holds scores that are none ({error}); measure it again") from error


def from_card(card: Mapping[str, Any]) -> CardScores:
    """The scores that a card holds (``models``' ``assess``); none where it holds none."""
    masked, types = card.get("masked", {}), card.get("cell_types", {})
    readout = {name: _measure(row, "accuracy") for name, row in types.get("readout", {}).items()}
    if readout and "largest_type" in types:
        readout["largest type"] = Measure(float(types["largest_type"]))
    return CardScores(
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
