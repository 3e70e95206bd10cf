"""Options that several verbs share."""

from typing import Annotated

from cyclopts import Parameter

Changes = Annotated[list[str] | None, Parameter(name=["--set", "-s"], consume_multiple=False)]
"""``--set key=value``, any number of times."""

Device = Annotated[str, Parameter(help="Where to compute: cpu, cuda, or cuda:N; by default a GPU if there is one.")]
"""``--device``."""

Offline = Annotated[bool, Parameter(help="Take models of the hub from the cache alone.")]
"""``--offline``."""
