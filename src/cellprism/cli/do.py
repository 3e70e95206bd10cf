"""``cellprism do``: one study of a run, built in or installed; its settings are its flags."""

from collections.abc import Callable, Iterator
from dataclasses import field, fields, is_dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from cyclopts import App, Parameter

from cellprism.cli.options import Changes, Device, Offline
from cellprism.studies.help import field_help
from cellprism.studies.study import Study, studies

do = App(name="do", help="Do one study of a run, with its settings as flags.")


def _verb(study: Study) -> Callable[..., None]:
    flags = _flags(study.Settings)
    none = flags()

    def verb(
        run: Path,
        *,
        given: Annotated[flags, Parameter(name="*")] = none,  # pyright: ignore[reportInvalidTypeForm]
        set_: Changes = None,
        device: Device = "",
        offline: Offline = False,
    ) -> None:
        from cellprism.cli.talk import bar, say
        from cellprism.workflow.config import changed
        from cellprism.workflow.pipeline import continue_run

        changes = [*(set_ or ()), *((f"{study.name}.{key}", value) for key, value in _given(given))]
        continue_run(run, study.name, changed(run, changes), bar, say, device=device, offline=offline)
        say(f"results in {run / study.name}; next: cellprism report {run}")

    verb.__doc__ = f"""{study.title}

    Parameters
    ----------
    run
        A run folder.
    set_
        Change any key, as in ``--set train.k=16``; may be given several times.
    """
    return verb


def _flags(settings: type) -> type:
    """The same fields, each left out unless it is given: a run keeps what it was asked before."""
    help_of = field_help(settings)
    parts: list[tuple[str, Any, Any]] = []
    for item in fields(settings):
        if is_dataclass(item.type):
            inner = _flags(item.type)  # pyright: ignore[reportArgumentType]
            parts.append((item.name, inner, field(default_factory=inner)))
        else:
            kind: Any = list[get_args(item.type)[0]] if get_origin(item.type) is tuple else item.type
            parts.append((item.name, Annotated[kind | None, Parameter(help=help_of.get(item.name, ""))], None))
    flags = make_dataclass(settings.__name__, parts, frozen=True)
    flags.__module__ = __name__  # else it passes for a class of the standard library, whose fields are no flags
    return flags


def _given(flags: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys and values of what was given."""
    for item in fields(flags):
        value = getattr(flags, item.name)
        if is_dataclass(value):
            yield from _given(value, f"{prefix}{item.name}.")
        elif value is not None:
            yield f"{prefix}{item.name}", value


for _study in studies().values():
    do.command(_verb(_study), name=_study.name, help=_study.title)
