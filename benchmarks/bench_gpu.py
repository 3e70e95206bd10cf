"""Tokens per second of a TopK training step on a GPU, beside an eager step as peers make it and beside the floors.

    python benchmarks/bench_gpu.py [--out benchmarks/results/gpu.json]

Needs torch alone: run it from a checkout on any machine. Floors, both measured here: the encoder's product (no step can
do without it) at the speed of a large product of the same type, and one reading and writing of weights and optimiser at
the speed of a copy. Without a GPU it says that speed was not measured.
"""

import argparse
import json
import statistics
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import torch

ROOT = Path(__file__).parents[1]
WIDTH, FEATURES, K, BATCH = 640, 5120, 32, 4096


def use_checkout() -> None:
    """Import the package from this checkout, with stand-ins for what its equations need only to name types."""

    class Named(type):
        def __getitem__(cls, _):
            return cls

    def any_type(name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        return Named(name, (), {})

    for name in ("jaxtyping", "anndata"):
        if find_spec(name) is None:
            stand_in = ModuleType(name)
            stand_in.__getattr__ = any_type  # type: ignore[method-assign]
            sys.modules[name] = stand_in
    sys.path.insert(0, str(ROOT / "src"))


def eager(vectors: torch.Tensor, weights: dict[str, torch.Tensor], autocast: bool):
    """A dense step under autograd: product, topk, scatter, product, backward, fused Adam, unit norms."""
    parameters = {name: w.clone().requires_grad_() for name, w in weights.items()}
    optimiser = torch.optim.Adam(parameters.values(), lr=1e-3, fused=True)
    device = vectors.device.type

    def step() -> None:
        w = parameters
        x = vectors[torch.randint(len(vectors), (BATCH,), device=vectors.device)].float()
        with torch.autocast(device, torch.bfloat16, enabled=autocast):
            h = torch.relu((x - w["b_dec"]) @ w["encoder"].T + w["b_enc"])
            values, features = h.topk(K, dim=1)
            x_hat = torch.zeros_like(h).scatter(1, features, values) @ w["decoder"] + w["b_dec"]
            loss = (x_hat - x).float().square().mean()
        loss.backward()
        with torch.no_grad():
            gradient, rows = w["decoder"].grad, w["decoder"]
            gradient -= (gradient * rows).sum(1, keepdim=True) * rows
            optimiser.step()
            optimiser.zero_grad()
            rows /= rows.norm(dim=1, keepdim=True)

    return step


def seconds_of(function, repeats: int = 30, rounds: int = 7) -> float:
    """Median over rounds of the time of one call."""
    for _ in range(5):
        function()
    times = []
    for _ in range(rounds):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(repeats):
            function()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - began) / repeats)
    return statistics.median(times)


def floors(device: torch.device) -> dict[str, float]:
    """Seconds that a step cannot go below, by operations and by bytes."""
    a, b = (torch.randn(8192, 8192, device=device, dtype=torch.bfloat16) for _ in range(2))
    per_operation = seconds_of(lambda: a @ b) / (2 * 8192**3)
    source = torch.empty(1 << 28, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    per_byte = seconds_of(lambda: target.copy_(source)) / (2 * source.numel() * 4)
    state = 2 * WIDTH * FEATURES * 4 * 3  # weights and two moments of both matrices
    return {"operations": 2 * WIDTH * FEATURES * BATCH * per_operation, "bytes": 2 * state * per_byte}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tokens", type=int, default=1 << 22)
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no GPU: speed not measured")
    use_checkout()
    from cellprism.sae.config import SaeConfig
    from cellprism.sae.trainer import Trainer

    device, width, features, k = torch.device("cuda"), WIDTH, FEATURES, K
    torch.manual_seed(0)
    atoms = torch.randn(features, width, device=device)

    def drawn(count: int) -> torch.Tensor:
        parts = [
            torch.rand(n, k, device=device)
            .unsqueeze(1)
            .bmm(atoms[torch.randint(features, (n, k), device=device)])[:, 0]
            for n in [65536] * (count // 65536) + [count % 65536]
        ]
        return torch.cat(parts).to(torch.bfloat16)

    vectors = drawn(asked.tokens)
    rows = torch.nn.functional.normalize(torch.randn(features, width, device=device), dim=1)
    weights = {"encoder": rows.clone(), "b_enc": torch.zeros(features, device=device), "decoder": rows.clone(),
               "b_dec": vectors[:8192].float().mean(0)}  # fmt: skip

    def training(recorded: bool):
        copies = {n: w.clone() for n, w in weights.items()}
        trainer = Trainer(copies, SaeConfig(k=k, n_features=features), 10_000, vectors[:64].float())
        trainer.records = recorded

        def step() -> None:
            trainer.step(vectors[torch.randint(len(vectors), (BATCH,), device=device)].float())

        return step

    found = {"eager float32": seconds_of(eager(vectors, weights, False)),
             "eager bfloat16": seconds_of(eager(vectors, weights, True))}  # fmt: skip
    for name, recorded in (("cellprism, replayed", True), ("cellprism, step by step", False)):
        found[name] = seconds_of(training(recorded))
    floor = floors(device)
    record = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "shape": {"d_model": WIDTH, "features": FEATURES, "k": K, "batch": BATCH},
        "tokens_per_second": {name: round(BATCH / s) for name, s in found.items()},
        "microseconds_per_step": {name: round(1e6 * s, 1) for name, s in found.items()},
        "floor_microseconds": {name: round(1e6 * s, 1) for name, s in floor.items()},
    }
    print(json.dumps(record, indent=2))
    if asked.out:
        asked.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
