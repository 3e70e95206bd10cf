"""An autoencoder in the terms of SAELens 6, and back.

Notable choices

- What is written follows from what an autoencoder computes, not from how it was trained::

      k features, with ReLU      topk            thresholds, all zero    standard
      k features, signed         topk_signed *   thresholds              jumprelu
      gated                      gated           several centres         normalize_activations = group_mean *

  A transcoder's name ends with ``_transcoder`` (``standard``: only ``transcoder``); with k or gated it gets a *.
- SAELens has nothing for the names marked *, so it refuses such a folder instead of reading other codes from it.
- The one centre of all tokens is folded into the biases; SAELens then needs no other file.
- What SAELens keeps apart is folded on the way in, where that is exact: the bias that is not subtracted, the decoder's
  norms, a fixed scaling or whitening of the vectors. ``reshape_activations`` is about how vectors come: flatten heads.
- Folding is done in float64. Biases that float32 cannot hold are saved as float64, so that the way there and back
  leaves every bit as it was; SAELens rounds them when it reads them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.errors import DamagedError, InputError
from cellprism.sae.autoencoder import SparseAutoencoder

VERSION = "6.0.0"  # of SAELens, in which this form of cfg.json began; older forms lose their metadata there
GROUPED = "group_mean"  # normalize_activations where each token's group has a mean of its own
SELECTIONS = ("standard", "jumprelu", "gated", "topk", "topk_signed", "batchtopk")
UNREADABLE = {
    "abstopk": "it keeps the k largest by magnitude",
    "matching_pursuit": "it encodes in several rounds",
    "temporal": "it reads the tokens before each token too",
    "skip": "it passes its input around the features (W_skip)",
    "jumprelu_skip": "it passes its input around the features (W_skip)",
}
NORMALISERS = {
    "expected_average_only_in": "fold_activation_norm_scaling_factor",
    "covariance_whitening": "fold_activation_whitening",
}
"""Fixed maps of the vectors, and what folds them into the weights in SAELens."""
TRAINED_AS = {"standard": "l1", "topk_signed": "topk", "matryoshka_batchtopk": "matryoshka"}  # others: as they are


class Normaliser(NamedTuple):
    """What vectors go through before an autoencoder sees them: (x - mean) matrix."""

    mean: Float[Tensor, " d_model"]
    matrix: Float[Tensor, "d_model d_model"]
    inverse: Float[Tensor, "d_model d_model"]


@dataclass(frozen=True)
class Form:
    """What ``cfg.json`` says of the function."""

    selection: str
    """One of ``SELECTIONS``; batchtopk is that of a training checkpoint, with one threshold for all features."""
    d_in: int
    d_out: int
    d_sae: int
    k: int | None = None
    is_transcoder: bool = False
    subtracts_b_dec: bool = True
    by_decoder_norm: bool = False
    """Features are compared, and their values given, times the norm of their decoder row."""
    normalisation: str = "none"

    @classmethod
    def of(cls, sae: SparseAutoencoder) -> "Form":
        """The form in which an autoencoder is written."""
        if sae.threshold is None:
            selection = "topk" if sae.relu else "topk_signed"
        elif sae.slope is not None:
            selection = "gated"
        else:
            selection = "jumprelu" if sae.threshold.any() else "standard"
        grouped = any(c is not None and len(c) > 1 for c in (sae.centre, sae.target_centre))
        return cls(
            selection, sae.d_model, sae.W_dec.shape[1], sae.n_features, sae.k, sae.is_transcoder,
            subtracts_b_dec=not sae.is_transcoder, normalisation=GROUPED if grouped else "none",
        )  # fmt: skip

    @classmethod
    def read(cls, config: Mapping[str, Any], path: Path) -> "Form":
        """The form that a ``cfg.json`` at ``path`` describes.

        Raises:
            InputError: it describes something that cannot be had here; the message names the setting.
            DamagedError: a setting is missing, or a size is none.
        """
        name = str(config.get("architecture", ""))
        is_transcoder = name.endswith("transcoder")
        selection = name.removesuffix("transcoder").removesuffix("_") or "standard"
        selection = "batchtopk" if selection == "matryoshka_batchtopk" else selection
        has_k = selection.startswith("topk")
        needed = ["architecture", "d_in", "d_sae", *["k"] * has_k, *["d_out"] * is_transcoder]
        missing = [key for key in needed if config.get(key) is None]
        if "architecture" not in missing and selection not in SELECTIONS:
            reason = f": {UNREADABLE[selection]}; encode with SAELens" if selection in UNREADABLE else ""
            raise InputError(
                f"{path} says architecture {name!r}, which cannot be read here{reason}. Readable are "
                f"{', '.join(SELECTIONS)}, matryoshka_batchtopk and transcoders of these"
            )
        if missing:
            raise DamagedError(f"{path} lacks {', '.join(missing)}; restore it or train the autoencoder again")
        sizes = {key: config[key] for key in ("d_in", "d_sae", *["k"] * has_k, *["d_out"] * is_transcoder)}
        if wrong := [key for key, value in sizes.items() if type(value) is not int or value < 1]:
            raise DamagedError(
                f"{path} says {wrong[0]} = {sizes[wrong[0]]!r}, expected a whole number of at least 1; restore it or "
                "train the autoencoder again"
            )
        return cls(
            selection, config["d_in"], config["d_out"] if is_transcoder else config["d_in"], config["d_sae"],
            config["k"] if has_k else None, is_transcoder,
            subtracts_b_dec=not is_transcoder and config.get("apply_b_dec_to_input", True),
            by_decoder_norm=config.get("rescale_acts_by_decoder_norm", False),
            normalisation=_normalisation(config, path),
        )  # fmt: skip

    @property
    def architecture(self) -> str:
        """SAELens' name, or one that it does not have."""
        if not self.is_transcoder:
            return self.selection
        return "transcoder" if self.selection == "standard" else f"{self.selection}_transcoder"

    @property
    def missing_in_saelens(self) -> str | None:
        """What SAELens lacks to compute this, and the way around it; None where it lacks nothing."""
        if self.selection == "topk_signed":
            return "SAELens has no top-k without ReLU, so it refuses this architecture."
        if self.is_transcoder and self.selection not in ("standard", "jumprelu"):
            return "SAELens has no such transcoder, so it refuses this architecture."
        if self.normalisation == GROUPED:
            return (
                "SAELens cannot subtract a mean per group, so it refuses this normalize_activations. Save the "
                "autoencoder without its centres (dataclasses.replace(sae, centre=None, target_centre=None)) and give "
                "SAELens sae.centred(x, group)."
            )
        return None

    def config(self) -> dict[str, Any]:
        """The entries of ``cfg.json`` that SAELens reads."""
        return {
            "architecture": self.architecture,
            "d_in": self.d_in,
            "d_sae": self.d_sae,
            **({"d_out": self.d_out} if self.is_transcoder else {}),
            **({} if self.k is None else {"k": self.k, "rescale_acts_by_decoder_norm": self.by_decoder_norm}),
            "dtype": "float32",
            "device": "cpu",
            "apply_b_dec_to_input": self.subtracts_b_dec,
            "normalize_activations": self.normalisation,
            "reshape_activations": "none",
            "sae_lens_version": VERSION,
        }

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The weights by name."""
        further = {
            "gated": ("b_gate", "r_mag", "b_mag"), "jumprelu": ("b_enc", "threshold"),
            "batchtopk": ("b_enc", "topk_threshold"),
        }.get(self.selection, ("b_enc",))  # fmt: skip
        return {
            "W_enc": (self.d_in, self.d_sae), "W_dec": (self.d_sae, self.d_out), "b_dec": (self.d_out,),
            **{name: () if name == "topk_threshold" else (self.d_sae,) for name in further},
        }  # fmt: skip


def renewed(config: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """Settings in the words of SAELens 6; those of before have the model's name and place at the top.

    Raises:
        InputError: the activation function is another than relu and topk.
    """
    if not {"hook_name", "hook_point"} & config.keys():
        return config
    activation = config.get("activation_fn", config.get("activation_fn_str", "relu"))
    if activation not in ("relu", "topk"):
        raise InputError(f"{path} says activation_fn = {activation!r}, which cannot be read here; only relu and topk")
    normalisation = config.get("normalize_activations") or "none"
    return {
        "architecture": "standard",
        **config,
        **({"architecture": "topk", **config["activation_fn_kwargs"]} if activation == "topk" else {}),
        "normalize_activations": "expected_average_only_in" if normalisation is True else normalisation,
        "metadata": {name: value for name, value in config.items() if name not in ("architecture", "d_in", "d_sae")},
    }


def weights_of(sae: SparseAutoencoder, form: Form) -> dict[str, Tensor]:
    """Weights for SAELens: float32, or float64 where that would change them."""
    b_enc, b_dec = _shifted(
        sae.W_enc, sae.b_enc.double(), sae.b_dec.double(), sae.centre, sae.target_centre, sae.is_transcoder, sign=1
    )
    weights = {"W_enc": sae.W_enc, "W_dec": sae.W_dec, "b_dec": b_dec}
    if sae.threshold is not None and sae.slope is not None and sae.shift is not None:
        slope = sae.slope.double()
        weights |= {"b_gate": b_enc - sae.threshold, "r_mag": slope.log(), "b_mag": sae.shift + slope * b_enc}
    else:
        weights |= {"b_enc": b_enc}
    if form.selection == "jumprelu" and sae.threshold is not None:
        weights |= {"threshold": sae.threshold}
    return {name: _narrowed(weight) for name, weight in weights.items()}


def autoencoder(
    form: Form,
    weights: Mapping[str, Tensor],
    normaliser: Normaliser | None = None,
    centre: Float[Tensor, "group d_model"] | None = None,
    target_centre: Float[Tensor, "group d_target"] | None = None,
    **rest: Any,
) -> SparseAutoencoder:
    """The autoencoder that some weights are, in float32.

    Args:
        form: what ``cfg.json`` says of them.
        weights: by SAELens' names, in any precision.
        normaliser: what vectors went through in training, where that is not in the weights.
        centre: mean vectors, as ``SparseAutoencoder`` has them. A single one is in the biases and is taken out of them.
        target_centre: the same for a transcoder's targets.
        rest: further fields of ``SparseAutoencoder``.
    """
    W_enc, W_dec = weights["W_enc"], weights["W_dec"]
    w = {name: weight.double() for name, weight in weights.items() if weight.ndim < 2}
    b_enc, b_dec = w["b_gate"] if form.selection == "gated" else w["b_enc"], w["b_dec"]
    selection = _selection(form, w)
    if form.by_decoder_norm:
        norm = W_dec.double().norm(dim=1).clamp(min=1e-30)
        W_enc, b_enc, W_dec = W_enc * norm, b_enc * norm, W_dec / norm[:, None]
    if not form.subtracts_b_dec and not form.is_transcoder:
        b_enc = b_enc + b_dec @ W_enc.double()
    if normaliser is not None:
        mean, matrix, inverse = (part.double() for part in normaliser)
        W_enc, W_dec, b_dec = matrix @ W_enc.double(), W_dec.double() @ inverse, b_dec @ inverse + mean
    b_enc, b_dec = _shifted(W_enc, b_enc, b_dec, centre, target_centre, form.is_transcoder, sign=-1)
    tensors = {
        "W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec, "b_dec": b_dec, "centre": centre,
        "target_centre": target_centre, **selection,
    }  # fmt: skip
    fields: dict[str, Any] = {name: t.float().contiguous() for name, t in tensors.items() if t is not None}
    relu = form.selection != "topk_signed"
    return SparseAutoencoder(**fields, k=form.k, relu=relu, is_transcoder=form.is_transcoder, **rest)


def _selection(form: Form, w: Mapping[str, Float[Tensor, "..."]]) -> dict[str, Float[Tensor, " feature"]]:
    """What decides which features fire, where that is not k."""
    if form.k is not None:
        return {}
    if form.selection == "gated":
        slope = w["r_mag"].exp()
        return {"threshold": torch.zeros_like(slope), "slope": slope, "shift": w["b_mag"] - slope * w["b_gate"]}
    threshold = w.get("threshold", w.get("topk_threshold", torch.zeros_like(w["b_enc"])))
    return {"threshold": threshold.clamp(min=0).expand_as(w["b_enc"])}  # SAELens has a ReLU besides the threshold


def _shifted(
    W_enc: Float[Tensor, "d_model feature"],
    b_enc: Float[Tensor, " feature"],
    b_dec: Float[Tensor, " d_target"],
    centre: Float[Tensor, "group d_model"] | None,
    target_centre: Float[Tensor, "_ d_target"] | None,
    is_transcoder: bool,
    sign: int,
) -> tuple[Float[Tensor, " feature"], Float[Tensor, " d_target"]]:
    """Both biases after they take over the one centre of all tokens (sign 1) or give it back (-1)."""
    if centre is not None and len(centre) == 1:
        mean = sign * centre[0].double()
        b_enc, b_dec = (b_enc - mean @ W_enc.double(), b_dec) if is_transcoder else (b_enc, b_dec + mean)
    if target_centre is not None and len(target_centre) == 1:
        b_dec = b_dec + sign * target_centre[0].double()
    return b_enc, b_dec


def _narrowed(weight: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    narrow = weight.float()
    return narrow if (narrow.double() == weight).all() else weight


def _normalisation(config: Mapping[str, Any], path: Path) -> str:
    found = config.get("normalize_activations", "none")
    if found not in ("none", GROUPED, *NORMALISERS):
        raise InputError(
            f"{path} says normalize_activations = {found!r}, which depends on each vector and cannot be folded into "
            "weights. Set it to 'none' in a copy and give vectors that are normalised already"
        )
    return found
