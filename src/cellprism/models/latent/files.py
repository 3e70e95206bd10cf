"""A latent model's folder: weights (safetensors), sizes and card (JSON), genes (tab-separated). Nothing is unpickled.

``config.json`` holds the SHA-256 of the other two files, so that flipped bytes and shuffled genes are noticed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import dacite
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from cellprism.cells.genes import GeneTable, read_gene_table, write_gene_table
from cellprism.errors import DamagedError, ModelError
from cellprism.models.card import card_of
from cellprism.models.latent.counts_model import CountsModel
from cellprism.store.atomic import read_json, replacing, sha256, write_json
from cellprism.store.tensors import weights_problem

WEIGHTS, CONFIG, GENES = "model.safetensors", "config.json", "genes.tsv"

Sizes = TypeVar("Sizes")


@dataclass(frozen=True)
class Stored:
    """What a folder holds besides the model's sizes."""

    tensors: dict[str, Tensor]
    genes: GeneTable
    about: dict[str, Any]
    """Name, revision, licence and card, as the model's constructor takes them."""


def is_kind(path: Path, kind: str) -> bool:
    """Whether ``path`` is a folder whose configuration says that it holds a model of this kind."""
    if not (path / CONFIG).is_file():
        return False
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        return False
    return isinstance(config, dict) and config.get("model_type") == kind


def write_folder(folder: Path, kind: str, model: CountsModel, card: Mapping[str, Any]) -> None:
    """Write a model's folder; its revision becomes the beginning of the weights' SHA-256.

    Args:
        folder: made if need be; files of the same names are replaced.
        kind: what ``is_kind`` will look for.
        model: the model.
        card: origin and measures, in JSON values; ``name`` and ``licence`` are added where it does not give them.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    with replacing(folder / WEIGHTS) as scratch:
        save_file(tensors, scratch, metadata={"format": "pt"})
    with replacing(folder / GENES) as scratch:
        write_gene_table(scratch, model.gene_table)
    sums = {name: sha256(folder / name) for name in (WEIGHTS, GENES)}
    revision = f"sha256:{sums[WEIGHTS][:16]}"
    card = {"name": model.name, "licence": model.licence, **card, "revision": revision}
    write_json(folder / CONFIG, {"model_type": kind, "sizes": asdict(model.sizes), "sha256": sums, "card": card})
    model.revision = revision


def read_folder(path: Path, kind: str, sizes: type[Sizes]) -> tuple[Sizes, Stored]:
    """Read what ``write_folder`` wrote.

    Raises:
        ModelError: the folder holds no model of this kind, or a file is missing.
        DamagedError: a file is truncated or altered.
    """
    if not (path / CONFIG).is_file():
        raise ModelError(f"no model at {path}: expected a folder with {CONFIG}, {WEIGHTS} and {GENES}")
    config = read_json(path / CONFIG)
    found = config.get("model_type") if isinstance(config, dict) else None
    if found != kind:
        raise ModelError(f"{path / CONFIG} says model_type {found!r}, expected {kind!r}; load it with load_model")
    for name in (WEIGHTS, GENES):
        if not (path / name).is_file():
            raise ModelError(f"{path} lacks {name}; a model's folder holds {CONFIG}, {WEIGHTS} and {GENES}")
        if sha256(path / name) != config.get("sha256", {}).get(name):
            raise DamagedError(f"{path / name} is not the file that was saved (its SHA-256 differs); copy it again")
    try:
        tensors = load_file(path / WEIGHTS)
        built = dacite.from_dict(sizes, config["sizes"], dacite.Config(strict=True))
    except (SafetensorError, dacite.DaciteError, KeyError) as error:
        raise DamagedError(f"{path} does not hold a whole model ({error}); copy it again") from error
    card = card_of(config, path) or {}
    about = {"name": card.get("name", path.name), "revision": card.get("revision", "local"),
             "licence": card.get("licence", "unknown"), "card": card}  # fmt: skip
    return built, Stored(tensors, read_gene_table(path / GENES), about)


def filled(model: CountsModel, tensors: dict[str, Tensor], path: Path) -> None:
    """Put weights into a model.

    Raises:
        DamagedError: they are not those of a model of these sizes.
        ModelError: they are codes, or not finite.
    """
    for problem in filter(None, (weights_problem(name, tensor) for name, tensor in tensors.items())):
        raise ModelError(f"{path}: {problem}")
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise DamagedError(f"{path}: weights and sizes do not fit ({error}); copy the folder again") from error
    model.eval().requires_grad_(False)
