"""The checkpoint of a pretraining run: weights, their moving average and the optimiser's moments, in one file."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cellprism.errors import DamagedError, RunError
from cellprism.models.aido.model import AidoCell
from cellprism.store.atomic import replacing, write_text
from cellprism.store.inside import appending, check_plain

CHECKPOINT, METRICS = "checkpoint.safetensors", "metrics.jsonl"


def save_state(
    folder: Path,
    step: int,
    model: AidoCell,
    optimiser: torch.optim.Optimizer,
    average: dict[str, Tensor],
    identity: dict[str, Any],
) -> None:
    """Write everything that the next step depends on, whole or not at all."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.items()}
    for name, parameter in _learned(model):
        tensors |= {f"adam.{name}.{key}": value for key, value in optimiser.state[parameter].items()}
    with replacing(folder / CHECKPOINT) as scratch:
        save_file(tensors, scratch, metadata={"step": str(step), "identity": json.dumps(identity, sort_keys=True)})


def load_state(
    folder: Path,
    model: AidoCell,
    optimiser: torch.optim.Optimizer,
    average: dict[str, Tensor],
    identity: dict[str, Any],
) -> int:
    """Restore a checkpoint in place and return the step to go on with; 0 when there is none.

    Raises:
        RunError: the checkpoint belongs to other settings or other cells, or the folder holds what is no plain file.
        DamagedError: the file cannot be read.
    """
    check_plain(folder)
    path = folder / CHECKPOINT
    if not path.is_file():
        (folder / METRICS).unlink(missing_ok=True)
        return 0
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata()
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        raise DamagedError(f"{path} is damaged ({error}); remove it to start again") from error
    if "identity" not in (metadata or {}):
        raise DamagedError(f"{path} does not say which run it belongs to; remove it to start again")
    if metadata["identity"] != json.dumps(identity, sort_keys=True):
        raise RunError(f"{path} was made with other settings or other cells; choose another --out, or remove it")
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    for name in average:
        average[name].copy_(tensors[f"average.{name}"])
    for name, parameter in _learned(model):
        prefix = f"adam.{name}."
        optimiser.state[parameter] = {
            k.removeprefix(prefix): v.to(parameter.device) for k, v in tensors.items() if k.startswith(prefix)
        }
    step = int(metadata["step"])
    _cut(folder, step)
    return step


def record(folder: Path, figures: dict[str, int | float]) -> None:
    """Append one line to the run's metrics."""
    folder.mkdir(parents=True, exist_ok=True)
    with appending(folder / METRICS) as stream:
        stream.write(json.dumps(figures) + "\n")


def history(folder: Path) -> list[dict[str, int | float]]:
    """The metrics recorded so far, oldest first; a last line that a killed process left unfinished is no record."""
    path = folder / METRICS
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    try:
        return [json.loads(line) for line in lines if line.endswith("\n")]
    except json.JSONDecodeError as error:
        raise DamagedError(f"{path} is damaged ({error}); remove it: the curve is lost, the model is not") from error


def _learned(model: AidoCell) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]


def _cut(folder: Path, step: int) -> None:
    """Drop lines after the checkpoint, which will be written again."""
    kept = [json.dumps(line) for line in history(folder) if line["step"] <= step]
    write_text(folder / METRICS, "".join(line + "\n" for line in kept))
