"""Work on a GPU that is recorded once and then replayed.

A training step is some thirty small kernels; launched one by one from Python they can take several times as long as
they run. What is recorded must not depend on the host: it reads no number back, and what changes from step to step is
in tensors that stay where they are.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Work = Callable[..., dict[str, Tensor]]
WARM_UP = 3  # runs before recording, in which libraries make their plans and workspaces


class CudaGraph:
    """``work`` as a graph. Its results stay in the same memory, so they are read before the next call."""

    def __init__(self, work: Work, inputs: Sequence[Tensor], state: Sequence[Tensor]):
        """Record some work.

        Args:
            work: takes tensors like ``inputs`` and changes ``state``.
            inputs: of the shapes and types that all later ones have.
            state: what the work changes in place; recording leaves it as it was.

        Raises:
            RuntimeError: the work does something that cannot be recorded.
        """
        self.inputs = [x.clone() for x in inputs]
        before = [tensor.clone() for tensor in state]
        try:
            beside = torch.cuda.Stream()
            beside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(beside):
                for _ in range(WARM_UP):
                    work(*self.inputs)
            torch.cuda.current_stream().wait_stream(beside)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.results = work(*self.inputs)
        finally:
            for tensor, old in zip(state, before, strict=True):
                tensor.copy_(old)

    def fits(self, inputs: Sequence[Tensor]) -> bool:
        """Whether these have the shapes and types that were recorded."""
        return [(x.shape, x.dtype) for x in inputs] == [(x.shape, x.dtype) for x in self.inputs]

    def __call__(self, *inputs: Tensor) -> dict[str, Tensor]:
        """The work on other inputs."""
        for mine, x in zip(self.inputs, inputs, strict=True):
            mine.copy_(x)
        self.graph.replay()
        return self.results
