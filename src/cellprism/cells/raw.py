"""Cells as they stand in a file, before anything is checked: what every reader hands over."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Float


def no_offers() -> tuple[str, ...]:
    """A source with one matrix only has no other to offer."""
    return ()


@dataclass(frozen=True)
class RawCells:
    """One matrix of a file with the names of its rows and columns."""

    source: str
    """What was read, as the user named it."""
    matrix: sp.csr_matrix
    """Values [cell, gene], as they are stored."""
    obs: pd.DataFrame
    """One row a cell."""
    var: pd.DataFrame
    """One row a gene."""
    sha256: str = ""
    """Checksum of the file or folder, '' for an object in memory."""
    where: str = "X"
    """Which matrix this is, as ``counts`` names it: ``X``, ``layers/NAME`` or ``raw``."""
    offers: Callable[[], tuple[str, ...]] = no_offers
    """Looks through the other matrices, and returns the values of ``counts`` under which raw counts were found."""
    larger: Callable[[], str] = str
    """What the user should know if ``.raw`` holds more genes than the matrix that was read by default; '' if not."""
    typed: bool = False
    """Whether the data says of every row that it is a gene."""
    labels: str | None = None
    """Column of ``obs`` that is known to hold cell types."""
    totals: Float[np.ndarray, " cell"] | None = None
    """Counts of each cell over all genes, known because the matrix holds only some genes."""
    totals_from: str = ""
    """Column that these totals were declared in, '' where they are sums over all genes that were once read."""
    embedding: Float[np.ndarray, "cell d_model"] | None = None
    """The embedding that was asked for."""
    notes: tuple[str, ...] = ()
    """What a user should know about how this was read."""


def setting(name: str, value: str) -> str:
    """How to give a setting, in Python or in a configuration, and on the command line."""
    return f'{name} = "{value}" (on the command line: --{name} {shlex.quote(value)})'


def near(word: str, options: list[str], most: int = 3) -> list[str]:
    """Options like ``word``, whatever their case, best first; those that contain it count as like it."""
    lower: dict[str, str] = {}
    for option in options:
        lower.setdefault(option.lower(), option)
    close = get_close_matches(word.lower(), list(lower), n=most, cutoff=0.6)
    inside = [o for o in lower if word.lower() in o] if len(word) > 1 else []
    return [lower[o] for o in [*inside, *(o for o in close if o not in inside)][:most]]


def suggestion(word: str, options: list[str]) -> str:
    """'did you mean ...?' with near matches, else the first few options."""
    if close := near(word, options):
        return f"did you mean {' or '.join(map(repr, close))}?"
    if not options:
        return "there are none"
    shown = ", ".join(map(repr, options[:10])) + (", ..." if len(options) > 10 else "")
    return f"there are {shown}"


def as_text(value: object) -> str:
    """A value as text; bytes are read as UTF-8, as older programs left names."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
