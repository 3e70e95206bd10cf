"""``cellprism regulation``: does the model know who regulates whom?"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cellprism.cli.flags import changes_of
from cellprism.cli.options import Changes, Cluster, Dashboard, Device, Offline, Whole
from cellprism.display import command


def regulation(
    run: Path,
    *,
    tf: list[str] | None = None,
    all_: Annotated[
        bool, Parameter(name="--all", help="Ask about all factors with enough targets.", negative="")
    ] = False,
    edges: Path | None = None,
    types: list[str] | None = None,
    cells: Whole | None = None,
    set_: Changes = None,
    cluster: Cluster = "",
    dashboard: Dashboard = False,
    device: Device = "",
    offline: Offline = False,
) -> None:
    """Raise factors and read their targets, and the other way round, beside genes matched to the targets.

    Parameters
    ----------
    run
        A run folder with an autoencoder (``cellprism train``).
    tf
        A factor to ask about, as in ``--tf TBX21``; may be given several times.
    edges
        Literature edges: a table with columns source, target and, where known, weight, such as CollecTRI.
    types
        Cell types to ask in, as in ``--types "CD8 T cells"``; may be given several times.
    cells
        Cells of each type; the time grows with them.
    set_
        Change one key, as in ``--set regulation.genes=800``; may be given several times.
    """
    from cellprism.cli.talk import bar, say
    from cellprism.errors import ConfigError
    from cellprism.workflow.config import changed
    from cellprism.workflow.pipeline import continue_run

    if bool(tf) == all_:
        raise ConfigError("say which factors to ask about: --tf NAME, once or several times, or --all")
    given = {"factors": tf or [], "edges": str(edges) if edges else None, "types": types, "cells": cells}
    changes = changes_of("regulation", set_, given.items())
    continue_run(
        run,
        "regulation",
        changed(run, changes),
        bar,
        say,
        device=device,
        offline=offline,
        cluster=cluster,
        dashboard=dashboard,
    )
    say(f"effects in {run / 'regulation'}; next: {command('report', run)}")
