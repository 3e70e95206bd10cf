"""Every error that cellprism raises on purpose, and the exit code that the command line gives it.

::

    CellprismError            1   something failed
    ├── InputError            2   the user asked for something that cannot be done; the message names the fix
    │   ├── CellsError        2   the cells: file, values, genes, labels (all problems listed at once)
    │   ├── ModelError        2   the cell model: unknown, incomplete, wrong shape, not able to do this
    │   ├── ConfigError       2   a setting: unknown, out of range, contradictory
    │   ├── RunError          2   the run folder: a missing step, other settings, in use, not plain files
    │   └── DiskError         2   the place to write: full, read-only, no folder, a path too long
    └── DamagedError          3   a file of ours is truncated, altered or has the wrong checksum

A message says what was found, what was expected and what to do. Libraries' own errors and a keyboard
interrupt pass through untouched.
"""

from collections.abc import Sequence


class CellprismError(Exception):
    """Something failed; the root of the tree."""

    exit_code = 1


class InputError(CellprismError):
    """The user asked for something that cannot be done."""

    exit_code = 2


class CellsError(InputError):
    """The cells cannot be used. ``problems`` lists everything that is wrong, not only the first thing."""

    def __init__(self, source: str, problems: Sequence[str]):
        self.source = source
        self.problems = list(problems)
        super().__init__("\n".join([f"{source} cannot be used:", *(f"  - {p}" for p in self.problems)]))

    def __reduce__(self):
        return type(self), (self.source, self.problems)


class ModelError(InputError):
    """The cell model is unknown, incomplete or not able to do what was asked."""


class ConfigError(InputError):
    """A setting is unknown, out of range or contradicts another."""


class RunError(InputError):
    """The run folder lacks a step, was made with other settings, or is in use."""


class DiskError(InputError):
    """A file cannot be written where it should be: the disk is full or read-only, or the path is none."""


class DamagedError(CellprismError):
    """A file is truncated, altered or does not match its checksum."""

    exit_code = 3
