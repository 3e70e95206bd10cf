"""Options that several verbs share."""

from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from cellprism.errors import ConfigError


def _whole(_: object, tokens: Sequence[Any]) -> int:
    """A whole number, which is not made of another one by rounding."""
    return int(tokens[0].value)


def _wholes(_: object, tokens: Sequence[Any]) -> list[int]:
    return [int(token.value) for token in tokens]


Whole = Annotated[int, Parameter(converter=_whole)]
"""A whole number."""

Wholes = Annotated[list[int], Parameter(converter=_wholes)]
"""Whole numbers."""

Only = Annotated[list[str] | None, Parameter(consume_multiple=False)]
"""``--only COLUMN=VALUE``, any number of times."""

Changes = Annotated[list[str] | None, Parameter(name=["--set", "-s"], consume_multiple=False)]
"""``--set key=value``, any number of times."""

Device = Annotated[str, Parameter(help="Where to compute: cpu, cuda, or cuda:N; by default a GPU if there is one.")]
"""``--device``."""

Offline = Annotated[bool, Parameter(help="Take models of the hub from the cache alone.")]
"""``--offline``."""

Cluster = Annotated[
    str,
    Parameter(
        help="Work on several processes: local:4 here, tcp://HOST:PORT of a Dask scheduler, or slurm:8 jobs of a queue."
    ),
]
"""``--cluster``."""

Dashboard = Annotated[
    bool, Parameter(help="Show Dask's dashboard on this machine's own address (127.0.0.1:8787).", negative="")
]
"""``--dashboard``."""

Again = Annotated[
    bool,
    Parameter(help="Make a run that is there again from other cells, another model or with other labels.", negative=""),
]
"""``--again``."""


def only_of(given: list[str] | None) -> dict[str, list[str]]:
    """Values by column from ``COLUMN=VALUE`` texts.

    Raises:
        ConfigError: one is no such text.
    """
    found: dict[str, list[str]] = {}
    for text in given or ():
        column, separator, value = text.partition("=")
        if not separator or not column:
            raise ConfigError(f"--only {text!r}: expected COLUMN=VALUE, such as cell_type=B")
        found.setdefault(column, []).append(value)
    return found
