"""From a model's name to the model: the bundled ``mini``, a folder, or one safetensors file."""

from importlib.resources import files
from pathlib import Path

from cellprism.errors import ModelError
from cellprism.models.aido import AidoCell

BUNDLED = {"mini": "small AIDO.Cell-style model trained on PBMC3K, shipped with the package"}


def bundled_folder(name: str) -> Path:
    """Folder of a bundled model inside the installed package."""
    return Path(str(files("cellprism.models") / name))


def load_model(source: str | Path) -> AidoCell:
    """Load a bundled model by name, or a model from a folder or a safetensors file.

    Raises:
        ModelError: no such model; the message lists what there is.
        DamagedError: its files are truncated or altered.
    """
    if str(source) in BUNDLED:
        return AidoCell.load(bundled_folder(str(source)))
    path = Path(source)
    if not path.exists():
        known = ", ".join(BUNDLED)
        raise ModelError(f"no model {str(source)!r}: expected one of {known}, a model folder, or a .safetensors file")
    return AidoCell.load(path)
