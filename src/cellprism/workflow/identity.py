"""What decides a step's result: its settings, and the content of the files and data that they name."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from cellprism.models.aido_files import WEIGHTS
from cellprism.store.atomic import sha256
from cellprism.store.run import digest


def settings_identity(settings: Any) -> dict[str, Any]:
    """A dataclass of settings as plain values, with what a field of metadata ``source`` names in place of its name."""
    found = {}
    for item in fields(settings):
        value = getattr(settings, item.name)
        if is_dataclass(value):
            value = settings_identity(value)
        elif item.metadata.get("source"):
            value = source_identity(value)
        found[item.name] = value
    return found


def source_identity(source: str) -> object:
    """What a name stands for: the hashes of the file or folder where it is one, else the name itself."""
    path = Path(source)
    if (path / WEIGHTS).is_file():
        path = path / WEIGHTS  # a model's card may be rewritten without changing the model
    if source and path.is_file():
        return sha256(path)
    if source and path.is_dir():
        return digest({p.name: sha256(p) for p in sorted(path.iterdir()) if p.is_file()})
    return source
