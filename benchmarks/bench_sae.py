"""SAE training beside SAELens, sparsify and dictionary_learning: speed, fit and dead features on one machine.

    python benchmarks/bench_sae.py [speed] [quality]

Peers are installed into an environment of their own (.venv-peers), where everything runs in one process, step about.
Speed is at d 640, 5,120 features, k 32, batch 4,096; a ratio is the median over rounds of the two times in that round.
The floor beside it is the encoder's product alone, by MKL or oneDNN, whichever is faster in that round.
Quality is at equal tokens, width and k over three seeds, on residuals of the bundled model and a synthetic dictionary;
each is shown at the best of three learning rates. Results go to benchmarks/results/sae.json.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from made_with import made_with

ROOT = Path(__file__).parents[1]
VENV = ROOT / ".venv-peers"
RESULT = ROOT / "benchmarks" / "results" / "sae.json"
PEERS = ("sae-lens==6.54.12", "eai-sparsify==1.3.3", "dictionary-learning==0.1.0")
ROUNDS, BATCH = 15, 4096


def environment() -> Path:
    """Python of the peers' environment, made where it is missing."""
    python = VENV / "bin" / "python"
    if not (VENV / ".ready").is_file():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        pip = [str(VENV / "bin" / "pip"), "--disable-pip-version-check", "-q"]
        constrained = ["install", "-c", str(ROOT / "constraints.txt")]
        subprocess.run([*pip, *constrained, "torch"], check=True)
        subprocess.run([*pip, *constrained, "-e", str(ROOT), *PEERS], check=True)
        # a torchvision that was built for another torch may come with them; it breaks the import and is not needed
        subprocess.run([*pip, "uninstall", "-y", "torchvision"], check=True)
        (VENV / ".ready").touch()
    return python


def main() -> None:
    parts = sys.argv[1:] or ["speed", "quality"]
    if os.environ.get("CELLPRISM_PEERS") != "1":
        command = [str(environment()), __file__, *parts]
        quiet = {"CELLPRISM_PEERS": "1", "WANDB_MODE": "disabled", "OMP_WAIT_POLICY": "passive"}
        sys.exit(subprocess.run(command, env={**os.environ, **quiet}, check=False).returncode)
    record = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    for part in parts:
        found = {**made_with(), "versions": versions(), **{"speed": speed, "quality": quality}[part]()}
        if part == "speed":  # it depends on the kind of processor: figures of each are kept
            found = {**record.get(part, {}), instructions(): found}
        record[part] = found
        RESULT.write_text(json.dumps(record, indent=1) + "\n")
    print(RESULT)


def instructions() -> str:
    """What the processor offers that speed depends on, ``AVX512`` or ``AVX2``."""
    import torch

    return torch.backends.cpu.get_cpu_capability()


def versions() -> dict[str, str]:
    """Of this library and of its peers."""
    from importlib.metadata import version

    packages = ("cellprism", "torch", "numba", "sae-lens", "eai-sparsify", "dictionary-learning")
    return {name: version(name) for name in packages}


def dictionary(n: int, d_model: int, atoms: int, active: int, seed: int):
    """Vectors with a known dictionary: a few atoms each, of unequal popularity, plus a mean and a little noise."""
    import torch

    generator = torch.Generator().manual_seed(987_654_321)  # no trainer's seed: random starts must not be the answer
    rows = torch.nn.functional.normalize(torch.randn(atoms, d_model, generator=generator), dim=1)
    mean = 0.3 * torch.randn(d_model, generator=generator)
    popularity = torch.arange(1, atoms + 1).float() ** -0.5
    generator = torch.Generator().manual_seed(seed + 1)
    chosen = torch.multinomial(popularity, n * active, replacement=True, generator=generator).view(n, active)
    strength = torch.empty(n, active).exponential_(generator=generator) + 0.3
    x = torch.nn.functional.embedding_bag(chosen, rows, per_sample_weights=strength, mode="sum")
    return x + mean + 0.02 * torch.randn(n, d_model, generator=generator)


def explained(method, x) -> float:
    return 1 - float((method.reconstruct(x) - x).square().sum() / (x - x.mean(0)).square().sum())


