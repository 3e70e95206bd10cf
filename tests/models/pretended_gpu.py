"""A GPU that is not there: tensors of torch's FakeTensorMode on ``cuda``, which refuse to meet those of the processor.

They have shapes and no values. Where code asks a tensor for a value it copies to the host, which stops a GPU: each such
place must be named in ``ALLOWED`` below, with the answers that a test gives in its stead.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

GENES, CELLS = 29, 3
ALLOWED = {
    "aido.model._embedded": (2, GENES - 1),  # two depth tokens and the last gene, checked once a batch
    "aido.model.resume": (GENES,),  # a choice by a mask of tokens: torch asks how many there are
    "scgpt.model.resume": (GENES,),  # likewise
}
"""Host copies by function: every value that it asks for, in order."""
VALUES = ("__int__", "__bool__", "__float__", "item", "tolist", "cpu", "numpy")


class _Watched(TorchFunctionMode):
    """Answers for the host copies that are allowed, refuses others, and indexes without asking for a driver."""

    def __init__(self):
        super().__init__()
        self.answers = {place: cycle(values) for place, values in ALLOWED.items()}
        self.copied: set[str] = set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name in VALUES and args and isinstance(args[0], torch.Tensor) and args[0].device.type == "cuda":
            return self._answer(name)
        if name == "__getitem__":
            key = args[1] if isinstance(args[1], tuple) else (args[1],)
            return _indexed(args[0], tuple(map(self._chosen, key)))
        if name == "contiguous":
            return torch.ops.aten.clone(args[0], memory_format=torch.contiguous_format)
        if name == "arange" and torch.device((kwargs or {}).get("device", "cpu")).type == "cuda":
            return on_gpu([len(range(*args))], kwargs.get("dtype", torch.long))
        return func(*args, **(kwargs or {}))

    def _answer(self, asked: str) -> int:
        place = _place()
        assert place in ALLOWED, f"{place} copies to the host ({asked}), which is not among the allowed"
        self.copied.add(place)
        return next(self.answers[place])

    def _chosen(self, key):
        """Numbers in place of a mask, whose count of tokens is a copy to the host."""
        if not isinstance(key, torch.Tensor) or key.dtype != torch.bool:
            return key
        return torch.empty([self._answer("a mask")], dtype=torch.long, device=key.device)


def _place() -> str:
    frame = sys._getframe(1)
    while "cellprism" not in frame.f_code.co_filename or "src" not in frame.f_code.co_filename:
        frame = frame.f_back
    module = frame.f_globals["__name__"].removeprefix("cellprism.models.")
    return f"{module}.{frame.f_code.co_name}"


def _indexed(x: torch.Tensor, key) -> torch.Tensor:
    """``x[key]`` by operations that make no device guard, which torch without CUDA has none of."""
    missing = x.ndim - sum(k is not None and k is not Ellipsis for k in key)
    at = key.index(Ellipsis) if any(k is Ellipsis for k in key) else len(key)
    key = (*key[:at], *[slice(None)] * missing, *key[at + 1 :])
    axis, chosen = 0, []
    for k in key:
        if k is None:
            x = x.unsqueeze(axis)
        elif isinstance(k, slice):
            x = torch.ops.aten.slice.Tensor(x, axis, k.start, k.stop, k.step or 1)
        elif isinstance(k, torch.Tensor):
            chosen += [None] * (axis - len(chosen)) + [k]
        else:
            x = x.select(axis, k)
            continue
        axis += 1
    return torch.ops.aten.index.Tensor(x, chosen) if chosen else x


@contextmanager
def pretended_gpu(model: torch.nn.Module) -> Iterator[_Watched]:
    """Put a network's parameters and buffers on a GPU that is not there; inside, tensors have no values."""
    with FakeTensorMode(), _Watched() as watched:
        for module in model.modules():
            for name, value in module._parameters.items():
                if value is not None:
                    module._parameters[name] = torch.nn.Parameter(on_gpu(value.shape, value.dtype), False)
            for name, value in module._buffers.items():
                if value is not None:
                    module._buffers[name] = on_gpu(value.shape, value.dtype)
        yield watched


def on_gpu(shape, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A tensor without values on the GPU."""
    return torch.empty(tuple(shape), dtype=dtype, device="cuda")
