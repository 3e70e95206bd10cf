"""How often a verdict is wrong where chance alone is at work, and how often it finds what was planted.

    python benchmarks/bench_calibration.py --quick           at most 40 replicates a row
    python benchmarks/bench_calibration.py                   1,000 replicates a row, 200 of slow ones; half an hour

Each world of ``calibration`` plants data in which the null hypothesis of some claims holds, and the functions of the
studies judge them. The share called above, and below, is tested against the nominal one by an exact binomial test, with
Holm's correction over the table; then the share called above at three planted sizes. Rows go to
benchmarks/results/calibration.json as they are done, and those that are there with the same settings are not run
again; each replicate is kept beside them, so that a run that was interrupted, or is asked for more, goes on. After a
change of a judge delete calibration.replicates.jsonl. Another row joins by one more ``World`` in a list of ``worlds``.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench_truth import plain
from calibration import (
    compare,
    contrast,
    feature_map,
    fit,
    ladder,
    lens,
    pareto,
    programs,
    regulation,
    screen,
    stability,
    state,
    steer,
    steer_tokens,
)
from calibration.table import corrected, rows_of, shown
from calibration.world import Kept, World, run
from made_with import made_with
from rich.progress import Progress

RESULT = Path(__file__).parent / "results" / "calibration.json"
QUICK, ALL = 40, 10**9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help=f"at most {QUICK} replicates")
    parser.add_argument("--most", type=int, help="at most so many replicates")
    parser.add_argument("--only", nargs="*", help="names of worlds")
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    chosen = [world for world in worlds() if not asked.only or world.name in asked.only]
    rows = calibrate(chosen, asked.most or (QUICK if asked.quick else ALL), asked.out)
    print(f"{shown(rows)}\n{asked.out}")


def worlds() -> list[World]:
    """Cheap ones first."""
    kinds = (
        programs, compare, state, feature_map, ladder, fit, lens, stability, steer, steer_tokens, screen, contrast,
        pareto, regulation,
    )  # fmt: skip
    return [world for kind in kinds for world in kind.WORLDS]


def calibrate(chosen: Sequence[World], most: int, out: Path) -> list[dict[str, Any]]:
    """Run the worlds that are not in the file yet; all rows of the file, tested together."""
    rows = json.loads(out.read_text())["rows"] if out.exists() else []
    done = {(row["world"], row["settings"]) for row in rows}
    kept = Kept(out.with_suffix(".replicates.jsonl"))
    left = [world for world in chosen if (world.name, world.settings(most)) not in done]
    total = sum(n for world in left for _, n in world.counts(most))
    with Progress() as progress:
        bar = progress.add_task("replicates", total=total)
        for world in left:
            progress.update(bar, description=world.name)
            began, there = time.perf_counter(), len(kept.said)
            found = run(world, most, kept, lambda: progress.advance(bar))
            new = rows_of(world, found, world.settings(most))
            seconds = (time.perf_counter() - began) / max(1, len(kept.said) - there)
            stamp = {"seconds_a_replicate": seconds, **made_with()}
            rows = [row for row in rows if row["world"] != world.name] + [{**row, **stamp} for row in new]
            out.write_text(json.dumps(plain({"rows": corrected(rows)}), indent=1, allow_nan=False) + "\n")
    return corrected(rows)


if __name__ == "__main__":
    main()
