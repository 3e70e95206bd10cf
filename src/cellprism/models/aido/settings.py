"""What an AIDO.Cell model's files say besides its weights: sizes, settings, origin and licence.

- The published ``config.json`` names its settings in another way than ours; both are read.
- Every size that it states is compared with the tensors. Tensors count; a difference is said with both numbers.
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from cellprism.errors import DamagedError, ModelError
from cellprism.models.aido.model_input import DEPTH_FLOOR, DEPTH_TOKENS
from cellprism.models.hub import KNOWN_LICENCES, licence_of, origin
from cellprism.models.stated import object_of, stated
from cellprism.store.atomic import read_json

CONFIG = "config.json"
PUBLISHED_NAMES = {
    "hidden": "hidden_size",
    "layers": "num_hidden_layers",
    "intermediate": "intermediate_size",
    "bins": "bin_num",
    "n_genes": "max_position_embeddings",
    "norm": "normalization_type",
}
"""Settings that tensors tell too: ours, and what the published configuration calls them."""


@dataclass(frozen=True)
class AidoConfig:
    """Sizes and input conventions of one model of the family."""

    n_genes: int
    """Genes in the model's list; the input has two more tokens, for depth."""
    hidden: int
    """Width of the residual stream (d_model)."""
    layers: int
    """Number of blocks."""
    heads: int
    """Attention heads; the head dimension is hidden / heads."""
    intermediate: int
    """Width of the SwiGLU feed-forward layer."""
    norm: Literal["layer", "rms"] = "layer"
    """LayerNorm or RMSNorm; read off the presence of norm biases when loading."""
    bins: int = 100
    """Value bins of the input embedding."""
    bin_alpha: float = 1.0
    """Weight of the residual path in the bin scores."""
    eps: float = 1e-5
    """Added to variances in the norms."""
    mask_value: float = -1.0
    """Input value that stands for a hidden token."""
    pad_value: float = -2.0
    """Input value that stands for no token."""
    gene_subset: bool = False
    """True: absent genes are left out (trained that way). False: absent genes are zeros, as in the published models."""
    total: Literal["aligned", "cell"] = "aligned"
    """Counts per ten thousand of what: the model's genes (published models) or all counts of the cell."""
    depth_floor: float = DEPTH_FLOOR
    """Smallest value of the depth tokens; 5 hides the depth of every cell below 100,000 counts."""
    rates: bool = False
    """True: the output is log1p of the expected counts per ten thousand, and each gene has a bias, a readout of the
    stream and a dispersion of its own. False: one head for all genes, as in the published models."""
    factors: int = 0
    """Factors of a cell, found from the genes that it shows and added to the stream at every token; 0 for none, as in
    the published models."""

    def __post_init__(self):
        if self.heads < 1 or self.hidden % self.heads:
            raise ModelError(
                f"hidden {self.hidden} is not a multiple of heads {self.heads}; correct the model's config.json"
            )
        if self.eps < 0:
            raise ModelError(f"eps {self.eps}: expected a number of at least 0; correct the model's config.json")
        if max(self.mask_value, self.pad_value) >= 0 or self.mask_value == self.pad_value:
            raise ModelError(
                f"mask_value {self.mask_value} and pad_value {self.pad_value} stand for a hidden gene and for none: "
                "expected two numbers below 0, which no count is; correct the model's config.json"
            )


def read_settings(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """The configuration in the weights' metadata, or else in ``config.json`` beside them.

    Raises:
        ModelError: there is none, or it is no object.
        DamagedError: it is not JSON.
    """
    beside = (path if path.is_dir() else path.parent) / CONFIG
    if "config" in metadata:
        try:
            return object_of(json.loads(metadata["config"]), path)
        except json.JSONDecodeError as error:
            found = f"the configuration in the metadata of {path} is not JSON ({error})"
            raise DamagedError(f"{found}; fetch or copy the file again") from error
    if beside.is_file():
        return object_of(read_json(beside), path)
    raise ModelError(f"no configuration for {path}: expected {CONFIG} beside it or a 'config' entry in its metadata")


def config_of(path: Path, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> AidoConfig:
    """Sizes from the tensors, the rest from the settings; a stated size that differs is warned of.

    Raises:
        ModelError: a tensor is missing or is no table, the number of heads is not stated, or a setting is of another
            kind.
    """

    def shape(name: str) -> torch.Size:
        if name not in tensors:
            raise ModelError(f"{path} lacks tensor {name}: not an AIDO.Cell model, or only a part of one")
        if tensors[name].ndim != 2:
            raise ModelError(f"{path}: tensor {name} has shape {tuple(tensors[name].shape)}, expected two axes")
        return tensors[name].shape

    rows, hidden = shape("bert.position_embedding.weight")
    layers = len({k.split(".")[3] for k in tensors if k.startswith("bert.encoder.layer.")})
    total = stated(settings, ("total",), "aligned", path)
    if total not in ("aligned", "cell"):
        raise ModelError(f"the configuration of {path} says total = {total!r}, expected 'aligned' or 'cell'")
    named = ("num_attention_heads", "heads")
    if all(settings.get(name) is None for name in named):
        raise ModelError(f"the configuration of {path} does not say num_attention_heads, which no shape can tell")
    config = AidoConfig(
        n_genes=rows - DEPTH_TOKENS,
        hidden=hidden,
        layers=layers,
        heads=stated(settings, named, 1, path),
        intermediate=shape("bert.encoder.layer.0.mlp.up_proj.weight")[0],
        norm="layer" if "bert.encoder.ln.bias" in tensors else "rms",
        bins=shape("bert.gene_embedding.lookup_table.weight")[0],
        bin_alpha=stated(settings, ("bin_alpha",), 1.0, path),
        eps=stated(settings, ("layer_norm_eps", "eps"), 1e-5, path),
        mask_value=stated(settings, ("mask_token_id", "mask_value"), -1.0, path),
        pad_value=stated(settings, ("pad_token_id", "pad_value"), -2.0, path),
        gene_subset=stated(settings, ("gene_subset",), False, path),
        total=total,
        depth_floor=stated(settings, ("depth_floor",), DEPTH_FLOOR, path),
        rates=stated(settings, ("rates",), False, path),
        factors=stated(settings, ("factors",), 0, path),
    )
    _compare(path, config, settings)
    return config


def published_card(folder: Path) -> dict[str, Any]:
    """Name, revision, licence and source of weights that carry no card of ours: where they were fetched from, or else
    what the README beside them states."""
    fetched = origin(folder)
    if fetched is not None:
        return fetched
    stated = licence_of(folder)
    if stated in ("", "other"):
        stated = f"not stated; published AIDO.Cell weights are under the {KNOWN_LICENCES['genbio-ai']}"
    return {"licence": stated}


def _compare(path: Path, config: AidoConfig, settings: Mapping[str, Any]) -> None:
    differing = []
    for ours, published in PUBLISHED_NAMES.items():
        found = getattr(config, ours)
        expected = {found}
        if ours == "n_genes":
            expected.add(found + DEPTH_TOKENS)  # positions are stated with and without the depth tokens
        if ours == "norm":
            expected.add({"layer": "LayerNorm", "rms": "RMSNorm"}[found])
        name = published if published in settings else ours
        if name in settings and settings[name] not in expected:
            differing.append(f"{name} {settings[name]} stated, {found} found")
    if differing:
        warnings.warn(
            f"{path}: the configuration and the tensors disagree ({'; '.join(differing)}); the tensors count. Check "
            "that the configuration belongs to these weights: the number of heads is taken from it",
            stacklevel=4,
        )
