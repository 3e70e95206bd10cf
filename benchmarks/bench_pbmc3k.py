"""The whole pipeline on all of PBMC3K with GO Biological Process 2021: claims, seconds and peak memory, as JSON.

    python benchmarks/bench_pbmc3k.py DATA runs/pbmc3k

DATA holds pbmc3k_raw_labelled.h5ad and GO_Biological_Process_2021.gmt(.gz). A run that was interrupted goes on. The
figures of each step are those of the process that made it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from made_with import made_with

HERE = Path(__file__).parent


def main(data: Path, run: Path) -> None:
    command = [sys.executable, "-m", "cellprism", "run", str(HERE / "pbmc3k.toml"), "--out", str(run),
               "--set", f"cells={data / 'pbmc3k_raw_labelled.h5ad'}"]  # fmt: skip
    subprocess.run(command, check=True, env={**os.environ, "CELLPRISM_DATA_DIR": str(data)})
    state = json.loads((run / "run.json").read_text())
    claims = json.loads((run / "claims.json").read_text())
    steps = {name: {k: step[k] for k in ("seconds", "peak_memory_mb")} for name, step in state["steps"].items()}
    result = {
        **made_with(),
        "versions": state["steps"]["programs"]["versions"],
        "steps": steps,
        "seconds": round(sum(step["seconds"] for step in steps.values()), 1),
        "peak_memory_mb": max(step["peak_memory_mb"] for step in steps.values()),
        "rates": json.loads((run / "programs" / "rates.json").read_text())["rows"],
        "claims": claims,
    }
    out = HERE / "results" / "pbmc3k.json"
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
