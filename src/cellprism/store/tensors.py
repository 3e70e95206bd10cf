"""Weights from a file: numbers to compute with, or refused where they come in."""

import torch
from torch import Tensor

FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def weights_problem(name: str, weights: Tensor) -> str:
    """What keeps a tensor from being weights, with the fix; empty for weights.

    Codes of eight bits or whole numbers mean nothing without the scales that they were made with, which are elsewhere.
    """
    if weights.dtype not in FLOATS:
        kind = str(weights.dtype).removeprefix("torch.")
        return f"{name} holds {kind} codes instead of weights; save it as float32, float16 or bfloat16"
    if not bool(torch.isfinite(weights).all()):
        return f"{name} holds NaN or infinite weights, with which nothing can be computed; train it again, or copy it"
    return ""
