"""Train the blood model, or go on training it, with committed settings: ``cellprism pretrain`` with a file's values.

    python dev/blood/train.py dev/blood/settings.toml BLOOD.h5ad OUT

It may be stopped at any moment and called again: it goes on from its last checkpoint, to the same bits.
"""

import sys
import tomllib
from pathlib import Path

from cellprism.cli.app import main

HERE = Path(__file__).parent


def words(settings: Path, cells: str, out: str) -> list[str]:
    """The command line."""
    given = tomllib.loads(settings.read_text(encoding="utf-8"))
    flags = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return ["pretrain", cells, "--out", out, "--genes", str(HERE / "genes.tsv"), "--labels", "cell_type", *flags]


if __name__ == "__main__":
    sys.argv[1:] = words(Path(sys.argv[1]), *sys.argv[2:])  # the model's card quotes the command
    main()
