"""A saved autoencoder: a folder with the file and key names of SAELens 6.

- ``cfg.json``: what SAELens needs, and under ``cellprism`` the SHA-256 of the other files.
- ``sae_weights.safetensors``: W_enc, b_enc, W_dec, b_dec.
- ``sparsity.safetensors``: log10 of each feature's firing rate, where it was measured.
- ``centre.safetensors``: the mean vector per group, where there is one. SAELens does not know it: give it
  centred vectors.

An autoencoder without ReLU is saved as architecture ``topk_signed``, which SAELens does not have: it
refuses such a folder instead of reading other codes from it.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from cellprism.errors import DamagedError, InputError
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.store.atomic import read_json, replacing, sha256, write_json

CONFIG, WEIGHTS, SPARSITY, CENTRE = (
    "cfg.json",
    "sae_weights.safetensors",
    "sparsity.safetensors",
    "centre.safetensors",
)
NEVER = 1e-10  # stands for a firing rate of zero, whose logarithm no file can hold
ARCHITECTURES = {"topk": True, "topk_signed": False}  # name in the file: has a ReLU
REQUIRED = {
    "apply_b_dec_to_input": True,
    "normalize_activations": "none",
    "reshape_activations": "none",
    "rescale_acts_by_decoder_norm": False,
}


def save(sae: SparseAutoencoder, folder: Path) -> None:
    """Write an autoencoder; ``cfg.json`` comes last, so a folder that has it is complete."""
    tensors: dict[str, dict[str, Tensor]] = {
        WEIGHTS: {name: getattr(sae, name) for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
    }
    if sae.firing_rate is not None:
        tensors[SPARSITY] = {"sparsity": torch.log10(sae.firing_rate + NEVER)}
    if sae.centre is not None:
        tensors[CENTRE] = {"centre": sae.centre}
    for name in (WEIGHTS, SPARSITY, CENTRE):
        if name not in tensors:
            (folder / name).unlink(missing_ok=True)
            continue
        with replacing(folder / name) as scratch:
            save_file({key: t.detach().float().cpu().contiguous() for key, t in tensors[name].items()}, scratch)
    config = {
        "architecture": next(name for name, relu in ARCHITECTURES.items() if relu == sae.relu),
        "d_in": sae.d_model,
        "d_sae": sae.n_features,
        "k": sae.k,
        "dtype": "float32",
        "device": "cpu",
        **REQUIRED,
        "metadata": dict(sae.metadata),
        "cellprism": {"sha256": {name: sha256(folder / name) for name in tensors}},
    }
    write_json(folder / CONFIG, config)


def load(folder: Path) -> SparseAutoencoder:
    """Read an autoencoder written here or by SAELens (architecture topk)."""
    config = _config(folder / CONFIG)
    hashes: dict[str, str] = config.get("cellprism", {}).get("sha256", {})
    d_model, n_features = config["d_in"], config["d_sae"]
    shapes = {
        "W_enc": (d_model, n_features),
        "b_enc": (n_features,),
        "W_dec": (n_features, d_model),
        "b_dec": (d_model,),
    }
    weights = _tensors(folder / WEIGHTS, shapes, hashes)
    rate = centre = None
    if SPARSITY in hashes or (folder / SPARSITY).is_file():
        sparsity = _tensors(folder / SPARSITY, {"sparsity": (n_features,)}, hashes)["sparsity"]
        rate = torch.where(sparsity < -9.99, 0.0, 10**sparsity)
    if CENTRE in hashes:
        centre = _tensors(folder / CENTRE, {"centre": (-1, d_model)}, hashes)["centre"]
    return SparseAutoencoder(
        W_enc=weights["W_enc"],
        b_enc=weights["b_enc"],
        W_dec=weights["W_dec"],
        b_dec=weights["b_dec"],
        k=config["k"],
        relu=ARCHITECTURES[config["architecture"]],
        centre=centre,
        firing_rate=rate,
        metadata=config.get("metadata", {}),
    )


def _config(path: Path) -> dict[str, Any]:
    if not path.parent.is_dir():
        raise InputError(
            f"there is no folder {path.parent}; give one that holds a saved autoencoder ({CONFIG}, {WEIGHTS})"
        )
    if not path.is_file():
        raise InputError(f"{path} is missing; a saved autoencoder has {CONFIG} and {WEIGHTS} in one folder")
    config = read_json(path)
    if not isinstance(config, dict):
        raise DamagedError(f"{path} holds no settings; restore it or train the autoencoder again")
    missing = [name for name in ("architecture", "d_in", "d_sae", "k") if name not in config]
    if config.get("architecture", "topk") not in ARCHITECTURES:
        raise InputError(
            f"{path} says architecture {config['architecture']!r}; this version reads {' and '.join(ARCHITECTURES)}"
        )
    if missing:
        raise DamagedError(f"{path} lacks {', '.join(missing)}; restore it or train the autoencoder again")
    for name, expected in REQUIRED.items():
        if config.get(name, expected) != expected:
            raise InputError(
                f"{path} says {name} = {config[name]!r}; only {expected!r} is read. "
                "Fold it into the weights where they come from"
            )
    return config


def _tensors(path: Path, shapes: dict[str, tuple[int, ...]], hashes: dict[str, str]) -> dict[str, Tensor]:
    """Tensors of a file by name, in the shapes expected; -1 stands for any length."""
    if not path.is_file():
        raise InputError(f"{path} is missing; a saved autoencoder needs it beside {CONFIG}")
    remedy = "restore it or train the autoencoder again"
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise DamagedError(f"{path} is damaged ({error}); {remedy}") from error
    if path.name in hashes and sha256(path) != hashes[path.name]:
        raise DamagedError(f"{path} is not the file that {CONFIG} was written with (SHA-256 differs); {remedy}")
    missing = [name for name in shapes if name not in tensors]
    if missing:
        found = ", ".join(sorted(tensors)) or "nothing"
        raise DamagedError(f"{path} lacks {', '.join(missing)}; found {found}; {remedy}")
    for name, shape in shapes.items():
        found = tuple(tensors[name].shape)
        if len(found) != len(shape) or any(e not in (-1, f) for e, f in zip(shape, found, strict=True)):
            raise DamagedError(f"{path}: {name} has shape {found} but {CONFIG} asks for {shape}; {remedy}")
    return {name: tensors[name].float() for name in shapes}
