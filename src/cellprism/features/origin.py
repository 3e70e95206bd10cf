"""What an autoencoder was trained on, kept in its metadata and compared wherever it meets a model.

- A model is told by its weights, one that has none by name and revision, by the settings that decide what it computes
  with them, and by the order of its genes. Of an autoencoder that does not say what it was trained on, such as a
  foreign one, or says only part of it, only what it says is compared.
- What was gone past by ``force`` stands in every table and record that is made.
- Weights are hashed once per model, until one of them changes.
"""

import hashlib
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch

from cellprism.errors import ModelError
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.store.run import digest
from cellprism.types import CellModel, HasWeights, Site, StatesReading

_hashed: "WeakKeyDictionary[Any, tuple[list[tuple[str, int, int]], str]]" = WeakKeyDictionary()


def model_origin(model: CellModel) -> dict[str, Any]:
    """What is kept with an autoencoder to tell its model from others."""
    return {
        "model_fingerprint": fingerprint(model), "gene_order": gene_order(model), "model_reads_with": reads_with(model)
    }  # fmt: skip


def fingerprint(model: CellModel) -> str:
    """Hash of a model's weights; of name and revision where it has none."""
    return weights_hash(model) or digest([model.name, model.revision])


def gene_order(model: CellModel) -> str:
    """Hash of a model's genes, in their order."""
    return digest(list(model.genes))


def reads_with(model: CellModel) -> dict[str, Any]:
    """Settings that decide, beside the weights, what a model computes; empty for one that states none."""
    return dict(model.reads_with()) if isinstance(model, StatesReading) else {}


def weights_hash(model: CellModel) -> str:
    """Hash of a network's weights; '' for models that are none, which name and revision must tell apart."""
    if not isinstance(model, HasWeights):
        return ""
    tensors = {name: value.detach() for name, value in model.state_dict().items()}
    state = [(name, t.data_ptr(), t._version) for name, t in tensors.items() if not t.is_inference()]
    if (known := _hashed.get(model)) and known[0] == state and len(state) == len(tensors):
        return known[1]
    content = hashlib.sha256()
    for name, value in tensors.items():
        content.update(name.encode())
        content.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    _hashed[model] = (state, content.hexdigest())
    return content.hexdigest()


def check_site(model: CellModel, sae: SparseAutoencoder, layer: int, force: bool = False) -> Site:
    """The site, if the model has it and the autoencoder fits it and was trained there.

    Args:
        model: the cell model.
        sae: the autoencoder.
        layer: block whose output it is to read, from 0.
        force: go on where it was trained on another model, layer or order of genes, as far as the shapes allow.

    Raises:
        ModelError: no such layer, an autoencoder of another width or for another gene list, or one that was trained
            on something else.
    """
    site = Site(layer, model.n_layers)
    if sae.d_model != model.d_model:
        raise ModelError(
            f"the autoencoder reads {sae.d_model} dimensions but {model.name!r} has {model.d_model}; "
            "use the autoencoder that was trained on this model"
        )
    if sae.centre is not None and len(sae.centre) not in (1, len(model.genes)):
        raise ModelError(
            f"the autoencoder is centred on {len(sae.centre)} genes but {model.name!r} has "
            f"{len(model.genes)}; use the autoencoder that was trained on this model"
        )
    if not force and (others := _differences(model, sae, layer)):
        raise ModelError(
            f"the autoencoder was trained {' and '.join(others)}; use the one that was trained here, or go on "
            "all the same with force=True"
        )
    return site


def target_layer(sae: SparseAutoencoder) -> int:
    """The block after which a transcoder's targets lie.

    Raises:
        ModelError: it does not say which, as one from elsewhere may not.
    """
    found = sae.metadata.get("target_layer")
    if not isinstance(found, int):
        raise ModelError(
            "this transcoder does not say after which block the vectors lie that it reconstructs; name it: "
            "dataclasses.replace(sae, metadata={**sae.metadata, 'target_layer': 2})"
        )
    return found


def forced_past(model: CellModel, sae: SparseAutoencoder, layer: int) -> str:
    """What the autoencoder was trained on that is not at hand, in words, for the record of what is made with it all the
    same; empty where it is used where it was trained."""
    return " and ".join(f"trained {found}" for found in _differences(model, sae, layer))


def _differences(model: CellModel, sae: SparseAutoencoder, layer: int) -> list[str]:
    """What the autoencoder was trained on that is not at hand, in words."""
    kept, found = sae.metadata, []
    if "model_fingerprint" in kept:
        same = kept["model_fingerprint"] == fingerprint(model)
    else:
        asked = {"model_name": model.name, "model_revision": model.revision}
        same = "model_revision" not in kept or all(kept.get(name) == value for name, value in asked.items())
    if not same:
        theirs = f"{kept.get('model_name')!r} ({kept.get('model_revision')})"
        found.append(f"on another model, {theirs}, than {model.name!r} ({model.revision}), whose weights are others")
    found += _otherwise_read(kept.get("model_reads_with", {}), reads_with(model))
    if model.tokens == "genes" and kept.get("gene_order", gene_order(model)) != gene_order(model):
        found.append(f"with other genes, or in another order, than the {len(model.genes):,} that the model has now")
    if kept.get("hook_layer", layer) != layer:
        found.append(f"after block {kept['hook_layer']} and not {layer}")
    return found


def _otherwise_read(kept: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The settings with which the model read cells then and does not now."""
    others = [f"{name} {then!r} and not {now.get(name)!r}" for name, then in kept.items() if now.get(name) != then]
    return [f"while the model read cells with {', '.join(others)}"] if others else []
