"""scGPT weights on disk: a folder with ``best_model.pt`` (or ``model.safetensors``), ``args.json`` and ``vocab.json``.

- The weights are read as tensors and nothing else (``weights_only``): no code in the file is ever run.
- Attention may be named as torch does, or fused under ``Wqkv`` as the flash-attention build does; queries, keys and
  values lie in the same order in both. A ``module.`` in front comes from training on several devices.
- What this model has no use for (classifiers, the decoder from the cell embedding, what fine-tuning adds) is left
  aside and named in the card; parts without which the residual stream or the predictions are others are warned of.
- Sizes come from the tensors; ``args.json`` supplies what shapes cannot tell: heads, bins, how values are read.
"""

import re
import warnings
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Size, Tensor

from cellprism.cells.genes import GeneTable
from cellprism.errors import DamagedError, ModelError
from cellprism.models.load_tensors import fill
from cellprism.models.pickled import read_pickled, refuse_pointer
from cellprism.models.scgpt.model import ScGpt, ScGptConfig
from cellprism.models.stated import stated
from cellprism.store.atomic import read_json

PICKLED, SAFE, ARGS, VOCABULARY = "best_model.pt", "model.safetensors", "args.json", "vocab.json"
LOOKS_FOR = f"a folder with {PICKLED} or {SAFE}, {ARGS} and {VOCABULARY}"
LICENCE = "MIT where published by the authors of scGPT; fine-tuned weights may have another"
CLS = "<cls>"
SPECIAL = re.compile(r"<\w+>")

BLOCK_NAMES = {
    "qkv.": "self_attn.in_proj_", "out.": "self_attn.out_proj.", "up.": "linear1.", "down.": "linear2.",
    "norm1.": "norm1.", "norm2.": "norm2.",
}  # fmt: skip
OUTER_NAMES = {
    "gene_embedding.": "encoder.embedding.",
    "gene_norm.": "encoder.enc_norm.",
    "value_embedding.": "value_encoder.",
    "decoder.": "decoder.fc.",
}
NOT_NEEDED = {
    "cls_decoder.": "classifier of cells",
    "mvc_decoder.": "decoder from the cell embedding",
    "grad_reverse_discriminator.": "discriminator of batches",
    "flag_encoder.": "mark of genes to be generated",
}
MISSED = {
    "dsbn.": "normalisation by batch: the residual stream is not the one that was fine-tuned",
    "bn.": "batch normalisation: the residual stream is not the one that was fine-tuned",
    "decoder.zero_logit.": "probability of expression: amounts are predicted as if every gene were expressed",
}
READ_AS = {"input_style": "binned", "input_emb_style": "continuous", "pre_norm": False}


def published_name(ours: str) -> str:
    """The published tensor name for one of our state-dict keys."""
    if block := re.fullmatch(r"blocks\.(\d+)\.(\w+\.)(\w+)", ours):
        number, part, kind = block.groups()
        return f"transformer_encoder.layers.{number}.{BLOCK_NAMES[part]}{kind}"
    prefix = next(p for p in OUTER_NAMES if ours.startswith(p))
    return OUTER_NAMES[prefix] + ours.removeprefix(prefix)


def recognises(path: Path) -> bool:
    """Whether ``path`` is a folder of this family, or a file of weights in one."""
    folder = path if path.is_dir() else path.parent
    weights = path.is_dir() or (path.is_file() and path.suffix in (".pt", ".safetensors"))
    return weights and all((folder / name).is_file() for name in (ARGS, VOCABULARY))


