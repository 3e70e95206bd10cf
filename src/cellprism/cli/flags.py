"""Settings of the library as flags of a verb: the same names, helped by the text below each field."""

from collections.abc import Iterable, Iterator
from dataclasses import MISSING, Field, field, fields, is_dataclass, make_dataclass
from typing import Annotated, Any, get_args, get_origin

from cyclopts import Parameter

from cellprism.cli.options import Changes, Whole, Wholes
from cellprism.studies.help import field_help

WITHOUT_ROUNDING = {int: Whole, list[int]: Wholes}


def flags_of(settings: type, keep_defaults: bool = False) -> type:
    """A dataclass of the same fields. A flag that is not given is None, so that a run keeps what it was asked before,
    or with ``keep_defaults`` what the settings have."""
    help_of = field_help(settings)
    parts: list[tuple[str, Any, Any]] = []
    for item in fields(settings):
        if is_dataclass(item.type):
            inner = flags_of(item.type, keep_defaults)  # pyright: ignore[reportArgumentType]
            parts.append((item.name, inner, field(default_factory=inner)))
        else:
            several = get_origin(item.type) is tuple
            kind: Any = list[get_args(item.type)[0]] if several else item.type
            words = help_of.get(item.name, "") + several * " Give the flag once for each."
            kind = Annotated[WITHOUT_ROUNDING.get(kind, kind), Parameter(help=words)]
            parts.append((item.name, kind, _default(item)) if keep_defaults else (item.name, kind | None, None))
    flags = make_dataclass(settings.__name__, parts, frozen=True)
    flags.__module__ = __name__  # else it passes for a class of the standard library, whose fields are no flags
    return flags


def _default(item: Field) -> Any:
    assert item.default is not MISSING, "settings have defaults"
    return item.default


def changes_of(study: str, set_: Changes, given: Iterable[tuple[str, Any]]) -> list[str | tuple[str, Any]]:
    """Changes of keys: those of ``--set``, then of the study's keys that a verb was given; None was not given."""
    return [*(set_ or ()), *((f"{study}.{key}", value) for key, value in given if value is not None)]


def given(flags: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys and values of what was given."""
    for item in fields(flags):
        value = getattr(flags, item.name)
        if is_dataclass(value):
            yield from given(value, f"{prefix}{item.name}.")
        elif value is not None:
            yield f"{prefix}{item.name}", value
