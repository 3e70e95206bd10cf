"""A whole run on 37 real cells, 60 real genes and a random model: small enough to be made once per session."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from pytest_socket import disable_socket, enable_socket

from cellprism.cells.read import read_cells
from cellprism.models.aido.files import save
from cellprism.models.aido.model import AidoCell
from cellprism.ontology.gmt import read_gmt
from cellprism.studies.common import CommonConfig
from cellprism.workflow.config import make_config
from cellprism.workflow.pipeline import start_run, steps
from cellprism.workflow.publish import write_report

SOURCE, TARGET = "CD4+/CD45RO+ Memory", "CD8+ Cytotoxic T"
N_CELLS, N_GENES, N_FEATURES = (18, 19), 60, 41


@contextmanager
def bar(title: str, total: int | None) -> Iterator[Callable[..., None]]:
    """No bar."""
    yield lambda done, words="": None


def some_cells() -> AnnData:
    """Cells of two types of the bundled data, in the genes of the blood programs that they measure best."""
    whole = read_cells("bundled:pbmc68k")
    measured = [[g for g in genes if g in whole.var_names] for genes in read_gmt("blood").terms.values()]
    best = sorted(measured, key=len, reverse=True)
    genes = list(dict.fromkeys(gene for genes in best for gene in genes))[:N_GENES]
    counted = np.asarray(whole[:, genes].X.sum(axis=1)).ravel() > 0
    types = whole.obs["cell_type"].to_numpy()
    pairs = zip((SOURCE, TARGET), N_CELLS, strict=True)
    rows = [np.flatnonzero(counted & (types == kind))[:n] for kind, n in pairs]
    return whole[np.concatenate(rows), genes].copy()


def write_inputs(folder: Path) -> dict[str, Any]:
    """Write cells and model into a folder; returns a configuration that uses them, with little effort."""
    cells = some_cells()
    plain = AnnData(X=cells.X, obs=cells.obs[["cell_type"]].astype(str))
    plain.obs["person"] = [f"person {i % 6}" for i in range(plain.n_obs)]
    plain.obs["arm"] = ["treated" if i % 6 > 2 else "untreated" for i in range(plain.n_obs)]
    plain.var_names = cells.var_names
    plain.write_h5ad(folder / "cells.h5ad")
    model = AidoCell.random(list(cells.var_names), hidden=16, layers=2, heads=2, intermediate=24, seed=3)
    write_edges(folder, list(cells.var_names))
    save(model, folder / "model", {"name": "tiny", "revision": "seed 3", "licence": "none"})
    return {
        "cells": str(folder / "cells.h5ad"),
        "model": str(folder / "model"),
        "layer": 0,
        "train": {"n_features": N_FEATURES, "k": 5, "epochs": 1, "batch_size": 256},
        "blocks": {"k": 3, "expansion": 2, "cells": 30, "draws": 1, "epochs": 1},
        "programs": {"replicates": 3, "gene_filter": "all", "rule": "participation"},  # 20 of 60 genes match nothing
        "state": {"permutations": 19, "cells": 31},
        "map": {"permutations": 5, "renamed": 3, "cells": 31},
        "stability": {"cells": 11, "seeds": 3, "draws": 5},
        "adds": {"cells": 30, "seeds": 2},
        "lens": {
            "high": 0.8, "fewest": 3, "draws": 19, "neighbours": 5, "components": 4, "cells": 13, "controls": 3,
            "features": [0, 1],
        },
        "compare": {"condition": "arm", "donor": "person", "case": "treated", "cells": 3},
        "ladder": {"seeds": 2, "replicates": 3, "components": 5},
        "steer": {
            "cells": 13,
            "doses": {"controls": 3, "strengths": [-1, 1, 3], "judged_at": 2, "least_effect": 0},
        },
        "screen": {"cells": 20, "dictionaries": 1, "range": [-1, 3], "programs": ["cells"], "batch_size": 32},
        "pareto": {
            "weights": 3, "named": [], "search": {
                "penalties": 2, "iterations": 1, "train_cells": 3, "max_cells": 17, "n_genes": 10, "null_replicates": 1,
                "random_edits": 1, "resamples": 9,
            },
        },
        "regulation": {
            "edges": str(folder / "edges.csv"), "screen": str(folder / "screen.csv"), "cells": 1, "genes": 24,
            "context": 5, "detected": 0, "min_targets": 3, "matches": 1, "untrained": 2, "committees": 2,
            "draws": 3,
        },
        "contrast": {
            "source": SOURCE,
            "target": TARGET,
            "named": ["CD8A", "CD8B"],
            "search": {
                "penalties": 2, "iterations": 1, "train_cells": 3, "max_cells": 17, "n_genes": 10, "null_replicates": 2,
                "random_edits": 3, "resamples": 20,
            },
        },
    }  # fmt: skip


def write_edges(folder: Path, genes: list[str]) -> None:
    """Some edges between these genes, and a screen of them."""
    edges = [(genes[f], genes[f + 6 * t + 6], (-1) ** t) for f in range(6) for t in range(4)]
    pd.DataFrame(edges, columns=["source", "target", "weight"]).to_csv(folder / "edges.csv", index=False)
    screen = [(gene, f"CD8+ {genes[0]}", (i * 7) % 11 - 5) for i, gene in enumerate(genes)]
    pd.DataFrame(screen, columns=["gene", "screen", "log2_fold_change"]).to_csv(folder / "screen.csv", index=False)


@cache
def inputs(session: Path) -> dict[str, Any]:
    """The configuration of the session's tiny run."""
    folder = session / "tiny"
    folder.mkdir()
    return write_inputs(folder)


@cache
def finished_run(session: Path) -> Path:
    """The session's tiny run, every step done and reported, without a network."""
    folder = session / "tiny-run"
    disable_socket()
    try:
        start_run(config_of(inputs(session)), folder, bar, lambda text: None, steps())
        write_report(folder)
    finally:
        enable_socket()
    return folder


def config_of(asked: dict[str, Any], *changes: str) -> CommonConfig:
    """A configuration with changes."""
    return make_config(asked, changes)
