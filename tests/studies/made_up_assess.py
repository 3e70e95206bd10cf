"""What a made-up run measured of its model."""

from collections.abc import Mapping
from typing import Any

from cellprism.studies.assess.card import from_card
from cellprism.studies.assess.tables import Assessment, Gain, HiddenGenes, MaskedError, Measure


def error(value: float, behind: float) -> MaskedError:
    """An error that lies this far behind the model, give or take a little."""
    return MaskedError(value, (value - 0.006, value + 0.006), 1 - value, (behind - 0.004, behind + 0.004))


def hidden_genes(model: float = 0.858, ridge: float = 0.871) -> HiddenGenes:
    """Errors of a model that beats the gene means and stands level with the types' means."""
    values = {
        "model": model, "model as it is": model + 0.07, "ridge": ridge, "type mean": model + 0.003, "gene mean": 1.0,
    }  # fmt: skip
    methods = {name: error(value, value - model) for name, value in values.items()}
    agreement = {"hidden": Measure(0.31, (0.28, 0.34)), "visible": Measure(-0.37, (-0.41, -0.33))}
    return HiddenGenes(methods, Measure(1.04, (1.01, 1.07)), agreement)


def noise() -> HiddenGenes:
    """The same where there is nothing to be found."""
    methods = {name: error(1.0, 0.0) for name in ("model", "model as it is", "ridge", "gene mean")}
    return HiddenGenes(methods, None, {"hidden": Measure(0.02, (-0.02, 0.05)), "visible": Measure(-0.7, (-0.8, -0.6))})


def assessment(card: Mapping[str, Any]) -> Assessment:
    """Of a model whose tokens are genes."""
    read = {
        "residuals": Measure(0.92, (0.9, 0.94)), "raw expression": Measure(0.94, (0.915, 0.965)),
        "untrained network": Measure(0.44, (0.4, 0.48)), "largest type": Measure(0.43),
    }  # fmt: skip
    return Assessment(113, 307, hidden_genes(), noise(), {}, read, [], from_card(card["assessment"]))


def latent_assessment(card: Mapping[str, Any]) -> Assessment:
    """Of a model that reads a cell as a whole."""
    gains = {
        "model": 0.117, "model as it is": 0.082, "type mean": 0.124, "gene mean": 0.0, "untrained network": -0.36,
    }  # fmt: skip
    counts = {n: Gain(g, (g - 0.012, g + 0.012), (0.117 - g - 0.011, 0.117 - g + 0.011)) for n, g in gains.items()}
    read = {
        "vectors": Measure(0.92, (0.89, 0.95)), "raw expression": Measure(0.93, (0.9, 0.96)),
        "untrained network": Measure(0.61, (0.58, 0.64)), "largest type": Measure(0.45),
    }  # fmt: skip
    return Assessment(113, 307, None, None, counts, read, [], from_card(card["assessment"]))
