"""A saved autoencoder: a folder with the file and key names of SAELens 6.

- ``cfg.json``: what SAELens needs, and under ``cellprism`` the SHA-256 of the other files, what the autoencoder was
  trained as, and, where SAELens cannot compute it, a note that says so. SAELens then refuses the folder.
- ``sae_weights.safetensors``: the weights; see ``cellprism.sae.saelens`` for which and in which form.
- ``sparsity.safetensors``: log10 of each feature's firing rate, where it was measured.
- ``centre.safetensors``, ``target_centre.safetensors``: mean vectors, where there are some. SAELens does not read them:
  the one of all tokens is in its weights already, those of groups make it refuse.

Read are folders written here and by SAELens: trained autoencoders, and its training checkpoints, whose scaling of the
vectors (``activation_scaler.json``) is folded into the weights. Neither its pickles nor any other are opened.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from cellprism.errors import DamagedError, InputError
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.saelens import GROUPED, NORMALISERS, TRAINED_AS, Form, Normaliser, autoencoder, renewed, weights_of
from cellprism.store.atomic import read_json, replacing, sha256, write_json
from cellprism.store.place import folder_of
from cellprism.store.tensors import weights_problem

CONFIG, WEIGHTS, SPARSITY = "cfg.json", "sae_weights.safetensors", "sparsity.safetensors"
CENTRES = {"centre": "centre.safetensors", "target_centre": "target_centre.safetensors"}
SCALER, WHITENING = "activation_scaler.json", "activation_whitening.safetensors"
OBJECTS = ("config", "measures", "cells", "tokens", "model_reads_with")
"""What an autoencoder that was trained on cells keeps of its training, a JSON object each."""
NEVER = 1e-10  # stands for a firing rate of zero, whose logarithm no file can hold
REMEDY = "restore it or train the autoencoder again"


def save_sae(sae: SparseAutoencoder, folder: str | Path) -> None:
    """Write an autoencoder as SAELens reads it; ``cfg.json`` comes last, so a folder that has it is complete.

    >>> import torch, cellprism as cp
    >>> x = torch.randn(512, 8, generator=torch.Generator().manual_seed(0))
    >>> sae = cp.fit_sae(x, cp.SaeConfig(k=2, n_features=16, batch_size=64, epochs=1))
    >>> cp.save_sae(sae, "sae")
    >>> sorted(path.name for path in __import__("pathlib").Path("sae").iterdir())
    ['cfg.json', 'sae_weights.safetensors']
    """
    sae, folder = sae.to("cpu"), Path(folder)
    form = Form.of(sae)
    tensors: dict[str, dict[str, Tensor]] = {WEIGHTS: weights_of(sae, form)}
    if sae.firing_rate is not None:
        tensors[SPARSITY] = {"sparsity": torch.log10(sae.firing_rate + NEVER).float()}
    for name, file in CENTRES.items():
        if (centre := getattr(sae, name)) is not None:
            tensors[file] = {name: centre.float()}
    for file in (WEIGHTS, SPARSITY, *CENTRES.values()):
        if file not in tensors:
            (folder / file).unlink(missing_ok=True)
            continue
        with replacing(folder / file) as scratch:
            save_file({name: t.detach().contiguous() for name, t in tensors[file].items()}, scratch)
    ours: dict[str, Any] = {"architecture": sae.architecture}
    if form.missing_in_saelens is not None:
        ours["note"] = form.missing_in_saelens
    ours["sha256"] = {file: sha256(folder / file) for file in tensors}
    write_json(folder / CONFIG, {**form.config(), "metadata": dict(sae.metadata), "cellprism": ours})


def load_sae(folder: str | Path) -> SparseAutoencoder:
    """Read an autoencoder written here or by SAELens; see ``sae.saelens`` for what is read.

    Raises:
        InputError: the folder or one of its files is missing, or it holds an autoencoder of another kind.
        DamagedError: a file is truncated or altered; the message names it.

    >>> import torch, cellprism as cp
    >>> x = torch.randn(512, 8, generator=torch.Generator().manual_seed(0))
    >>> sae = cp.fit_sae(x, cp.SaeConfig(k=2, n_features=16, batch_size=64, epochs=1))
    >>> cp.save_sae(sae, "sae")
    >>> bool((cp.load_sae("sae").W_dec == sae.W_dec).all())
    True
    """
    folder = folder_of(folder, "an autoencoder")
    config = renewed(_config(folder / CONFIG), folder / CONFIG)
    form = Form.read(config, folder / CONFIG)
    ours, metadata = config.get("cellprism", {}), config.get("metadata", {})
    hashes: dict[str, str] = ours.get("sha256", {})
    weights = _tensors(folder / WEIGHTS, form.shapes(), hashes)
    rate = None
    if SPARSITY in hashes or (folder / SPARSITY).is_file():
        sparsity = _tensors(folder / SPARSITY, {"sparsity": (form.d_sae,)}, hashes)["sparsity"].float()
        rate = torch.where(sparsity < -9.99, 0.0, 10**sparsity)
    widths = {"centre": form.d_in, "target_centre": form.d_out}
    centres = {
        name: _tensors(folder / file, {name: (-1, widths[name])}, hashes)[name]
        for name, file in CENTRES.items()
        if file in hashes
    }
    if form.normalisation == GROUPED and not centres:
        raise DamagedError(f"{folder / CONFIG} says normalize_activations = {GROUPED!r} but names no centres; {REMEDY}")
    trained = metadata.get("training_architecture", form.selection)
    return autoencoder(
        form, weights, _normaliser(folder, form), **centres, firing_rate=rate, metadata=metadata,
        architecture=ours.get("architecture", TRAINED_AS.get(trained, trained)),
    )  # fmt: skip


def _config(path: Path) -> dict[str, Any]:
    if not path.parent.is_dir():
        raise InputError(
            f"there is no folder {path.parent}; give one that holds a saved autoencoder ({CONFIG}, {WEIGHTS})"
        )
    if not path.is_file():
        raise InputError(f"{path} is missing; a saved autoencoder has {CONFIG} and {WEIGHTS} in one folder")
    config = read_json(path)
    if not isinstance(config, dict):
        raise DamagedError(f"{path} holds no settings; {REMEDY}")
    _check_objects(config, path)
    return config


def _check_objects(config: dict[str, Any], path: Path) -> None:
    """Refuse settings that hold something else where a JSON object is read.

    Raises:
        DamagedError: names the key.
    """
    metadata, ours = config.get("metadata", {}), config.get("cellprism", {})
    parts = {"metadata": metadata, "cellprism": ours}
    if isinstance(ours, dict):
        parts["cellprism.sha256"] = ours.get("sha256", {})
    if ours and isinstance(metadata, dict):  # what others keep under these names is theirs
        parts |= {f"metadata.{name}": metadata.get(name, {}) for name in OBJECTS}
    for name, value in parts.items():
        if not isinstance(value, dict):
            raise DamagedError(f"{path}: {name} is {value!r}, expected a JSON object; {REMEDY}")


def _normaliser(folder: Path, form: Form) -> Normaliser | None:
    """The fixed map of the vectors that a training checkpoint of SAELens keeps beside its weights.

    Raises:
        InputError: the settings ask for one, but it is not there.
    """
    if form.normalisation not in NORMALISERS:
        return None
    scaler = read_json(folder / SCALER) if (folder / SCALER).is_file() and not form.is_transcoder else {}
    if form.normalisation == "covariance_whitening" and scaler.get("has_whitening"):
        square = (form.d_in, form.d_in)
        found = _tensors(
            folder / WHITENING, {"mean": (form.d_in,), "matrix": square, "inverse_matrix": square}, hashes={}
        )
        return Normaliser(found["mean"], found["matrix"], found["inverse_matrix"])
    factor = scaler.get("scaling_factor")
    if form.normalisation == "covariance_whitening" or not factor:
        raise InputError(
            f"{folder / CONFIG} says normalize_activations = {form.normalisation!r}, but what the vectors went through "
            f"is not beside it in {SCALER}. Fold it into the weights in SAELens ({NORMALISERS[form.normalisation]}) "
            "and save again, or set it to 'none' in a copy and give vectors that are normalised already"
        )
    eye = torch.eye(form.d_in, dtype=torch.float64)
    return Normaliser(torch.zeros(form.d_in), factor * eye, eye / factor)


def _tensors(path: Path, shapes: dict[str, tuple[int, ...]], hashes: dict[str, str]) -> dict[str, Tensor]:
    """The tensors of a file by name, in the shapes expected; -1 stands for any length.

    Raises:
        InputError: there is no such file, or it holds tensors that are not expected, or that are no weights.
        DamagedError: the file is truncated or altered, lacks a tensor, or has it in another shape.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing; a saved autoencoder needs it beside {CONFIG}")
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise DamagedError(f"{path} is damaged ({error}); {REMEDY}") from error
    if path.name in hashes and sha256(path) != hashes[path.name]:
        raise DamagedError(f"{path} is not the file that {CONFIG} was written with (SHA-256 differs); {REMEDY}")
    missing = [name for name in shapes if name not in tensors]
    if missing:
        found = ", ".join(sorted(tensors)) or "nothing"
        raise DamagedError(f"{path} lacks {', '.join(missing)}; found {found}; {REMEDY}")
    further = [name for name, t in tensors.items() if name not in shapes and not _does_nothing(name, t)]
    if further:
        raise InputError(
            f"{path} holds {', '.join(sorted(further))} too, of which nothing is known here, so codes could be others "
            "than where it comes from; save it from there as one of the architectures that are read"
        )
    for name, shape in shapes.items():
        found = tuple(tensors[name].shape)
        if len(found) != len(shape) or any(e not in (-1, f) for e, f in zip(shape, found, strict=True)):
            raise DamagedError(f"{path}: {name} has shape {found} but {CONFIG} asks for {shape}; {REMEDY}")
        if path.name != SPARSITY and (problem := weights_problem(name, tensors[name])):
            raise InputError(f"{path}: {problem}")
    return {name: tensors[name] for name in shapes}


def _does_nothing(name: str, tensor: Tensor) -> bool:
    """Before SAELens 6, features could be scaled once more; most files hold ones."""
    return name == "scaling_factor" and bool((tensor == 1).all())
