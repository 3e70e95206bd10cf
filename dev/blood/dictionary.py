"""Makes the dictionary that comes with cellprism: `pbmc2` on PBMC3K, measured on a second donor, PBMC4K.

    CELLPRISM_DATA_DIR=DATA OMP_NUM_THREADS=1 python dev/blood/dictionary.py DATA RUN OUT

DATA holds pbmc3k_raw_labelled.h5ad, pbmc4k_raw_labelled.h5ad and GO_Biological_Process_2021.gmt.gz; bits depend on the
number of threads. RUN becomes a run folder, OUT the dictionary. All in one process, which reads the inner state once.
"""

import sys
from pathlib import Path

from cellprism.cli.talk import bar, say
from cellprism.workflow.config import make_config
from cellprism.workflow.pipeline import start_run
from cellprism.workflow.share import share


def main(data: Path, run: Path, out: Path) -> None:
    other = str(data / "pbmc4k_raw_labelled.h5ad")
    asked = {
        "cells": str(data / "pbmc3k_raw_labelled.h5ad"), "labels": "louvain", "model": "pbmc2", "layer": 1,
        "train": {"k": 4, "epochs": 2}, "fit": {"other": other}, "stability": {"seeds": 5}, "naming": {"other": other},
        "programs": {"collection": "GO_Biological_Process_2021", "seeds": 1},
    }  # fmt: skip
    start_run(make_config(asked), run, bar, say, ("cells", "train", "fit", "programs", "stability", "naming"))
    share(run, out)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
