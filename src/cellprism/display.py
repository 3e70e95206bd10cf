"""How an object shows itself, one line of text at the prompt, a small table in a notebook; how a command is named, and
sizes in words.

No tensor is printed: of each only its shape is said. What a table holds is escaped.
"""

import html
import shlex
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

STYLE = (
    "border-collapse:collapse;font:13px/1.5 system-ui,sans-serif",
    "text-align:left;padding:2px 14px 2px 0;opacity:.7;font-weight:400;vertical-align:top",
    "text-align:left;padding:2px 0",
)
"""Of the table, of a name, of a value: a notebook's own colours stay."""


def command(*parts: object) -> str:
    """A command of cellprism as a message names it: it can be pasted into a shell, whatever its paths hold.

    >>> command("report", "my runs/a")
    "cellprism report 'my runs/a'"
    """
    return shlex.join(["cellprism", *map(str, parts)])


class Shown:
    """Something that says in a few words what it is."""

    def shown(self) -> Mapping[str, Any]:
        """Facts in words, by name, the most telling first."""
        raise NotImplementedError

    def __repr__(self) -> str:
        said = ", ".join(f"{name} {value}" for name, value in self.shown().items())
        return f"{type(self).__name__}({said})"

    def _repr_html_(self) -> str:
        """The same as a table."""
        return as_html(type(self).__name__, self.shown())


class ShowsShapes(Shown):
    """A dataclass of tensors, of which the shapes are shown."""

    def shown(self) -> Mapping[str, Any]:
        """The shape of every tensor, in brackets, and other values as they are; fields that are None are left out."""
        held: Any = self
        values = {field.name: getattr(self, field.name) for field in fields(held)}
        return {name: _said(value) for name, value in values.items() if value is not None}


def as_html(title: str, facts: Mapping[str, Any]) -> str:
    """A table of names and values below a title."""
    table, head, cell = STYLE
    rows = "".join(
        f'<tr><th style="{head}">{html.escape(str(name))}</th><td style="{cell}">{html.escape(str(value))}</td></tr>'
        for name, value in facts.items()
    )
    return f'<div><b>{html.escape(title)}</b><table style="{table}">{rows}</table></div>'


def _said(value: Any) -> Any:
    shape = getattr(value, "shape", None)
    return value if shape is None else f"[{' '.join(map(str, shape))}]"


def in_bytes(count: float) -> str:
    """A size: 12 bytes, 3.4 kB, 41 GB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"