def speed() -> dict:
    from peers import Dense, DictionaryLearning, Ours, SaeLens, Shape, Sparsify

    from cellprism.sae.config import SaeConfig
    from cellprism.sae.initial import start

    shape = Shape(640, 5120, 32, BATCH, ROUNDS + 1, 1e-3)
    train, held = dictionary(32 * BATCH, 640, 4096, 24, 0), dictionary(2 * BATCH, 640, 4096, 24, 1)
    sample = train[: 4 * BATCH]
    same = start(sample, None, SaeConfig(k=32, n_features=5120), 5120, 0)

    def copied() -> dict:
        return {name: t.clone() for name, t in same.items()}

    methods = {
        "SAELens TopK": SaeLens(shape, sample),
        "SAELens BatchTopK": SaeLens(shape, sample, "batchtopk"),
        "sparsify": Sparsify(shape, sample),
        "dictionary_learning TopK": DictionaryLearning(shape, sample),
        "dense autograd": Dense(shape, sample, copied()),
        "cellprism": Ours(shape, sample, weights=copied()),
        "cellprism, bfloat16 selection": Ours(shape, sample, "bfloat16", weights=copied()),
        "cellprism BatchTopK": Ours(shape, sample, weights=copied(), architecture="batchtopk"),
        "cellprism, plain torch": Ours(shape, sample, plain=True, weights=copied()),
    }
    times: dict[str, dict[str, list[float]]] = {kind: {name: [] for name in methods} for kind in ("train", "encode")}
    floors: dict[str, list[float]] = {kind: [] for kind in times}
    for number in range(ROUNDS + 1):  # the first warms up
        order = list(methods)
        for name in order[number % len(order) :] + order[: number % len(order)]:
            batch = train[(number % 32) * BATCH : (number % 32 + 1) * BATCH]
            for kind, work in (("train", lambda m=methods[name], b=batch: m.step(b)),
                               ("encode", lambda m=methods[name]: m.encode(held))):  # fmt: skip
                began = time.perf_counter()
                work()
                times[kind][name].append(time.perf_counter() - began)
        for kind, x in (("train", batch), ("encode", held)):
            floors[kind].append(min(floor(x, same["encoder"], same["b_enc"]).values()))
        print(f"round {number}", {n: round(BATCH / t[-1]) for n, t in times["train"].items()}, flush=True)
    found: dict = {"shape": {"d_model": 640, "features": 5120, "k": 32, "batch": BATCH, "rounds": ROUNDS}}
    for kind, tokens in (("train", BATCH), ("encode", len(held))):
        clean = {name: t[1:] for name, t in times[kind].items()}
        found[kind] = {
            "tokens_per_second": {name: round(tokens / statistics.median(t)) for name, t in clean.items()},
            "encoder_product_alone_tokens_per_second": round(tokens / statistics.median(floors[kind][1:])),
            "times_the_encoder_product_alone": {
                name: round(statistics.median(o / f for o, f in zip(clean[name], floors[kind][1:], strict=True)), 2)
                for name in methods
            },
            "times_as_fast_as": {
                peer: {
                    name: round(statistics.median(p / o for p, o in zip(clean[peer], clean[name], strict=True)), 2)
                    for name in methods if name.startswith("cellprism")
                }
                for peer in methods if not name_is_ours(peer)
            },
        }  # fmt: skip
    found["held_out_explained_variance"] = {name: round(explained(m, held), 4) for name, m in methods.items()}
    found["note"] = "dense autograd and cellprism start from the same weights and see the same batches"
    return found


def floor(x, encoder, b_enc) -> dict[str, float]:
    """Seconds of the encoder's product alone, which no step can do without: by torch (MKL) and by oneDNN."""
    import torch

    from cellprism.sae.kernels.product import Product, has_onednn

    found = {}
    for name, onednn in (("torch", False), ("oneDNN", has_onednn(torch.float32))):
        if onednn or name == "torch":
            product = Product(encoder, b_enc, onednn)
            began = time.perf_counter()
            product(x)
            found[name] = time.perf_counter() - began
    return found


def name_is_ours(name: str) -> bool:
    return name.startswith("cellprism")


def residuals():
    """Residuals after block 1 of the bundled model at every gene of the bundled cells, in random order."""
    import torch

    from cellprism.cells.read import read_cells
    from cellprism.features.tokens.residuals import residual_tokens
    from cellprism.models.registry import load_model

    model = load_model("mini")
    cells = read_cells("bundled:pbmc68k", model)
    x = torch.cat([tokens.x for tokens in residual_tokens(model, cells, 1)])
    return x[torch.randperm(len(x), generator=torch.Generator().manual_seed(5))]


def quality() -> dict:
    from peers import Ours, SaeLens, Shape, Sparsify, fired

    x = residuals()
    tasks = {
        "residuals of mini, block 1 (d 64, 512 features, k 4)": (x[20_000:282_144], x[:20_000], 512, 4),
        "synthetic dictionary (d 64, 256 atoms, 512 features, k 4)": (
            dictionary(262_144, 64, 256, 4, 0), dictionary(20_000, 64, 256, 4, 1), 512, 4,
        ),
    }  # fmt: skip
    batch, epochs, found = 2048, 2, {}
    for task, (train, held, features, k) in tasks.items():
        batches = train.split(batch)
        rows = {}
        for name, kind, rates in (
            ("cellprism", Ours, (1e-3, 3e-3, 1e-2)),
            ("SAELens", SaeLens, (1e-3, 3e-3, 1e-2)),
            ("sparsify", Sparsify, (1e-3, 3e-3, 1e-2)),
        ):
            by_rate = {}
            for rate in rates:
                fits = []
                for seed in range(3):
                    shape = Shape(64, features, k, batch, epochs * len(batches), rate, seed)
                    method = kind(shape, train[:16_384])
                    for number in range(shape.steps):
                        method.step(batches[number % len(batches)])
                    counts = fired(method.encode(held))
                    dead = 1 - float((counts > 0).sum()) / features
                    fits.append({"explained_variance": round(explained(method, held), 4), "dead_share": round(dead, 4)})
                by_rate[f"{rate:g}"] = fits
                print(task, name, rate, fits, flush=True)
            best = max(by_rate, key=lambda r: statistics.mean(f["explained_variance"] for f in by_rate[r]))
            rows[name] = {"learning_rate": best, "seeds": by_rate[best], "all_learning_rates": by_rate}
        found[task] = rows
    return {"tokens": epochs * 262_144, "batch": batch, "tasks": found}


if __name__ == "__main__":
    main()
