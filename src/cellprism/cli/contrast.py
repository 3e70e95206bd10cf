"""``cellprism contrast``: one cell type moved towards another."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from cellprism.cli.flags import changes_of
from cellprism.cli.options import Changes, Cluster, Dashboard, Device, Offline
from cellprism.display import command


def contrast(
    run: Path,
    *,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    to: str | None = None,
    objective: list[Literal["latent", "expression"]] | None = None,
    named: list[str] | None = None,
    set_: Changes = None,
    cluster: Cluster = "",
    dashboard: Dashboard = False,
    device: Device = "",
    offline: Offline = False,
) -> None:
    """Find the feature strengths that move one cell type towards another, and judge them on unseen cells.

    Parameters
    ----------
    run
        A run folder with a trained autoencoder.
    from_
        Cell type to start from.
    to
        Cell type to reach.
    objective
        What to bring close; may be given twice. Default: both.
    named
        Genes to report by name; may be given several times.
    set_
        Change one key, as in ``--set contrast.search.penalties=20``; may be given several times.
    """
    from cellprism.cli.talk import bar, say
    from cellprism.errors import ConfigError
    from cellprism.store.run import Run
    from cellprism.workflow.config import changed, config_of, section
    from cellprism.workflow.pipeline import continue_run

    given = {"source": from_ or None, "target": to or None, "objectives": objective or None, "named": named or None}
    changes = changes_of("contrast", set_, given.items())
    config = changed(run, changes) or config_of(Run.existing(run))
    if not section(config, "contrast").source:
        asked = command("contrast", run, "--from", "TYPE", "--to", "TYPE")
        raise ConfigError(f"this run names no cell types; say which: {asked}")
    continue_run(
        run, "contrast", config, bar, say, device=device, offline=offline, cluster=cluster, dashboard=dashboard
    )
    say(f"recipes in {run / 'contrast'}; next: {command('report', run)}")
