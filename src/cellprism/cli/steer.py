"""``cellprism steer``: features turned up and down."""

from pathlib import Path
from typing import Any

from cellprism.cli.flags import changes_of
from cellprism.cli.options import Changes, Cluster, Dashboard, Device, Offline, Whole
from cellprism.display import command


def steer(
    run: Path,
    *,
    feature: Whole | None = None,
    program: list[str] | None = None,
    set_: Changes = None,
    cluster: Cluster = "",
    dashboard: Dashboard = False,
    device: Device = "",
    offline: Offline = False,
) -> None:
    """Turn features up and down, dose by dose, beside features that nobody trained.

    Parameters
    ----------
    run
        A run folder whose features have been turned into programs (``cellprism do programs``).
    feature
        Number of one feature to steer.
    program
        Words of a program to look for, as in ``--program Interferon``; may be given several times.
    set_
        Change one key, as in ``--set steer.cells=100``; may be given several times.
    """
    from cellprism.cli.talk import bar, say
    from cellprism.studies.steer.tables import PROGRAMS, read
    from cellprism.studies.steer.view import too_far
    from cellprism.workflow.config import changed
    from cellprism.workflow.pipeline import continue_run, steer_one

    def warn(name: str) -> None:
        for line in (line for one in read(run / "steer").experiments if one.name == name for line in too_far(one)):
            say(f"too far: {line}")

    changes = changes_of("steer", set_, [("programs", program or None)])
    config = changed(run, changes)
    where: dict[str, Any] = {"device": device, "offline": offline, "cluster": cluster, "dashboard": dashboard}
    if feature is not None:
        folder = steer_one(run, feature, config, bar, say, **where)
        warn(folder.name)
        say(f"doses of feature {feature} in {folder}; next: {command('report', run)}")
        return
    continue_run(run, "steer", config, bar, say, **where)
    warn(PROGRAMS)
    contrast = command("contrast", run, "--from", "TYPE", "--to", "TYPE")
    say(f"doses in {run / 'steer'}; next: {contrast}, or {command('report', run)}")
