"""``cellprism do``: one study of a run, built in or installed; its settings are its flags."""

from collections.abc import Callable, Iterator
from dataclasses import field, fields, is_dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from cyclopts import App, Parameter

from cellprism.cli.options import Changes
from cellprism.studies.help import field_help
from cellprism.studies.study import Study, studies

do = App(name="do", help="Do one study of a run, with its settings as flags.")


def _verb(study: Study) -> Callable[..., None]:
    flags = _flags(study.Settings)

    def verb(run: Path, *, given: Annotated[flags, Parameter(name="*")] = flags(), set_: Changes = None) -> None:  # noqa: B008
        from cellprism.cli.talk import bar, say
        from cellprism.workflow.config import changed
        from cellprism.workflow.pipeline import continue_run

        changes = [*(set_ or ()), *((f"{study.name}.{key}", value) for key, value in _given(given))]
        continue_run(run, study.name, changed(run, changes), bar, say)
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
    parts = []
    for item in fields(settings):
        kind: Any = item.type
        if is_dataclass(kind):
            inner = _flags(kind)  # pyright: ignore[reportArgumentType]
            parts.append((item.name, inner, field(default_factory=inner)))
            continue
        if get_origin(kind) is tuple:
            kind = list[get_args(kind)[0]]
        parts.append((item.name, Annotated[kind | None, Parameter(help=help_of.get(item.name, ""))], None))
    # Python 3.11 says that such a class is one of its own module ``types``, whose fields cyclopts does not look into
    return make_dataclass(settings.__name__, parts, frozen=True, namespace={"__module__": __name__})


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
