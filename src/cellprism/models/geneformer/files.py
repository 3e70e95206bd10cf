"""Geneformer on disk: the library's folder (``config.json``, ``model.safetensors``) and a gene dictionary.

- Only safetensors are read; ``pytorch_model.bin``, which older releases have beside them, is a pickle.
- The output layer shares its weights with the embeddings, and files name the shared tensor once or twice; both load.
  Any other tensor that is missing or unknown is an error: the library would fill it with random numbers.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM

from cellprism.cells.genes import GeneTable, read_gene_table
from cellprism.errors import DamagedError, ModelError
from cellprism.models import hub
from cellprism.models.card import card_of
from cellprism.models.geneformer.dictionaries import CONVERTED, find
from cellprism.models.geneformer.model import Geneformer
from cellprism.models.pickled import refuse_pointer
from cellprism.models.stated import object_of
from cellprism.store.atomic import read_json, replacing, write_json
from cellprism.store.tensors import weights_problem

WEIGHTS, CONFIG = "model.safetensors", "config.json"
LICENCE = "Apache-2.0"
"""Of the published models; taken where nothing else is stated."""
SHARED = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}
"""Tensors that are another one, by the other's name."""
CONSTANT = ("bert.embeddings.position_ids",)
"""Written by old versions of the library; holds nothing learned."""


def load(path: Path, genes: GeneTable | Path | str | None = None) -> Geneformer:
    """Load a published folder, or one that ``save`` wrote.

    Args:
        path: a folder with ``config.json``, ``model.safetensors`` and a gene dictionary, or with the dictionary where
            the published repository has it, in ``geneformer`` beside the folder.
        genes: a gene table, or its file, whose symbols are used in place of the dictionary's own.

    Raises:
        ModelError: a file, a tensor or a setting is missing or does not fit; weights are codes, or not finite.
        DamagedError: a file is truncated or altered.
    """
    settings = _settings(path)
    network = _network(path, settings)
    dictionary = find(path, network.config.vocab_size)
    card = card_of(settings, path) or hub.origin(path) or {"licence": hub.licence_of(path) or LICENCE}
    if genes is not None:
        dictionary = dictionary.named(genes if isinstance(genes, GeneTable) else read_gene_table(Path(genes)))
    return Geneformer(
        network, dictionary, card=card, name=card.get("name", path.name), revision=card.get("revision", "local"),
        licence=card.get("licence", LICENCE),
    )  # fmt: skip


def save(model: Geneformer, folder: Path, card: Mapping[str, Any]) -> None:
    """Write weights and configuration as the library does, and the gene dictionary; ``card`` joins the configuration.

    Name, revision and licence of the model are kept unless the card says otherwise.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in model.network.state_dict().items()}
    shared = SHARED if model.network.config.tie_word_embeddings else ()
    with replacing(folder / WEIGHTS) as scratch:
        save_file({name: t for name, t in tensors.items() if name not in shared}, scratch, metadata={"format": "pt"})
    known = {"name": model.name, "revision": model.revision, "licence": model.licence}
    settings = json.loads(model.network.config.to_json_string()) | {"architectures": ["BertForMaskedLM"]}
    write_json(folder / CONFIG, settings | {"card": {**known, **card}})
    model.dictionary.save(folder / CONVERTED)


def convert(path: Path) -> Path:
    """Write the gene dictionary of a model's folder into it as JSON, so that its pickles need not be read again.

    Raises:
        ModelError, DamagedError: as ``load``.
    """
    vocabulary = _settings(path).get("vocab_size")
    if not isinstance(vocabulary, int):
        raise ModelError(f"{path / CONFIG} does not say vocab_size, which tells one gene dictionary from another")
    find(path, vocabulary).save(path / CONVERTED)
    return path / CONVERTED


def _settings(path: Path) -> dict[str, Any]:
    if not (path / CONFIG).is_file():
        raise ModelError(f"no {CONFIG} in {path}; expected a Geneformer folder")
    return object_of(read_json(path / CONFIG), path)


def _network(path: Path, settings: dict[str, Any]) -> BertForMaskedLM:
    tensors = _tensors(path / WEIGHTS)
    try:
        network = BertForMaskedLM(BertConfig.from_dict(settings))
    except (StrictDataclassError, ValueError, TypeError) as error:
        raise ModelError(f"{path / CONFIG} does not describe a BERT: {error}") from error
    wanted = network.state_dict()
    absent = set(SHARED) if network.config.tie_word_embeddings else set()
    missing = sorted(wanted.keys() - tensors.keys() - absent)
    unknown = sorted(tensors.keys() - wanted.keys() - set(CONSTANT))
    if missing or unknown:
        raise ModelError(
            f"{path / WEIGHTS} is not the masked language model that its config describes: {len(missing)} tensors "
            f"missing (such as {missing[:2]}), {len(unknown)} unknown (such as {unknown[:2]}); a classifier made from "
            "Geneformer has no cls.* and cannot be used, its base model can"
        )
    if wrong := [name for name in wanted.keys() & tensors.keys() if wanted[name].shape != tensors[name].shape]:
        name = min(wrong)
        raise ModelError(f"{path / WEIGHTS}: tensor {name} has shape {tuple(tensors[name].shape)}, but {CONFIG} asks "
                         f"for {tuple(wanted[name].shape)}")  # fmt: skip
    weights = {name: t for name, t in tensors.items() if name in wanted}
    for problem in filter(None, (weights_problem(name, t) for name, t in weights.items())):
        raise ModelError(f"{path / WEIGHTS}: {problem}")
    network.load_state_dict(weights, strict=False)
    return network


def _tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelError(
            f"no {path.name} in {path.parent}; where there is only pytorch_model.bin, load it with the library "
            "transformers and write it with save_pretrained"
        )
    refuse_pointer(path)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise DamagedError(f"{path} is not a readable safetensors file ({error}); fetch or copy it again") from error