def load(path: Path) -> ScGpt:
    """Load published weights from their folder, or from one file of weights in such a folder.

    Raises:
        ModelError: nothing to load at ``path``, another kind of model, or a setting or tensor is missing or has the
            wrong shape.
        DamagedError: a file is truncated or altered.
    """
    folder = path if path.is_dir() else path.parent
    weights = next((f for f in (folder / SAFE, folder / PICKLED) if f.is_file()), None) if path == folder else path
    if weights is None or not recognises(weights):
        raise ModelError(f"no scGPT model at {path}: expected {LOOKS_FOR}")
    settings = _settings(folder / ARGS)
    tensors = {_plain_name(name): tensor for name, tensor in _read_tensors(weights).items()}
    known = NOT_NEEDED | MISSED
    aside = {prefix: known[prefix] for prefix in known if any(name.startswith(prefix) for name in tensors)}
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(tuple(aside))}
    config = _config(weights, tensors, settings)
    symbols, places, cls_token = _vocabulary(folder / VOCABULARY, config.vocabulary)
    card = {"weights": weights.name, "trained_on_tokens": settings.get("max_seq_len"), "left_aside": aside}
    model = ScGpt(
        config, GeneTable.of(symbols), places, cls_token,
        name=folder.resolve().name, licence=LICENCE, card=card,
    )  # fmt: skip
    fill(model, tensors, published_name, weights)
    for prefix in filter(aside.__contains__, MISSED):
        warnings.warn(f"{weights}: {prefix}* is left aside, {aside[prefix]}", stacklevel=2)
    return model.eval().requires_grad_(False)


def _plain_name(name: str) -> str:
    name = name.removeprefix("module.").replace(".self_attn._impl.", ".self_attn.")
    return name.replace(".self_attn.Wqkv.", ".self_attn.in_proj_")


def _read_tensors(file: Path) -> dict[str, Tensor]:
    if file.suffix != ".safetensors":
        return read_pickled(file)
    refuse_pointer(file)
    try:
        return load_file(file)
    except SafetensorError as error:
        raise DamagedError(f"{file} is not a readable file of weights ({error}); fetch or copy it again") from error


def _settings(file: Path) -> dict[str, Any]:
    settings = read_json(file)
    if not isinstance(settings, dict) or "nheads" not in settings:
        raise ModelError(f"{file} does not say nheads, which no shape can tell; copy it from where the weights are")
    for key, expected in READ_AS.items():
        if (found := settings.get(key, expected)) != expected:
            raise ModelError(f"{file}: {key} is {found!r}; only models with {expected!r}, as published, can be read")
    return settings


def _config(file: Path, tensors: dict[str, Tensor], settings: dict[str, Any]) -> ScGptConfig:
    def shape(name: str) -> Size:
        if name not in tensors or tensors[name].ndim != 2:
            found = f"has shape {tuple(tensors[name].shape)}" if name in tensors else "is missing"
            raise ModelError(f"{file}: tensor {name} {found}: not an scGPT model, or only a part of one")
        return tensors[name].shape

    vocabulary, hidden = shape("encoder.embedding.weight")
    if shape("decoder.fc.0.weight")[1] == 2 * hidden:
        raise ModelError(
            f"{file} was fine-tuned with batch labels, which its decoder reads beside every token; load the "
            "pretrained weights, or fine-tune without batch labels"
        )
    return ScGptConfig(
        vocabulary,
        hidden,
        layers=len({name.split(".")[2] for name in tensors if name.startswith("transformer_encoder.layers.")}),
        heads=stated(settings, ("nheads",), 1, file),
        intermediate=shape("transformer_encoder.layers.0.linear1.weight")[0],
        n_bins=stated(settings, ("n_bins",), 51, file),
        cls_value=stated(settings, ("pad_value",), -2.0, file),
        mask_value=stated(settings, ("mask_value",), -1.0, file),
    )


def _vocabulary(file: Path, rows: int) -> tuple[list[str], list[int], int]:
    """Genes by their place in the vocabulary, these places, and that of ``<cls>``."""
    place = read_json(file)
    if not isinstance(place, dict) or sorted(place.values()) != list(range(rows)):
        held = f"{len(place)} tokens" if isinstance(place, dict) else f"a {type(place).__name__}"
        raise ModelError(
            f"{file} holds {held}, the embedding {rows} rows; expected every token with its row, 0 to {rows - 1}: copy "
            "the vocabulary that the weights were trained with"
        )
    if CLS not in place:
        raise ModelError(f"{file} has no token {CLS}, behind which the genes of a cell are read; add it with its row")
    genes = sorted((t for t in place if not SPECIAL.fullmatch(t)), key=place.__getitem__)
    return genes, [place[gene] for gene in genes], place[CLS]
