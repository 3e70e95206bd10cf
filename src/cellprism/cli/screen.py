"""``cellprism screen``: what every feature does."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cellprism.cli.flags import changes_of
from cellprism.cli.options import Changes, Cluster, Dashboard, Device, Offline
from cellprism.display import command


def screen(
    run: Path,
    *,
    from_: Annotated[str, Parameter(name="--from")] = "",
    to: str = "",
    program: list[str] | None = None,
    judge: str = "",
    set_: Changes = None,
    cluster: Cluster = "",
    dashboard: Dashboard = False,
    device: Device = "",
    offline: Offline = False,
) -> None:
    """Screen every feature: what it does to every gene, and whether that is what it says.

    Parameters
    ----------
    run
        A run folder whose features have been turned into programs (``cellprism do programs``).
    from_
        Cell type from which the axis of type means leads.
    to
        Cell type to which it leads.
    program
        Words of a program whose score features are screened for; may be given several times.
    judge
        A linear model of expression made by others, as parquet (docs/configuration.md).
    set_
        Change one key, as in ``--set screen.cells=100``; may be given several times.
    """
    from cellprism.cli.talk import bar, say
    from cellprism.workflow.config import changed
    from cellprism.workflow.pipeline import continue_run

    given = {"source": from_ or None, "target": to or None, "programs": program or None, "judge": judge or None}
    changes = changes_of("screen", set_, given.items())
    continue_run(
        run,
        "screen",
        changed(run, changes),
        bar,
        say,
        device=device,
        offline=offline,
        cluster=cluster,
        dashboard=dashboard,
    )
    say(f"a card of every feature in {run / 'screen'}; next: {command('report', run)}")
