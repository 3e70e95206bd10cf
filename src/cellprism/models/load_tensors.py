"""Tensors of a published file into a network of ours."""

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor
from torch.nn import Module

from cellprism.errors import ModelError
from cellprism.store.tensors import weights_problem


def fill(model: Module, tensors: Mapping[str, Tensor], published_name: Callable[[str], str], path: Path) -> None:
    """Copy tensors into a network, in float32; every one must be there, and no other.

    Args:
        model: the network.
        tensors: by their published names.
        published_name: the published name of one of the network's own.
        path: where they come from, for messages.

    Raises:
        ModelError: tensors are missing, unknown, of another shape, codes, or not finite.
    """
    own = model.state_dict()
    wanted = {published_name(ours): ours for ours in own}
    missing, unknown = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    if missing or unknown:
        raise ModelError(
            f"{path} does not hold the tensors of this family: {len(missing)} missing (such as {missing[:2]}), "
            f"{len(unknown)} unknown (such as {unknown[:2]})"
        )
    for name, ours in wanted.items():
        found, expected = tuple(tensors[name].shape), tuple(own[ours].shape)
        if found != expected:
            raise ModelError(f"{path}: tensor {name} has shape {found}, expected {expected}")
        if problem := weights_problem(name, tensors[name]):
            raise ModelError(f"{path}: {problem}")
    model.load_state_dict({ours: tensors[name].float() for name, ours in wanted.items()})
