"""AIDO.Cell weights on disk: the published tensor names, with or without prediction head, and our own folders.

- A published file names its tensors ``bert.*`` and ``cls.*``; one saved from the base model has neither the ``bert.``
  prefix nor a head. Both load; a missing head is said as a warning, since nothing can be said of genes without it.
- Sizes come from the tensors; ``config.json`` (or the file's metadata) supplies what shapes cannot tell: heads, eps.
  Where the two disagree, the tensors count and both are said.
- The published repositories hold ``pytorch_model.bin``, a pickle. It is read by torch's loader for tensors alone, which
  runs no code, and only where there are no safetensors.
- We save under the published names, so that other readers of the family can load our models too.
"""

import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cellprism.cells.genes import GeneTable, read_gene_table, write_gene_table
from cellprism.errors import DamagedError, ModelError
from cellprism.models.aido.gene_list import cached_gene_list, fetch_gene_list
from cellprism.models.aido.model import AidoCell
from cellprism.models.aido.settings import CONFIG, config_of, published_card, read_settings
from cellprism.models.card import card_of
from cellprism.models.load_tensors import fill
from cellprism.models.pickled import read_pickled, refuse_pointer
from cellprism.store.atomic import read_json, replacing, write_json
from cellprism.store.download import Progress
from cellprism.store.run import digest

WEIGHTS, PICKLED, GENES = "model.safetensors", "pytorch_model.bin", "genes.tsv"
MODEL_TYPE = "cellfoundation"
LOOKS_FOR = f"AIDO.Cell: a folder whose {CONFIG} says model_type {MODEL_TYPE}, or safetensors with its tensors' names"
SUBSET = (
    "Genes that the data do not have were left out, while the model was trained on all {:,} at once; the others kept "
    "their positions, and counts are per ten thousand of all of a cell's."
)

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
    "factors": "bert.cell_factors",
    "final_norm": "bert.encoder.ln",
    "head.dense": "cls.predictions.transform.dense",
    "head.norm": "cls.predictions.transform.LayerNorm",
    "head.decoder": "cls.predictions.decoder",
    "head.rates": "cls.predictions.rates",
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


def recognises(path: Path) -> bool:
    """Whether a folder or file looks like a model of this family, told by its configuration or its tensors' names."""
    config = (path if path.is_dir() else path.parent) / CONFIG
    settings = read_json(config) if config.is_file() else {}
    if isinstance(settings, dict) and settings.get("model_type") == MODEL_TYPE:
        return True
    files = _weight_files(path) if path.is_dir() else [path]
    if not files or files[0].suffix != ".safetensors":
        return False
    try:
        with safe_open(files[0], framework="pt") as opened:
            return any(key.endswith("gene_embedding.lookup_table.weight") for key in opened.keys())  # noqa: SIM118
    except (SafetensorError, FileNotFoundError):
        return False


def fetch_extras(folder: Path, offline: bool = False, progress: Progress | None = None) -> None:
    """Fetch what a model's folder needs and does not hold: the published gene list.

    Raises:
        ModelError: offline and not in the cache.
        DamagedError: something else came than the pinned list.
        CellprismError: its address cannot be reached.
    """
    if not (folder / GENES).is_file():
        fetch_gene_list(offline, progress)


def load(path: Path, genes: GeneTable | Path | str | None = None, gene_subset: bool = False) -> AidoCell:
    """Load published or our own weights from a folder or one file.

    Args:
        path: a folder, a safetensors file, or a ``pytorch_model.bin``.
        genes: the gene list or its file; by default ``genes.tsv`` beside the weights, or the published list if it was
            fetched.
        gene_subset: leave genes out that the data set does not have, instead of giving zeros as in training; the
            others keep their positions. Cheaper, and outside of what a published model has been trained on: the
            model's card says so among its limits.

    Raises:
        ModelError: nothing to load at ``path``, a setting or tensor is missing or has the wrong shape, or the gene
            list is not the one that it was saved with.
        DamagedError: a file is truncated or altered.
    """
    tensors, metadata = _read_tensors(path)
    tensors = {k if k.startswith(("bert.", "cls.")) else f"bert.{k}": v for k, v in tensors.items()}
    twin = tensors.pop("cls.predictions.decoder.bias", None)  # one tensor under two names; a file may have either
    if twin is not None:
        tensors.setdefault("cls.predictions.bias", twin)
    settings = read_settings(path, metadata)
    config = config_of(path, tensors, settings)
    folder = path if path.is_dir() else path.parent
    given = card_of(settings, path)
    card: dict[str, Any] = published_card(folder) if given is None else given
    if gene_subset and not config.gene_subset:
        config = replace(config, gene_subset=True, total="cell")
        card = card | {"limits": [*card.get("limits", ()), SUBSET.format(config.n_genes)]}
    if genes is None and (folder / GENES).is_file():
        genes = folder / GENES
    table = read_gene_table(Path(genes)) if isinstance(genes, str | Path) else genes
    if table is not None and settings.get("gene_names") == (found := _order(table))["gene_names"]:
        _check_order(found, settings, path)
    head = any(key.startswith("cls.") for key in tensors)
    model = AidoCell(
        config, cached_gene_list(config.n_genes) if table is None else table, head=head, card=card,
        name=card.get("name", path.name if path.is_dir() else path.stem),
        revision=card.get("revision", "local"), licence=card.get("licence", "unknown"),
    )  # fmt: skip
    fill(model, tensors, published_name, path)
    if not head:
        warnings.warn(
            f"{path} has no prediction head (cls.*): expression cannot be predicted, and embeddings alone can be "
            "steered; load the full published file instead of the bare encoder",
            stacklevel=3,
        )
    return model.eval().requires_grad_(False)


def save(model: AidoCell, folder: Path, card: Mapping[str, Any]) -> None:
    """Write weights (published names), ``config.json`` and ``genes.tsv`` into ``folder``; ``card`` joins the config."""
    tensors = {published_name(k): v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    with replacing(folder / WEIGHTS) as scratch:
        save_file(tensors, scratch, metadata={"format": "pt"})
    config = {"model_type": MODEL_TYPE, **model.settings(), "card": dict(card)}
    if model.gene_table is not None:
        config |= _order(model.gene_table)
    write_json(folder / CONFIG, config)
    if model.gene_table is not None:
        with replacing(folder / GENES) as scratch:
            write_gene_table(scratch, model.gene_table)


def _order(table: GeneTable) -> dict[str, str]:
    """What tells a gene list from the same genes in another order: hashes of its names, sorted and as they stand."""
    return {"gene_names": digest(sorted(table.symbol)), "gene_order": digest(list(table.symbol))}


def _check_order(found: Mapping[str, str], settings: Mapping[str, Any], path: Path) -> None:
    if found["gene_order"] != settings.get("gene_order"):
        raise ModelError(
            f"the gene list for {path} has the genes that the model was saved with in another order, so that each "
            f"would be taken for another; use the {GENES} that was written beside the weights"
        )


def _read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    files = _weight_files(path) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise ModelError(f"no model at {path}: expected a .safetensors file or a folder that holds one")
    if files[0].suffix == ".bin":
        return read_pickled(files[0]), {}
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    for file in files:
        refuse_pointer(file)
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
    """``model.safetensors``, beside which a training checkpoint may lie; without it, every shard of the folder; without
    any, the published pickle."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    shards = sorted(file for file in folder.glob("*.safetensors") if not file.name.startswith("."))
    return shards or [file for file in (folder / PICKLED,) if file.is_file()]
