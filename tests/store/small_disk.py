"""Write to a disk of its own that is full or read-only; run as root of a namespace of its own.

    python -m store.small_disk DISK OPTIONS WAY

WAY is what to write; what is said goes to stdout.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from cellprism.errors import DiskError
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.files import save_sae
from cellprism.store.atomic import write_json
from cellprism.store.h5ad import write_h5ad
from cellprism.store.tables import write_table


def h5ad(folder: Path) -> None:
    cells = AnnData(np.random.default_rng(0).random((300, 211), dtype=np.float32))
    write_h5ad(folder / "cells.h5ad", cells)


def table(folder: Path) -> None:
    write_table(folder / "table.parquet", pd.DataFrame({"x": np.random.default_rng(0).random(60_000)}))


def text(folder: Path) -> None:
    write_json(folder / "words.json", list(range(60_000)))


def sae(folder: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(113, 307), (307,), (307, 113), (113,)]
    save_sae(SparseAutoencoder(*(torch.randn(s, generator=generator) for s in shapes), k=5), folder / "sae")


WAYS = {"h5ad": h5ad, "table": table, "text": text, "sae": sae}


def main(disk: Path, options: str, way: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", disk], check=True)
    try:
        WAYS[way](disk)
    except DiskError as error:
        print(error)
    print("left:", *sorted(str(p.relative_to(disk)) for p in disk.rglob("*")))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
