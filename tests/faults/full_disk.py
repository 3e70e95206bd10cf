"""A training on a disk of its own that is too small at first; run as root of a namespace of its own.

    python -m faults.full_disk DISK SIZE OUT

OUT gets the folder as the full disk left it, what was said, and the folder at the end.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from cellprism.errors import CellprismError
from faults.training import train


def main(disk: Path, size: str, out: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", disk], check=True)
    try:
        train(disk / "training")
    except CellprismError as error:
        (out / "said").write_text(str(error))
    shutil.copytree(disk / "training", out / "full")
    subprocess.run(["mount", "-o", "remount,size=100m", disk], check=True)
    train(disk / "training")
    shutil.copytree(disk / "training", out / "finished")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
