"""Autoencoders that SAELens itself makes and saves, and what it says of some vectors with them."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    sae_lens = pytest.importorskip("sae_lens", reason="SAELens is tried in an environment of its own: make interop")

from sae_lens.saes.sae import TrainStepInput
from sae_lens.training.activation_scaler import ActivationScaler

D_IN, D_OUT, FEATURES, K, TOKENS = 13, 11, 41, 5, 29
CONFIG, WEIGHTS, SCALER = "cfg.json", "sae_weights.safetensors", "activation_scaler.json"


class Case(NamedTuple):
    """What SAELens says of some vectors, with what it saved in a folder."""

    x: Tensor
    codes: Tensor
    reconstruction: Tensor


def vectors(tokens: int = TOKENS, seed: int = 1) -> Tensor:
    """Vectors off centre."""
    return torch.randn(tokens, D_IN, generator=torch.Generator().manual_seed(seed)) + 0.5


def _config(name: str, **settings: Any) -> Any:
    metadata = sae_lens.saes.sae.SAEMetadata(model_name="tiny", hook_name="blocks.2.hook_resid_post")
    return getattr(sae_lens, f"{name}Config")(d_in=D_IN, d_sae=FEATURES, metadata=metadata, **settings)


def _filled(sae: Any, seed: int = 7) -> Any:
    """Random weights; nothing is zero, so that no term can be left out unseen. Some thresholds are below zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sae.named_parameters():
            scale = 0.3 if name in ("r_mag", "threshold") else 1.0
            weight.copy_(scale * torch.randn(weight.shape, generator=generator))
    return sae.eval()


def _trained(name: str, steps: int = 20, **settings: Any) -> Any:
    """A training autoencoder after some steps, so that running thresholds have moved."""
    sae = _filled(getattr(sae_lens, name)(_config(name, **settings)))
    adam = torch.optim.Adam(sae.parameters(), lr=1e-2)
    coefficients = dict.fromkeys(sae.get_coefficients(), 0.1)
    for step in range(steps):
        inputs = TrainStepInput(vectors(97, seed=100 + step), coefficients, None, step, is_logging_step=False)
        adam.zero_grad()
        sae.training_forward_pass(inputs).loss.backward()
        adam.step()
    return sae.eval()


@torch.no_grad()
def _said(sae: Any, x: Tensor, given: Tensor | None = None) -> Case:
    codes = sae.encode(x if given is None else given)
    codes = codes.to_dense() if codes.is_sparse else codes
    return Case(x, codes, sae.decode(codes).reshape(len(x), -1))


def _loaded(folder: Path, x: Tensor) -> Case:
    return _said(sae_lens.SAE.load_from_disk(folder, dtype="float32"), x)


def _inference(name: str, **settings: Any) -> Callable[[Path], Case]:
    """An autoencoder for use, saved as it is."""

    def write(folder: Path) -> Case:
        _filled(getattr(sae_lens, name)(_config(name, **settings))).save_model(folder)
        return _loaded(folder, vectors())

    return write


def _training(name: str, **settings: Any) -> Callable[[Path], Case]:
    """One that was trained, saved for use."""

    def write(folder: Path) -> Case:
        _trained(name, **settings).save_inference_model(folder)
        return _loaded(folder, vectors())

    return write


def _checkpoint(name: str, **settings: Any) -> Callable[[Path], Case]:
    """One in training, saved to go on. What it says is what it says once saved for use: it has no batch then."""

    def write(folder: Path) -> Case:
        sae = _trained(name, **settings)
        sae.save_inference_model(folder / "for use")
        case = _loaded(folder / "for use", vectors())
        for file in (folder / "for use").iterdir():
            file.unlink()
        (folder / "for use").rmdir()
        sae.save_model(folder)
        save_file({"sparsity": torch.linspace(-10, -1, FEATURES)}, folder / "sparsity.safetensors")
        return case

    return write


def _normalised(normalisation: str, name: str = "TopKTrainingSAE", **settings: Any) -> Callable[[Path], Case]:
    """A checkpoint whose vectors were scaled or whitened, with the map beside it."""

    def write(folder: Path) -> Case:
        sae = _filled(getattr(sae_lens, name)(_config(name, normalize_activations=normalisation, **settings)))
        sae.save_model(folder)
        scaler = ActivationScaler()
        if normalisation == "covariance_whitening":
            scaler.estimate_whitening(D_IN, iter([vectors(97, seed=s) for s in range(5)]), 5)
        else:
            scaler.scaling_factor = 0.37
        scaler.save(str(folder / SCALER))
        x = vectors()
        said = _said(sae, x, scaler(x))
        return said._replace(reconstruction=scaler.unscale(said.reconstruction))

    return write


def _heads(folder: Path) -> Case:
    """Vectors that are the outputs of heads, one after the other."""
    config = _config("StandardSAE", reshape_activations="hook_z")
    config.metadata.hook_name = "blocks.2.attn.hook_z"
    sae = _filled(sae_lens.StandardSAE(config))
    sae.save_model(folder)
    x = vectors()
    return _said(sae, x, x[:, :, None])


def _before_6(**changes: Any) -> Callable[[Path], Case]:
    """A folder as SAELens wrote it before its version 6."""

    def write(folder: Path) -> Case:
        _inference("StandardSAE")(folder)
        old = {"d_in": D_IN, "d_sae": FEATURES, "dtype": "float32", "hook_name": "blocks.2.hook_resid_post"}
        old |= {"model_name": "tiny", "normalize_activations": False, "prepend_bos": True, **changes}
        (folder / CONFIG).write_text(json.dumps(old))
        save_file(load_file(folder / WEIGHTS) | {"scaling_factor": torch.ones(FEATURES)}, folder / WEIGHTS)
        return _loaded(folder, vectors())

    return write


