"""What one cell at full length costs in the shape of AIDO.Cell-3M, against the algorithm of the published forward.

    python benchmarks/bench_aido_cost.py [ROUNDS]

Random weights, 19,266 tokens. Every measurement is a process of its own, so that its peak memory is its own; the
processes take turns, and each figure is the median over the rounds. Seconds are wall time of the pass alone; processor
seconds, summed over threads, are what a busy machine changes least. Peaks include the interpreter and the libraries, as
a user sees them; ``added`` leaves them out.

The published algorithm, written here from its description: a mask over pairs of tokens is made of the mask over
tokens, which its own preprocessing hands over in float64; every block runs, and every hidden state is kept. The mask
does not enter attention. With the float32 mask that it makes where none is handed over, its peak is the same: a product
of truth values and a number passes through a copy in float32.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from made_with import made_with
from torch import Tensor
from torch.nn import functional as F

from cellprism.models.aido.memory import cell_bytes
from cellprism.models.aido.model import AidoCell
from cellprism.models.aido.settings import AidoConfig
from cellprism.types import CellBatch

HERE = Path(__file__).parent
SHAPE = AidoConfig(n_genes=19_264, hidden=128, layers=6, heads=4, intermediate=320)
TOKENS = SHAPE.n_genes + 2
SITE = 2
PUBLISHED = "published forward"
EXTRACTIONS = {f"residual {layer}": layer for layer in (0, 2, 5)}
SUBJECTS = [PUBLISHED, "whole forward", *EXTRACTIONS, f"resume {SITE}", f"gradient {SITE}", f"checkpointed {SITE}"]


def published_forward(model: AidoCell, batch: CellBatch, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Expression of every token and all hidden states."""
    pairs = mask.unsqueeze(1) * mask.unsqueeze(2)
    hidden = pairs.unsqueeze(1) < 0.5
    del pairs
    unused = hidden * torch.finfo(torch.float32).min
    del hidden
    place = torch.arange(batch.values.shape[1])
    x = model.value_embedding(batch.values) + model.position_embedding(place)
    states = [x]
    for block in model.blocks:
        y = block.norm1(x)
        q, k, v = (p(y).unflatten(-1, (block.heads, -1)).transpose(1, 2) for p in (block.query, block.key, block.value))
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + block.out(attended)
        y = block.norm2(x)
        x = x + block.down(F.silu(block.gate(y)) * block.up(y))
        states.append(x)
    x = model.final_norm(x)
    states.append(x)
    assert unused.shape[-1] == x.shape[1]
    return model.head(x), states


def batch_of(tokens: int) -> CellBatch:
    gene = torch.cat([torch.arange(tokens - 2), torch.tensor([-1, -1])])
    values = torch.rand(1, tokens, generator=torch.Generator().manual_seed(1)) * 4
    return CellBatch(values, gene, (gene >= 0)[None], torch.arange(1))


def prepared(subject: str, model: AidoCell, tokens: int) -> Callable[[], object]:
    """The pass to be measured, its inputs made."""
    batch = batch_of(tokens)
    if subject == PUBLISHED:
        return lambda: published_forward(model, batch, torch.ones(1, tokens, dtype=torch.float64))
    if subject == "whole forward":
        return lambda: model.resume(batch, SITE, model.residual(batch, SITE))
    if subject in EXTRACTIONS:
        return lambda: model.residual(batch, EXTRACTIONS[subject])
    x = torch.randn(1, tokens, SHAPE.hidden, generator=torch.Generator().manual_seed(2))
    if subject.startswith("resume"):
        return lambda: model.resume(batch, SITE, x)
    model.checkpointing = subject.startswith("checkpointed")
    x.requires_grad_()
    return lambda: model.resume(batch, SITE, x).expression.sum().backward()


def memory(field: str) -> int:
    rows = Path("/proc/self/status").read_text().splitlines()
    return next(int(row.split()[1]) << 10 for row in rows if row.startswith(field))


def measure(subject: str) -> dict[str, float]:
    """One pass, in this process."""
    torch.manual_seed(0)
    model = AidoCell(SHAPE).eval().requires_grad_(False)
    prepared(subject, model, 99)()  # libraries load at the first pass
    run = prepared(subject, model, TOKENS)
    before, start, processor = memory("VmRSS"), time.perf_counter(), time.process_time()
    kept = run()
    figures = {"seconds": time.perf_counter() - start, "processor_seconds": time.process_time() - processor}
    del kept
    return figures | {"peak_mb": memory("VmHWM") / 1e6, "added_mb": (memory("VmHWM") - before) / 1e6}


def same_numbers() -> float:
    """Largest difference of the two forwards' predictions, for a cell of 19,266 tokens cut to two blocks."""
    torch.manual_seed(0)
    model = AidoCell(SHAPE).eval().requires_grad_(False)
    del model.blocks[2:]
    model.n_layers = 2
    batch = batch_of(TOKENS)
    published, _ = published_forward(model, batch, torch.ones(1, TOKENS, dtype=torch.float64))
    ours = model.resume(batch, 0, model.residual(batch, 0))
    assert ours.expression is not None
    return float((ours.expression - published[:, :-2]).abs().max())


def counted(subject: str) -> float:
    """What the planner counts for a pass, in megabytes, before it allows for the allocator."""
    blocks = SHAPE.layers - 1 - SITE if subject.startswith(("gradient", "checkpointed")) else 0
    return cell_bytes(SHAPE, TOKENS, blocks, subject.startswith("checkpointed")) / 1e6


def main(rounds: int) -> None:
    samples: dict[str, list[dict[str, float]]] = {subject: [] for subject in SUBJECTS}
    for turn in range(rounds):
        for subject in SUBJECTS:
            command = [sys.executable, __file__, "--measure", subject]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            samples[subject].append(json.loads(done.stdout))
            print(f"{turn + 1}/{rounds} {subject}: {done.stdout.strip()}", file=sys.stderr)
    rows = {s: {k: round(statistics.median(r[k] for r in rs), 2) for k in rs[0]} for s, rs in samples.items()}
    model = AidoCell(SHAPE)
    ours, published = rows["whole forward"], rows[PUBLISHED]
    peak = max(rows[s]["peak_mb"] for s in ("whole forward", *EXTRACTIONS, f"resume {SITE}"))
    result = {
        **made_with(threads=torch.get_num_threads(), load=round(os.getloadavg()[0], 1)),
        "versions": {"torch": torch.__version__},
        "rounds": rounds,
        "tokens": TOKENS,
        "passes": rows,
        "peak_of_published": round(peak / published["peak_mb"], 3),
        "processor_seconds_of_published": round(ours["processor_seconds"] / published["processor_seconds"], 3),
        "extraction_of_forward": {
            s: {"processor_seconds": round(rows[s]["processor_seconds"] / ours["processor_seconds"], 3),
                "blocks": round((layer + 1) / SHAPE.layers, 3)} for s, layer in EXTRACTIONS.items()
        },
        "counted_mb": {s: round(counted(s), 1) for s in rows if s != PUBLISHED},
        "plans": [str(model.plan(TOKENS - 2, layer=SITE, gradient=g, free=int(8e9))) for g in (False, True)],
        "largest_difference": same_numbers(),
    }  # fmt: skip
    out = HERE / "results" / "aido_cost.json"
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(out)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2])))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
