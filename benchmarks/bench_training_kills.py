"""Twenty kills in a row: does a training end as if nothing had happened? Answers as JSON.

    python benchmarks/bench_training_kills.py

Two autoencoders learn on one stream of the bundled model's residuals of the 700 bundled cells, in a process of its own
that is killed (SIGKILL) at twenty random moments and each time started anew. There is a checkpoint every quarter of a
second instead of every minute, so that twenty lives take minutes. The same is done once without any kill. Compared are
every tensor of the last checkpoint (weights, optimiser, counters), the autoencoders, and ``metrics.jsonl``.
"""

import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_pbmc3k import processor

HERE = Path(__file__).parent
KILLS, SEED = 20, 0
EPOCHS, BATCH, LAYER = 4, 2048, 1
LIFE = 5, 60  # steps that a process does before it is killed: at least, at most


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        unbroken, killed = Path(folder, "unbroken"), Path(folder, "killed")
        survive(unbroken, 0)
        rows = survive(killed, KILLS)
        found = compared(killed, unbroken)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit,
        "machine": {"processor": processor(), "cores": os.cpu_count(), "python": platform.python_version()},
        **found,
        "kills": rows,
    }
    out = HERE / "results" / "training_kills.json"
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(out)


def survive(folder: Path, kills: int) -> list[dict[str, int]]:
    """Train in a folder until the end, with so many kills on the way; what each interrupted."""
    moments, rows = random.Random(SEED), []
    while True:
        with subprocess.Popen([sys.executable, __file__, folder], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            steps = map(int, process.stdout)
            first = next(steps)
            if len(rows) == kills:
                last = max(steps)
                break
            life = moments.randint(*LIFE)
            assert any(step >= first + life for step in steps), "the training is too short for so many kills"
            time.sleep(moments.uniform(0, 0.1))  # anywhere in a step or in writing a checkpoint
            process.kill()
        rows.append({"began_with_step": first, "killed_after_step": last_line(folder), "kept": newest(folder)})
        print(json.dumps(rows[-1]), file=sys.stderr)
    assert process.returncode == 0, f"the training failed after step {last}"
    return rows


def train(folder: Path) -> None:
    """The training; prints each step's number."""
    import cellprism as cp
    from cellprism.features.tokens.cell_tokens import CellTokens
    from cellprism.features.tokens.mixed_batches import CellStream
    from cellprism.sae.fit import fit_saes
    from cellprism.sae.job import Job

    model = cp.load_model("mini")
    cells = cp.read_cells("bundled:pbmc68k", model=model)
    stream = CellStream(CellTokens(model, cells, [LAYER]), [(LAYER, None)], BATCH, SEED)
    jobs = [
        Job(cp.SaeConfig(auxiliary=1 / 32, dead_after=50_000), model.d_model),
        Job(cp.SaeConfig(architecture="batchtopk"), model.d_model),
    ]
    fit_saes(
        stream, jobs, stream.n_steps(EPOCHS), checkpoints=folder, checkpoint_seconds=0.25,
        progress=lambda step, _: print(step, flush=True),
    )  # fmt: skip


def compared(killed: Path, unbroken: Path) -> dict[str, int | bool]:
    """The two trainings beside each other."""
    import torch
    from safetensors.torch import load_file

    one, other = (load_file(folder / f"step-{newest(folder)}.safetensors") for folder in (killed, unbroken))
    texts = [(folder / "metrics.jsonl").read_text() for folder in (killed, unbroken)]
    rows = [json.loads(line) for line in texts[0].splitlines()]
    steps = [row["step"] for row in rows if row["job"] == 0]
    return {
        "steps": newest(unbroken),
        "tensors": len(other),
        "tensors_bit_equal": sum(name in one and torch.equal(one[name], t) for name, t in other.items()),
        "metrics_lines": len(rows),
        "metrics_missing": len(set(range(1, newest(unbroken) + 1)) - set(steps)),
        "metrics_repeated": len(steps) - len(set(steps)),
        "metrics_equal": texts[0] == texts[1],
        "files_alike": file_kinds(killed) == file_kinds(unbroken),
    }


def file_kinds(folder: Path) -> list[str]:
    """The names of the files without their numbers: the last checkpoint but one is of a step that the clock decides."""
    return sorted(re.sub(r"\d+", "N", path.name) for path in folder.iterdir())


def newest(folder: Path) -> int:
    """The step of the newest checkpoint; 0 where there is none."""
    return max((int(path.stem.removeprefix("step-")) for path in folder.glob("step-*.safetensors")), default=0)


def last_line(folder: Path) -> int:
    """The last step in the metrics."""
    lines = (folder / "metrics.jsonl").read_text().split("\n")[:-1]
    return json.loads(lines[-1])["step"]


if __name__ == "__main__":
    train(Path(sys.argv[1])) if sys.argv[1:] else main()
