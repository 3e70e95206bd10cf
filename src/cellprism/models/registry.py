"""From a model's name to the model: the bundled ``mini``, a folder, or one safetensors file."""

from importlib.resources import files
from pathlib import Path

from cellprism.errors import ModelError
from cellprism.models.aido import AidoCell

BUNDLED = {"mini": "small AIDO.Cell-style model trained on PBMC3K, shipped with the package"}


def model_path(source: str | Path) -> Path:
    """Where a model's files are: inside the installed package for a bundled name, else ``source`` itself."""
    return Path(str(files("cellprism.models") / str(source))) if str(source) in BUNDLED else Path(source)


def load_model(source: str | Path) -> AidoCell:
    """Load a bundled model by name, or a model from a folder or a safetensors file.

    Raises:
        ModelError: no such model; the message lists what there is.
        DamagedError: its files are truncated or altered.
    """
    path = model_path(source)
    if not path.exists():
        known = ", ".join(BUNDLED)
        raise ModelError(f"no model {str(source)!r}: expected one of {known}, a model folder, or a .safetensors file")
    return AidoCell.load(path)
