"""What a million cells of AIDO.Cell-100M take on one and on eight H200, counted from shapes and not run, as JSON.

    python benchmarks/bench_counted.py

Counted are multiplications and additions of all products, and the bytes that they read and write once each. The floor
is the longer of operations over the processor's peak and bytes over its memory's rate; ``at_a_third`` is what a third
of the peak gives, an assumption and no measurement. On eight GPUs cells are divided and nothing is exchanged but, in
training, gradients. Peaks are the vendor's for dense bfloat16. The formulas are checked against torch's own count on a
small model. No GPU was at hand: no row is measured.

Formulas, a cell of N tokens, width h, feed-forward f: a block takes N (8 h^2 + 6 h f + 4 N h) operations; an
autoencoder of F features 2 N h F to encode, and training on the rows that fire 2 N h (F + 4 k) with k features a token.
"""

import json
import time
from dataclasses import dataclass

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from cellprism.models.aido.model import AidoCell
from cellprism.types import CellBatch

CELLS, FEATURES, K, EPOCHS = 1_000_000, 5_120, 32, 1
PEAK, RATE, MEMORY = 989e12, 4.8e12, 141e9  # operations a second, bytes a second, bytes
SHARE = 1 / 3  # of the peak, assumed


@dataclass(frozen=True)
class Shape:
    """Sizes of a model."""

    hidden: int
    blocks: int
    intermediate: int
    tokens: int


WHOLE = Shape(hidden=640, blocks=18, intermediate=1_664, tokens=19_266)
EXPRESSED = Shape(hidden=640, blocks=18, intermediate=1_664, tokens=2_002)


def block_operations(shape: Shape) -> float:
    """Of one block for one cell."""
    h, f, n = shape.hidden, shape.intermediate, shape.tokens
    return n * (8 * h * h + 6 * h * f + 4 * n * h)


def block_bytes(shape: Shape) -> float:
    """What the products of a block read and write in bfloat16, and the residual stream in float32, for one cell."""
    h, f = shape.hidden, shape.intermediate
    products = (h + 3 * h) + (3 * h + h) + (h + h) + (h + 2 * f) + (2 * f + f) + (f + h)
    return shape.tokens * (2 * products + 4 * 4 * h)


def row(name: str, shape: Shape, blocks: int, sae: str) -> dict[str, object]:
    """Time of all cells through some blocks, and through an autoencoder that encodes or learns."""
    h, n = shape.hidden, shape.tokens
    own = {"encode": 2 * n * h * FEATURES, "train": EPOCHS * 2 * n * h * (FEATURES + 4 * K), "none": 0}[sae]
    operations = CELLS * (blocks * block_operations(shape) + own)
    moved = CELLS * (blocks * block_bytes(shape) + (2 * n * h if sae != "none" else 0))
    floor = max(operations / PEAK, moved / RATE)
    return {
        "what": name, "tokens_a_cell": n, "blocks": blocks, "operations": operations, "bytes": moved,
        "of_the_autoencoder": round(CELLS * own / operations, 4),
        "floor_hours": {gpus: round(floor / gpus / 3600, 2) for gpus in (1, 8)},
        "at_a_third_hours": {gpus: round(max(operations / PEAK / SHARE, moved / RATE) / gpus / 3600, 2)
                             for gpus in (1, 8)},
        "floor_cells_a_second": {gpus: round(CELLS / floor * gpus, 1) for gpus in (1, 8)},
    }  # fmt: skip


def checked() -> dict[str, float]:
    """A small model's operations by torch and by formula."""
    shape = Shape(hidden=32, blocks=3, intermediate=48, tokens=42)
    model = AidoCell.random([f"g{i}" for i in range(40)], hidden=32, layers=3, heads=2, intermediate=48, seed=0)
    gene = torch.cat([torch.arange(40), torch.tensor([-1, -1])])
    batch = CellBatch(torch.rand(1, 42), gene, (gene >= 0)[None], torch.arange(1))
    counts = []
    for layer in (0, 2):
        with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            model.residual(batch, layer)
        counts.append(counter.get_total_flops())
    return {"two_blocks_by_torch": counts[1] - counts[0], "by_formula": 2 * block_operations(shape)}


def main() -> None:
    rows = [
        row("features of every cell at the middle block", shape, shape.blocks // 2, "encode")
        for shape in (WHOLE, EXPRESSED)
    ]
    rows += [
        row("features of every cell at the last block", shape, shape.blocks, "encode") for shape in (WHOLE, EXPRESSED)
    ]
    rows += [
        row(f"training an autoencoder, {EPOCHS} epoch, middle block", shape, shape.blocks // 2, "train")
        for shape in (WHOLE, EXPRESSED)
    ]
    stored = {s.tokens: CELLS * s.tokens * s.hidden * 2 / 1e12 for s in (WHOLE, EXPRESSED)}
    disk = {
        "residuals_one_layer_bfloat16_tb": stored,
        "features_of_cells_at_most_gb": CELLS * FEATURES * 8 / 1e9,
    }  # fmt: skip
    print(json.dumps({
        "date": time.strftime("%Y-%m-%d"), "measured": False, "model": "AIDO.Cell-100M", "cells": CELLS,
        "features": FEATURES, "k": K, "gpu": "H200", "peak_operations_a_second": PEAK, "bytes_a_second": RATE,
        "memory_bytes": MEMORY, "assumed_share_of_peak": round(SHARE, 3), "check": checked(), "rows": rows,
        "disk": disk,
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
