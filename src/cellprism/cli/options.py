"""Options that several verbs share."""

from typing import Annotated

from cyclopts import Parameter

Changes = Annotated[list[str] | None, Parameter(name=["--set", "-s"], consume_multiple=False)]
"""``--set key=value``, any number of times."""
