"""AIDO.Cell weights on disk: the published tensor names, with or without prediction head, and our own folders.

- A published file names its tensors ``bert.*`` and ``cls.*``; one saved from the base model has neither the ``bert.``
  prefix nor a head. Both load; a missing head is said as a warning, since nothing can be steered without it.
- Sizes come from the tensors; ``config.json`` (or the file's metadata) supplies what shapes cannot tell: heads, eps.
- We save under the published names, so that other readers of the family can load our models too.
"""

import json
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cellprism.cells.genes import GeneTable, read_gene_table, write_gene_table
from cellprism.errors import DamagedError, ModelError
from cellprism.models.aido import AidoCell, AidoConfig
from cellprism.models.aido_input import DEPTH_TOKENS
from cellprism.store.atomic import read_json, replacing, write_json

WEIGHTS, CONFIG, GENES = "model.safetensors", "config.json", "genes.tsv"

BLOCK_NAMES = {
    "norm1": "attention.ln",
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "out": "attention.output.dense",
    "norm2": "ln",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
OUTER_NAMES = {
    "value_embedding": "bert.gene_embedding",
    "position_embedding": "bert.position_embedding",
    "final_norm": "bert.encoder.ln",
    "head.dense": "cls.predictions.transform.dense",
    "head.norm": "cls.predictions.transform.LayerNorm",
    "head.decoder": "cls.predictions.decoder",
}


def published_name(ours: str) -> str:
    """The published tensor name for one of our state-dict keys."""
    if ours == "head.decoder.bias":
        return "cls.predictions.bias"
    if block := re.fullmatch(r"blocks\.(\d+)\.(\w+)\.(weight|bias)", ours):
        number, part, kind = block.groups()
        return f"bert.encoder.layer.{number}.{BLOCK_NAMES[part]}.{kind}"
    for prefix, published in OUTER_NAMES.items():
        if ours.startswith(prefix + "."):
            return published + ours[len(prefix) :]
    raise KeyError(ours)


def load(path: Path, genes: GeneTable | None) -> AidoCell:
    """Load published or our own weights from a folder or one safetensors file.

    Raises:
        ModelError: nothing to load at ``path``, a setting or tensor is missing or has the wrong shape.
        DamagedError: a file is truncated or altered.
    """
    tensors, metadata = _read_tensors(path)
    tensors = {k if k.startswith(("bert.", "cls.")) else f"bert.{k}": v for k, v in tensors.items()}
    tensors.pop("cls.predictions.decoder.bias", None)  # published twice; cls.predictions.bias is the same tensor
    settings, card = _read_settings(path, metadata)
    beside = (path if path.is_dir() else path.parent) / GENES
    if genes is None and beside.is_file():
        genes = read_gene_table(beside)
    head = any(key.startswith("cls.") for key in tensors)
    config = _config(path, tensors, settings)
    model = AidoCell(
        config, genes, head=head, card=card,
        name=card.get("name", path.name if path.is_dir() else path.stem),
        revision=card.get("revision", "local"), licence=card.get("licence", "unknown"),
    )  # fmt: skip
    _fill(model, tensors, path)
    if not head:
        warnings.warn(
            f"{path} has no prediction head (cls.*): residuals can be read, but expression cannot be predicted "
            "and nothing can be steered",
            stacklevel=3,
        )
    return model.eval().requires_grad_(False)


def save(model: AidoCell, folder: Path, card: dict[str, Any]) -> None:
    """Write weights (published names), ``config.json`` and ``genes.tsv`` into ``folder``; ``card`` joins the config."""
    tensors = {published_name(k): v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    with replacing(folder / WEIGHTS) as scratch:
        save_file(tensors, scratch, metadata={"format": "pt"})
    config = {"model_type": "cellfoundation", **model.settings(), "card": card}
    write_json(folder / CONFIG, config)
    if model.gene_table is not None:
        write_gene_table(folder / GENES, model.gene_table)


def _read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    files = _weight_files(path) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise ModelError(f"no model at {path}: expected a .safetensors file or a folder that holds one")
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as opened:
                metadata |= opened.metadata() or {}
                tensors |= {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 - no mapping
        except SafetensorError as error:
            raise DamagedError(
                f"{file} is not a readable safetensors file ({error}); fetch or copy it again"
            ) from error
    return tensors, metadata


def _weight_files(folder: Path) -> list[Path]:
    """``model.safetensors``, beside which a training checkpoint may lie; without it, every shard of the folder."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    return sorted(file for file in folder.glob("*.safetensors") if not file.name.startswith("."))


def _read_settings(path: Path, metadata: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    beside = (path if path.is_dir() else path.parent) / CONFIG
    if "config" in metadata:
        try:
            settings = json.loads(metadata["config"])
        except json.JSONDecodeError as error:
            found = f"the configuration in the metadata of {path} is not JSON ({error})"
            raise DamagedError(f"{found}; fetch or copy the file again") from error
    elif beside.is_file():
        settings = read_json(beside)
    else:
        raise ModelError(
            f"no configuration for {path}: expected {CONFIG} beside it or a 'config' entry in its metadata"
        )
    return settings, settings.get("card", {})


def _config(path: Path, tensors: dict[str, Tensor], settings: dict[str, Any]) -> AidoConfig:
    def shape(name: str) -> torch.Size:
        if name not in tensors:
            raise ModelError(f"{path} lacks tensor {name}: not an AIDO.Cell model, or only a part of one")
        if tensors[name].ndim != 2:
            raise ModelError(f"{path}: tensor {name} has shape {tuple(tensors[name].shape)}, expected two axes")
        return tensors[name].shape

    rows, hidden = shape("bert.position_embedding.weight")
    layers = len({k.split(".")[3] for k in tensors if k.startswith("bert.encoder.layer.")})
    heads = settings.get("num_attention_heads", settings.get("heads"))
    if heads is None:
        raise ModelError(f"the configuration of {path} does not say num_attention_heads, which no shape can tell")
    return AidoConfig(
        n_genes=rows - DEPTH_TOKENS,
        hidden=hidden,
        layers=layers,
        heads=heads,
        intermediate=shape("bert.encoder.layer.0.mlp.up_proj.weight")[0],
        norm="layer" if "bert.encoder.ln.bias" in tensors else "rms",
        bins=shape("bert.gene_embedding.lookup_table.weight")[0],
        bin_alpha=settings.get("bin_alpha", 1.0),
        eps=settings.get("layer_norm_eps", settings.get("eps", 1e-5)),
        mask_value=float(settings.get("mask_token_id", settings.get("mask_value", -1.0))),
        pad_value=float(settings.get("pad_token_id", settings.get("pad_value", -2.0))),
        gene_subset=settings.get("gene_subset", False),
        total=settings.get("total", "aligned"),
    )


def _fill(model: AidoCell, tensors: dict[str, Tensor], path: Path) -> None:
    wanted = {published_name(ours): ours for ours in model.state_dict()}
    missing, unknown = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    if missing or unknown:
        raise ModelError(
            f"{path} does not hold the tensors of this family: {len(missing)} missing (such as {missing[:2]}), "
            f"{len(unknown)} unknown (such as {unknown[:2]})"
        )
    wrong = [n for n, ours in wanted.items() if tensors[n].shape != model.state_dict()[ours].shape]
    if wrong:
        raise ModelError(f"{path}: tensor {wrong[0]} has shape {tuple(tensors[wrong[0]].shape)}, expected "
                         f"{tuple(model.state_dict()[wanted[wrong[0]]].shape)}")  # fmt: skip
    model.load_state_dict({ours: tensors[name].float() for name, ours in wanted.items()})
