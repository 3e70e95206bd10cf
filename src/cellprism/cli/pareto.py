"""``cellprism pareto``: what one recipe can reach of the inner state and of expression."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from cellprism.cli.flags import changes_of
from cellprism.cli.options import Changes, Device, Offline
from cellprism.display import command


def pareto(
    run: Path,
    *,
    from_: Annotated[str, Parameter(name="--from")] = "",
    to: str = "",
    edit: Literal["", "multiply", "add", "clamp"] = "",
    judge: str = "",
    set_: Changes = None,
    device: Device = "",
    offline: Offline = False,
) -> None:
    """Trade the inner state against expression: what one recipe can reach of both.

    Parameters
    ----------
    run
        A run folder with a trained autoencoder; its programs name features where they are there.
    from_
        Cell type to start from; by default that of the run's contrast.
    to
        Cell type to reach.
    edit
        What a recipe does to features.
    judge
        A linear model of expression made by others, as parquet (docs/configuration.md).
    set_
        Change one key, as in ``--set pareto.weights=5``; may be given several times.
    """
    from cellprism.cli.talk import bar, say
    from cellprism.workflow.config import changed
    from cellprism.workflow.pipeline import continue_run

    given = {"source": from_ or None, "target": to or None, "edit": edit or None, "judge": judge or None}
    changes = changes_of("pareto", set_, given.items())
    continue_run(run, "pareto", changed(run, changes), bar, say, device=device, offline=offline)
    say(f"recipes in {run / 'pareto'}; next: {command('report', run)}")
