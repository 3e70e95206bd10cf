"""From an ``scvi.model.SCVI`` of scvi-tools to our plain torch: batch norms folded, one batch chosen, options checked.

A model that decodes by batch is converted for one of its batches: that batch's column of each layer's weights joins the
bias. The encoder of scVI does not see batches unless it was asked to; such models are refused, like all others whose
options change what is computed.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cellprism.cells.genes import GeneTable
from cellprism.errors import ModelError
from cellprism.models.latent.scvi import ScviModel, ScviSizes
from cellprism.store.tensors import weights_problem

PLAIN = {
    "latent_distribution": "normal",
    "log_variational": True,
    "encode_covariates": False,
    "batch_representation": "one-hot",
}
UNUSED = ("size_factor_key", "categorical_covariate_keys", "continuous_covariate_keys")
KNOWN_PARTS = (nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout)


def from_scvi(trained: Any, genes: GeneTable, batch: str | None = None, **about: Any) -> ScviModel:
    """Convert an ``scvi.model.SCVI``, trained or loaded by scvi-tools itself.

    Args:
        trained: the model; only read.
        genes: the genes of the data it was trained on, in their order.
        batch: as which batch to decode, where it was trained with several.
        about: name, revision, licence and card.

    Raises:
        ModelError: no SCVI model, one with options that change what is computed or with weights that are not finite,
            or no such batch.
    """
    if problems := _problems(trained):
        raise ModelError(
            f"this model cannot be converted: {'; '.join(problems)}. Train a plain SCVI, or use its latent as an "
            "embedding (obsm:KEY)"
        )
    module = trained.module
    sizes = ScviSizes(module.n_input, module.n_latent, module.n_hidden, module.n_layers)
    model = ScviModel.random(sizes, genes, 0, **about)
    column = _batch_column(trained, batch)
    for ours, hidden, last in (
        (model.encoder, module.z_encoder.encoder, module.z_encoder.mean_encoder),
        (model.decoder, module.decoder.px_decoder, module.decoder.px_scale_decoder[0]),
    ):
        linear = [part for part in ours if isinstance(part, nn.Linear)]
        for part, layer in zip(linear, hidden.fc_layers, strict=False):
            weight, bias = _folded(layer, part.in_features, column)
            part.load_state_dict({"weight": weight, "bias": bias})
        linear[-1].load_state_dict(last.state_dict())
    for problem in filter(None, (weights_problem(name, value) for name, value in model.state_dict().items())):
        raise ModelError(f"this model cannot be converted: {problem}")
    return model


def _problems(trained: Any) -> list[str]:
    """Everything about a model that we would compute differently."""
    if type(trained).__name__ != "SCVI":
        return [f"it is of type {type(trained).__name__}, expected scvi.model.SCVI"]
    module = trained.module
    found = [f"{k}={getattr(module, k)!r}, expected {v!r}" for k, v in PLAIN.items() if getattr(module, k) != v]
    asked = trained.registry["setup_args"]
    found += [f"{name}={asked[name]!r}, expected none" for name in UNUSED if asked.get(name)]
    layers = [*module.z_encoder.encoder.fc_layers, *module.decoder.px_decoder.fc_layers]
    parts = {type(part) for layer in layers for part in layer if part is not None}
    return found + sorted(f"layers of type {part.__name__}" for part in parts if part not in KNOWN_PARTS)


def _batch_column(trained: Any, batch: str | None) -> int:
    """Place of a batch among the model's batches; 0 where there is only one and none was named."""
    state = trained.registry["field_registries"]["batch"]["state_registry"]
    known = [str(name) for name in state["categorical_mapping"]]
    if batch is None and len(known) == 1:
        return 0
    if batch not in known:
        raise ModelError(f"batch is {batch!r}, expected one of {', '.join(known)}: the model decodes as one of them")
    return known.index(batch)


def _folded(
    layer: nn.Sequential, inputs: int, column: int
) -> tuple[Float[Tensor, "output input"], Float[Tensor, " output"]]:
    """Weights of one linear layer that does what linear layer, batch column and batch norm do in a trained model.

    Formula: W' = s W, b' = s (b + W_batch - mean) + beta with s = gamma / sqrt(variance + eps).
    """
    linear = next(part for part in layer if isinstance(part, nn.Linear))
    norm = next((part for part in layer if isinstance(part, nn.BatchNorm1d)), None)
    weight, bias = (value.cpu().double() for value in linear.state_dict().values())
    if weight.shape[1] > inputs:
        bias = bias + weight[:, inputs + column]
        weight = weight[:, :inputs]
    if norm is not None:
        state = {name: value.cpu().double() for name, value in norm.state_dict().items()}
        scale = state["weight"] / torch.sqrt(state["running_var"] + norm.eps)
        weight, bias = weight * scale[:, None], (bias - state["running_mean"]) * scale + state["bias"]
    return weight.float(), bias.float()
