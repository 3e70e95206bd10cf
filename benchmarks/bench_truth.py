"""Which architecture recovers hidden variables that are known: published simulations and planted cells.

    python benchmarks/bench_truth.py --quick                   minutes on one core, small sizes, two seeds
    python benchmarks/bench_truth.py --plan                    what is left to run, and what it will cost
    python benchmarks/bench_truth.py                           all that is left, some 25 core-minutes
    python benchmarks/bench_truth.py --full-size               100,000 cells x 20,000 genes: generation and training
    python benchmarks/bench_truth.py --figure OUT.html         the figure, from the results alone

Every architecture gets the same vectors as often and comes out at the same L0, within 10 % on held-out vectors.
Transcoders read one thing and write another and have a table of their own. Results go to
benchmarks/results/truth.json after every world, with machine, commit and date; a world that is there with the same
settings is not run again. Rows (one per world, method, seed and variable) are the figure's data, leaderboards the
tables, claims what follows from the rows. Another method joins by one more ``Entry`` in
``cellprism.simulate.leaderboard.entries``, another world by one more ``Piece``. What is thinner than the publication,
and why, stands in ``truth/worlds.py``.
"""

import argparse
import json
import re
import resource
from pathlib import Path
from typing import Any

import numpy as np
from made_with import made_with
from truth import claims, cost, figure, full_size, score
from truth.worlds import Piece, pieces

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "truth.json"
QUICK = Path("truth-quick.json")
SCORE = "mean over variables of the held-out size of the correlation in the one-to-one match"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, two seeds")
    parser.add_argument("--plan", action="store_true", help="say what is left to run, and its cost")
    parser.add_argument("--only", nargs="*", help="names of worlds")
    parser.add_argument("--full-size", action="store_true", help="the full-size simulation instead of the worlds")
    parser.add_argument("--cells", type=int, default=full_size.FULL.cells, help="of the full-size simulation")
    parser.add_argument("--figure", type=Path, help="draw the results into an HTML page, and run nothing")
    parser.add_argument("--out", type=Path, help=f"default: {RESULT.relative_to(ROOT)}, or {QUICK} here")
    asked = parser.parse_args()
    out = asked.out or (QUICK if asked.quick else RESULT)
    record = json.loads(out.read_text()) if out.exists() else {"worlds": {}}
    if asked.figure:
        figure.page(record).write_html(asked.figure, include_plotlyjs=True)
        print(asked.figure)
    elif asked.full_size:
        with_full_size(record, asked.cells, out)
    else:
        chosen = [piece for piece in pieces(asked.quick) if not asked.only or piece.name in asked.only]
        left = [piece for piece in chosen if not is_done(piece, record)]
        print(cost.shown(left), flush=True)
        if not asked.plan:
            run(left, record, out)


def is_done(piece: Piece, record: dict[str, Any]) -> bool:
    """Whether the world is there with the same settings, whichever commit made it."""
    return record["worlds"].get(piece.name, {}).get("asked") == plain(piece.identity())


def run(left: list[Piece], record: dict[str, Any], out: Path) -> None:
    """One world after the other, each written when it is done."""
    for piece in left:
        found = score.run(piece)
        stamp = {"asked": piece.identity(), "peak_gb": peak_gb(), **made_with()}
        record["worlds"][piece.name] = plain({**found, **stamp})
        write(record, out)
        print(f"\n{piece.name}\n{score.shown(found)}", flush=True)
    print(f"\n{score.by_distance_shown(record['worlds'])}\n\n{claims.shown(record['claims'])}\n{out}")


def with_full_size(record: dict[str, Any], cells: int, out: Path) -> None:
    """The parts of the full-size simulation that are not there, each written when it is done."""
    kept = record.setdefault("full_size", {})
    for part in full_size.parts(cells):
        if kept.get(part.name, {}).get("asked") != plain(part.asked()):
            kept[part.name] = plain({**part.run(), **made_with()})
            write(record, out)
        print(f"{part.name}: {json.dumps(kept[part.name])}", flush=True)


def write(record: dict[str, Any], out: Path) -> None:
    """All results, with what follows from the rows."""
    worlds = record["worlds"]
    derived = {"score": SCORE, "by_distance": score.by_distance(worlds), "claims": claims.claims(worlds)}
    record |= derived
    text = json.dumps(plain(record), indent=1, allow_nan=False)
    leaves = re.sub(r"\{[^{}\[\]]*\}", lambda found: " ".join(found[0].split()), text)  # a row is a line
    out.write_text(leaves + "\n")


def peak_gb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)


def plain(value):
    """The same in JSON's own types, numbers to five digits; what is not a number is null."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return round(float(value), 5) if np.isfinite(value) else None
    return value


if __name__ == "__main__":
    main()
