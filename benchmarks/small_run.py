"""A whole run on simulated cells, of any size: a panel of 200 genes, a small random model, little effort in each step.

Steps are done in processes forked from one that has imported everything, so that they begin at once.
"""

import os
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cellprism.models.aido.files import save
from cellprism.models.aido.model import AidoCell
from cellprism.models.aido.pretrain import PretrainConfig
from cellprism.simulate.answers import answers_of, without_answers
from cellprism.simulate.cell_settings import PlantedSettings
from cellprism.simulate.cells import planted_cells
from cellprism.workflow.config import make_config
from cellprism.workflow.pipeline import start_run
from cellprism.workflow.pretraining import pretrain_model
from cellprism.workflow.publish import write_report

RUN_STEPS = (
    "cells",
    "train",
    "assess",
    "blocks",
    "fit",
    "programs",
    "state",
    "stability",
    "adds",
    "steer",
    "contrast",
    "report",
)
GENES, HIDDEN, LAYERS = 200, 16, 2
LOOK = 0.02  # seconds between two looks at a process's memory


class Ended(NamedTuple):
    """What a process left."""

    code: int
    """Exit code; negative: the signal that ended it."""
    seconds: float
    peak: int
    """Its largest resident memory, in MiB."""
    held: int
    """The same without pages of files, which the system takes back where memory is short; looked at now and then."""


def write_inputs(folder: Path, n_cells: int, train: dict[str, Any]) -> dict[str, Any]:
    """Write cells, model and gene sets into a folder; returns a configuration that uses them."""
    settings = PlantedSettings.preset("small", cells=n_cells, genes=GENES)
    cells = planted_cells(settings, seed=0)
    sets = answers_of(cells).collection()
    lines = ["\t".join((name, "planted", *genes)) for name, genes in sets.items()]
    (folder / "sets.gmt").write_text("".join(line + "\n" for line in lines))
    without_answers(cells).write_h5ad(folder / "cells.h5ad")
    model = AidoCell.random(
        list(cells.var_names), hidden=HIDDEN, layers=LAYERS, heads=2, intermediate=2 * HIDDEN, seed=3
    )
    save(model, folder / "model", {"name": "small", "revision": "seed 3", "licence": "none"})
    return {
        "cells": str(folder / "cells.h5ad"),
        "model": str(folder / "model"),
        "layer": 0,
        "train": train,
        "programs": {
            "seeds": 2, "replicates": 3, "draws": 3, "gene_filter": "all", "collection": str(folder / "sets.gmt"),
        },
        "blocks": {"cells": 50, "draws": 1},
        "stability": {"cells": 50, "seeds": 2, "draws": 3},
        "adds": {"cells": 50, "seeds": 2},
        "fit": {"cells": 50, "draws": 3},
        "assess": {"cells": 50},
        "steer": {
            "cells": 13, "programs": ["program0", "program1"],
            "doses": {"controls": 3, "strengths": [-1, 1, 3], "judged_at": 2, "least_effect": 0},
        },
        "contrast": {
            "source": "type0", "target": "type1",
            "search": {
                "penalties": 2, "iterations": 1, "train_cells": 10, "max_cells": 50, "n_genes": 10,
                "null_replicates": 2, "random_edits": 3, "resamples": 20,
            },
        },
    }  # fmt: skip


def do_step(asked: dict[str, Any], folder: Path, step: str, cluster: str = "") -> None:
    """One step of a run, the report, or a pretraining in the folder."""
    if step == "report":
        write_report(folder)
    elif step == "pretrain":
        settings = PretrainConfig(
            layers=1,
            hidden=8,
            heads=1,
            intermediate=16,
            steps=24,
            tokens=400,
            genes_low=20,
            genes_high=40,
            report_every=6,
        )
        pretrain_model(asked["cells"], folder, settings, labels="cell_type", name="small")
    else:
        start_run(make_config(asked), folder, no_bar, lambda text: None, (step,), cluster=cluster)


@contextmanager
def no_bar(title: str, total: int | None):
    """No bar."""
    yield lambda done, words="": None


def forked(work: Callable[..., object], *arguments: Any, kill_after: float | None = None) -> Ended:
    """Call a function in a process of its own, to its end or until it is killed."""
    began = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work(*arguments)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(pid, signal.SIGKILL)  # it may have ended: then it waits to be asked how, and nothing happens
    held, ended = 0, (0, 0, None)
    while not ended[0]:
        held = max(held, anonymous(pid))
        time.sleep(LOOK)
        ended = os.wait4(pid, os.WNOHANG)
    _, status, used = ended
    return Ended(os.waitstatus_to_exitcode(status), time.perf_counter() - began, used.ru_maxrss // 1024, held)


def anonymous(pid: int) -> int:
    """Memory of a process, in MiB, that no file stands behind; 0 where it has ended or this is no Linux."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("RssAnon")), 0)
