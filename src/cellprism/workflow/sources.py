"""What the names in a configuration stand for, as hashes of what is read: cells, models, collections of gene sets.

Nothing else counts: not where a file lies, what lies beside it, or where the command is called. What is not there
has an identity of its own, so that its coming is a change; an empty name has an empty one.
"""

from collections.abc import Callable, Collection
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cellprism.cells.datasets import DATASETS, dataset_file
from cellprism.cells.made import is_made
from cellprism.cells.several import files_of_manifest, is_manifest
from cellprism.cells.source import files_of
from cellprism.errors import InputError
from cellprism.models.geneformer.dictionaries import PUBLISHED_IN
from cellprism.models.registry import BUNDLED, model_location, model_path
from cellprism.ontology.gmt import BUNDLED as COLLECTIONS
from cellprism.ontology.read import collection_files
from cellprism.store.identity import hash_of, identity_of_files, identity_of_path

BESIDE = ("config.json", "genes.tsv", "args.json", "vocab.json")  # read beside a model that is one file


def cells_identity(name: str) -> object:
    """What decides the cells: the bytes of the file, of the three files of a 10x folder, or of all that a manifest
    lists."""
    if not name:
        return ""
    if is_made(name):
        return {"made": name, "by": version("cellprism")}
    try:
        path = dataset_file(DATASETS[name]) if name in DATASETS else Path(name).expanduser()
        if path.is_dir():
            return identity_of_files(files_of(path), path)
        if is_manifest(path):
            return [hash_of(path), *(cells_identity(str(file)) for file in files_of_manifest(path))]
    except InputError:
        return {"absent": name}
    return hash_of(path) if path.is_file() else {"absent": name}


def model_identity(name: str) -> object:
    """What decides the model: the files that its loader reads, and the family where one is named.

    A model of the hub is named with its commit, which decides its files; what is no path is the family's own word.
    """
    path = Path(model_location(name))
    if not name or not path.exists():
        return name
    family = model_path(name)[0]
    if not path.is_file():
        shared = [file for place in PUBLISHED_IN for file in (path.parent / place).glob("*dict*.pkl")]
        return {"family": family, "files": [identity_of_path(path), identity_of_files(shared, path.parent)]}
    beside = [path.parent / other for other in BESIDE if (path.parent / other).is_file()]
    return {"family": family, "files": [hash_of(path), identity_of_files(beside, path.parent)]}


def collection_identity(name: str) -> object:
    """What decides the gene sets: the bytes of the file, wherever the name finds it, and of the files that it names."""
    if not name:
        return ""
    try:
        files = [hash_of(path) for path in collection_files(name)]
    except InputError:
        return {"absent": name}
    return files[0] if len(files) == 1 else files


def path_identity(name: str) -> object:
    """What a file or folder holds; empty where nothing is named or there is none."""
    return identity_of_path(Path(name).expanduser()) if name else ""


IDENTITIES = {
    "cells": cells_identity, "model": model_identity, "collection": collection_identity, "path": path_identity,
}  # fmt: skip
"""What a setting may name, by the metadata ``source`` of its field."""
KNOWN: dict[str, Collection[str]] = {"cells": DATASETS, "model": BUNDLED, "collection": COLLECTIONS, "path": ()}
"""Names of each kind that stand for something of ours, whatever lies beside them."""


def moved_names(kind: Any, asked: dict[str, Any], move: Callable[[str], str]) -> dict[str, Any]:
    """Settings with every path in them moved; names that stand for something known stay.

    Args:
        kind: the dataclass of the settings.
        asked: values by name; what is no text where a name is expected stays, and is refused elsewhere.
        move: what becomes of a path.
    """
    found = dict(asked)
    for item in fields(kind):
        value, names = asked.get(item.name), item.metadata.get("source")
        if is_dataclass(item.type) and isinstance(value, dict):
            found[item.name] = moved_names(item.type, value, move)
        elif names and isinstance(value, str):
            found[item.name] = moved_name(names, value, move)
    return found


def moved_name(kind: str, name: str, move: Callable[[str], str]) -> str:
    """A name of one kind of ``IDENTITIES`` with the path in it moved, if it is one."""
    if not name or name in KNOWN[kind] or (kind == "cells" and is_made(name)):
        return name
    family, path = model_path(name) if kind == "model" else ("", name)
    return f"{family}:{move(path)}" if family and path else move(path) if path else name


def settings_identity(settings: Any) -> dict[str, Any]:
    """A dataclass of settings as plain values, with the content of what a field of metadata ``source`` names."""
    found = {}
    for item in fields(settings):
        value = getattr(settings, item.name)
        if is_dataclass(value):
            value = settings_identity(value)
        elif "source" in item.metadata:
            value = IDENTITIES[item.metadata["source"]](value)
        found[item.name] = value
    return found


def check_collections(settings: Any) -> None:
    """Refuse collections of gene sets that are not there, before anything is computed.

    Raises:
        ConfigError, DamagedError: as ``collection_files``.
    """
    for item in fields(settings):
        value = getattr(settings, item.name)
        if is_dataclass(value):
            check_collections(value)
        elif item.metadata.get("source") == "collection" and value:
            collection_files(value)