TRANSCODER = {"apply_b_dec_to_input": False, "d_out": D_OUT}
WIDTHS = {"matryoshka_widths": [7, 19, FEATURES]}

CASES: dict[str, Callable[[Path], Case]] = {
    "standard": _inference("StandardSAE"),
    "standard, b_dec not subtracted": _inference("StandardSAE", apply_b_dec_to_input=False),
    "standard, heads": _heads,
    "standard, float16": _inference("StandardSAE", dtype="float16"),
    "standard, bfloat16": _inference("StandardSAE", dtype="bfloat16"),
    "standard, float64": _inference("StandardSAE", dtype="float64"),
    "gated": _inference("GatedSAE"),
    "gated, b_dec not subtracted": _inference("GatedSAE", apply_b_dec_to_input=False),
    "gated, bfloat16": _inference("GatedSAE", dtype="bfloat16"),
    "topk": _inference("TopKSAE", k=K),
    "topk, b_dec not subtracted": _inference("TopKSAE", k=K, apply_b_dec_to_input=False),
    "topk, by decoder norm": _inference("TopKSAE", k=K, rescale_acts_by_decoder_norm=True),
    "topk, by decoder norm, b_dec not subtracted": _inference(
        "TopKSAE", k=K, rescale_acts_by_decoder_norm=True, apply_b_dec_to_input=False
    ),
    "jumprelu": _inference("JumpReLUSAE"),
    "jumprelu, b_dec not subtracted": _inference("JumpReLUSAE", apply_b_dec_to_input=False),
    "transcoder": _inference("Transcoder", **TRANSCODER),
    "jumprelu_transcoder": _inference("JumpReLUTranscoder", **TRANSCODER),
    "standard, trained": _training("StandardTrainingSAE"),
    "gated, trained": _training("GatedTrainingSAE"),
    "topk, trained": _training("TopKTrainingSAE", k=K),
    "topk, trained, not by decoder norm": _training("TopKTrainingSAE", k=K, rescale_acts_by_decoder_norm=False),
    "jumprelu, trained": _training("JumpReLUTrainingSAE"),
    "batchtopk, trained": _training("BatchTopKTrainingSAE", k=K),
    "batchtopk, trained, not by decoder norm": _training(
        "BatchTopKTrainingSAE", k=K, rescale_acts_by_decoder_norm=False
    ),
    "matryoshka_batchtopk, trained": _training("MatryoshkaBatchTopKTrainingSAE", k=K, **WIDTHS),
    "topk, checkpoint": _checkpoint("TopKTrainingSAE", k=K),
    "jumprelu, checkpoint": _checkpoint("JumpReLUTrainingSAE"),
    "batchtopk, checkpoint": _checkpoint("BatchTopKTrainingSAE", k=K),
    "matryoshka_batchtopk, checkpoint": _checkpoint("MatryoshkaBatchTopKTrainingSAE", k=K, **WIDTHS),
    "topk, scaled": _normalised("expected_average_only_in", k=K),
    "topk, whitened": _normalised("covariance_whitening", k=K),
    "gated, whitened, b_dec not subtracted": _normalised(
        "covariance_whitening", "GatedTrainingSAE", apply_b_dec_to_input=False
    ),
    "before version 6": _before_6(),
    "before version 6, topk": _before_6(activation_fn_str="topk", activation_fn_kwargs={"k": K}),
}
"""What SAELens can save and is read here, by name."""


def _unreadable(name: str, **settings: Any) -> Callable[[Path], Any]:
    return lambda folder: getattr(sae_lens, name)(_config(name, **settings)).save_model(folder)


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "abstopk": (_unreadable("AbsTopKSAE", k=K), "architecture 'abstopk', .* k largest by magnitude; encode with"),
    "skip_transcoder": (_unreadable("SkipTranscoder", **TRANSCODER), r"'skip_transcoder', .* \(W_skip\)"),
    "jumprelu_skip_transcoder": (
        _unreadable("JumpReLUSkipTranscoder", **TRANSCODER), r"'jumprelu_skip_transcoder', .* \(W_skip\)",
    ),
    "matching_pursuit": (_unreadable("MatchingPursuitSAE"), "architecture 'matching_pursuit', .* several rounds"),
    "temporal": (
        _unreadable("TemporalSAE", n_heads=1, bottleneck_factor=1), "architecture 'temporal', .* tokens before each",
    ),
    "layer_norm": (
        _unreadable("StandardSAE", normalize_activations="layer_norm"),
        "normalize_activations = 'layer_norm', .* Set it to 'none' in a copy and give vectors that are normalised",
    ),
    "constant_norm_rescale": (
        _unreadable("StandardSAE", normalize_activations="constant_norm_rescale"), "= 'constant_norm_rescale', which",
    ),
    "scaled, without the factor": (
        _unreadable("StandardSAE", normalize_activations="expected_average_only_in"),
        r"= 'expected_average_only_in', but .* activation_scaler.json.*\(fold_activation_norm_scaling_factor\)",
    ),
    "whitened, without the matrices": (
        _unreadable("StandardSAE", normalize_activations="covariance_whitening"), r"\(fold_activation_whitening\)",
    ),
}  # fmt: skip
"""What SAELens can save and is not read here, and the message."""
