"""``cellprism run``: every step of a configuration."""

from pathlib import Path

from cellprism.cli.options import Again, Changes, Cluster, Dashboard, Device, Offline


def run(
    config: Path,
    *,
    out: Path,
    set_: Changes = None,
    dry_run: bool = False,
    track: str = "",
    cluster: Cluster = "",
    dashboard: Dashboard = False,
    device: Device = "",
    offline: Offline = False,
    again: Again = False,
) -> None:
    """Read cells, train, do every study and report, as one TOML file says.

    Steps that are already done under the same settings are skipped, so the same command goes on after an interruption.
    Started by ``torchrun``, all its processes train together; the first one does the rest.

    Parameters
    ----------
    config
        TOML file; docs/configuration.md has all sections, keys and defaults.
    out
        The run folder.
    set_
        Change one key, as in ``--set train.k=16``; may be given several times.
    dry_run
        Only check the configuration and print it with every default filled in.
    track
        Send the training's figures to ``wandb`` or ``trackio`` as well.
    """
    from cellprism.cli.talk import bar, say
    from cellprism.workflow.config import read_config, write_config

    wanted = read_config(config, set_ or ())
    if dry_run:
        print(write_config(wanted), end="")
        return
    from cellprism.sae.distributed import is_first, started
    from cellprism.workflow.pipeline import start_run
    from cellprism.workflow.publish import write_report

    with started():
        start_run(
            wanted, out, bar, say, track=track, device=device, offline=offline, again=again, cluster=cluster,
            dashboard=dashboard,
        )  # fmt: skip
        if is_first():
            page = write_report(out)
            say(f"claims in {out / 'claims.json'}; open {page}")
