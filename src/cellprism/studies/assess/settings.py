"""Settings of the study: the section ``[assess]``."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AssessSettings:
    """How good the model is: so far what its card measured on held-out cells, so there is nothing to set."""
