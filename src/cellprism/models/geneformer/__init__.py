"""Geneformer, V1 and V2: BERT over a cell's genes ranked by how far they stand above their usual level.

- The network is ``BertForMaskedLM`` of the library transformers (``pip install 'cellprism[geneformer]'``), cut in two
  at any block; making tokens and reading gene dictionaries is done here.
- It predicts which gene stands at a place, not how much of it there is: ``CellOutput.expression`` is None,
  ``CellOutput.token_logit`` stands in for it.
- ``Geneformer`` is in ``cellprism.models.geneformer.model``, ``Dictionary`` in ``.dictionaries``: importing this
  package does not import transformers, which takes seconds.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cellprism.cells.genes import GeneTable
from cellprism.store.atomic import read_json
from cellprism.store.download import Progress
from cellprism.types import CellModel

LOOKS_FOR = "Geneformer: a folder whose config.json says model_type bert"


def recognises(path: Path) -> bool:
    """Whether ``path`` is a folder with a BERT in it; no other family of cell models is one.

    Raises:
        DamagedError: its ``config.json`` is no JSON.
    """
    config = path / "config.json"
    if not config.is_file():
        return False
    settings = read_json(config)
    return isinstance(settings, dict) and settings.get("model_type") == "bert"


def fetch_extras(folder: Path, offline: bool = False, progress: Progress | None = None) -> None:
    """Fetch a model's gene dictionaries, which the published repository keeps beside the folders of its models.

    Raises:
        ModelError: offline and not in the cache.
        DamagedError: something else came than was announced.
        CellprismError: the hub cannot be reached.
    """
    from cellprism.models.geneformer import dictionaries

    dictionaries.fetch_dictionaries(folder, offline, progress)


def load(path: Path, genes: GeneTable | Path | str | None = None) -> CellModel:
    """Load a folder; arguments, result and errors are those of ``cellprism.models.geneformer.files.load``."""
    from cellprism.models.geneformer import files

    return files.load(path, genes)


def save(model: Any, folder: Path, card: Mapping[str, Any]) -> None:
    """Write a folder that ``load`` and the library itself read; see ``cellprism.models.geneformer.files.save``."""
    from cellprism.models.geneformer import files

    files.save(model, folder, card)
