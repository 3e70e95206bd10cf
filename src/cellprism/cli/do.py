"""``cellprism do``: one study of a run, built in or installed; its settings are its flags."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cellprism.cli.flags import changes_of, flags_of
from cellprism.cli.flags import given as given_of
from cellprism.cli.options import Changes, Cluster, Dashboard, Device, Offline
from cellprism.display import command
from cellprism.studies.study import Study, studies

do = App(name="do", help="Do one study of a run, with its settings as flags.")


def _verb(study: Study) -> Callable[..., None]:
    flags = flags_of(study.Settings)
    none = flags()

    def verb(
        run: Path,
        *,
        given: Annotated[flags, Parameter(name="*")] = none,  # pyright: ignore[reportInvalidTypeForm]
        set_: Changes = None,
        cluster: Cluster = "",
        dashboard: Dashboard = False,
        device: Device = "",
        offline: Offline = False,
    ) -> None:
        from cellprism.cli.talk import bar, say
        from cellprism.workflow.config import changed
        from cellprism.workflow.pipeline import continue_run

        changes = changes_of(study.name, set_, given_of(given))
        continue_run(
            run, study.name, changed(run, changes), bar, say, device=device, offline=offline, cluster=cluster,
            dashboard=dashboard,
        )  # fmt: skip
        say(f"results in {run / study.name}; next: {command('report', run)}")

    verb.__doc__ = f"""{study.title}

    Parameters
    ----------
    run
        A run folder.
    set_
        Change any key, as in ``--set train.k=16``; may be given several times.
    """
    return verb


for _study in studies().values():
    do.command(_verb(_study), name=_study.name, help=_study.title)
