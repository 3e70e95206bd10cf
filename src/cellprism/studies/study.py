"""What an analysis of a run is: one record, met by everything else through it.

A study computes, writes, reads, claims and draws, in that order, and nothing flows back. Its parts are named by where
they are (``module:function``) and imported when they are used: only ``work`` may know torch, so that a page is drawn
without it, and ``cellprism --help`` loads none of them.

Studies come by the entry point group ``cellprism.studies``, the built-in ones too: an entry point names a ``Study``.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, is_dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellprism.errors import ConfigError
from cellprism.report.open_questions import Open
from cellprism.store.inside import STUDIES

if TYPE_CHECKING:  # these know plotly, which a command line need not wait for
    from cellprism.report.card import Fact
    from cellprism.report.claims import Claim
    from cellprism.report.context import Context
    from cellprism.report.section import Section

GROUP = "cellprism.studies"
BASE = ("cells", "train")
"""Steps of every run that are no studies: the cells at the door, and the autoencoder."""


@dataclass(frozen=True)
class Study:
    """One analysis. Each part is a text that says where it is.

    Raises:
        ConfigError: the name would not do as a section of a configuration, or the settings are no dataclass.
    """

    name: str
    """Its step, its folder in a run, its section of the configuration."""
    title: str
    """What it asks, in a few words; the help of ``cellprism do``."""
    needs: tuple[str, ...]
    """Steps and studies whose results it reads, ``cells`` and ``train`` among them where it does."""
    Settings: type
    """A frozen dataclass: the section of the configuration. A field whose metadata has ``source`` (``cells``,
    ``model``, ``collection`` or ``path``) counts by the content of what it names."""
    work: str
    """``module:function`` of (bench, settings) -> found. May import torch."""
    tables: str
    """A module with ``write(folder, found) -> list of files`` and ``read(folder) -> found``."""
    claims: str
    """``module:function`` of (found, context) -> list of claims."""
    section: str
    """``module:function`` of (found or None, claims, context) -> the section of the page."""
    headline: tuple[str, ...] = ()
    """Which of its claims stand at the top of a page, named before any run is seen: a pattern of ids for each question,
    ``steer-*-genes``. Of several that fit one, the hardest fair control decides, see ``report.findings``."""
    open: tuple[Open, ...] = ()
    """What it would answer; said to be unanswered on the page of a run without it."""
    card: str = ""
    """``module:function`` of (found, its claims, feature) -> list of ``report.card.Fact`` about one feature; empty
    where it says nothing of single ones."""
    method: str = ""
    """What was done where it was, as a sentence of a methods paragraph, which its settings follow; empty: its title."""
    every_run: bool = True
    """Part of a whole run; else done only where somebody asks for it with ``cellprism do``, and on the page then."""

    def __post_init__(self):
        if not self.name.isidentifier() or self.name in (*BASE, "report"):
            raise ConfigError(f"a study cannot be called {self.name!r}: expected a word that is no step of every run")
        if not is_dataclass(self.Settings):
            raise ConfigError(f"the settings of study {self.name!r} are {self.Settings!r}, expected a frozen dataclass")

    def found_by(self, bench: Any, settings: Any) -> Any:
        """What its work finds."""
        return _part(self.work)(bench, settings)

    def write(self, folder: Path, found: Any) -> list[Path]:
        """Write what was found into the study's folder of a run; returns the files."""
        return _part(f"{self.tables}:write")(folder, found)

    def read(self, folder: Path) -> Any:
        """What ``write`` wrote. Raises ``DamagedError`` where a file lacks something."""
        with self._fitting():
            return _part(f"{self.tables}:read")(folder)

    def claimed(self, found: Any, context: "Context") -> "list[Claim]":
        """What the numbers say, judged."""
        with self._fitting():
            return _part(self.claims)(found, context)

    def facts_of(self, found: Any, claims: "Sequence[Claim]", feature: int) -> "list[Fact]":
        """What it says of one feature; nothing where it has no ``card``."""
        with self._fitting():
            return _part(self.card)(found, claims, feature) if self.card else []

    def drawn(self, found: Any, claims: "Sequence[Claim]", context: "Context") -> "Section":
        """Its part of the page; ``found`` is None where the study was not run."""
        with self._fitting():
            return _part(self.section)(found, claims, context)

    def _fitting(self) -> AbstractContextManager[None]:
        from cellprism.studies.files import fitting

        return fitting(f"what {self.name} has written", f"cellprism do {self.name} RUN")


@cache
def studies() -> dict[str, Study]:
    """Every installed study by name, each after those it needs.

    Raises:
        ConfigError: an entry point gives no study, two have one name, or one needs what there is not.
    """
    found: dict[str, Study] = {}
    for entry in sorted(entry_points(group=GROUP), key=_place):
        study = entry.load()
        if not isinstance(study, Study):
            raise ConfigError(f"the entry point {entry.name!r} of {GROUP} gives {study!r}, expected a Study")
        if study.name in found:
            raise ConfigError(f"two installed packages have a study called {study.name!r}; remove one of them")
        found[study.name] = study
    return _in_order(found)


def _place(entry: EntryPoint) -> tuple[bool, int, str]:
    """The package's own first, in the order of a page; then others by name."""
    return entry.name not in STUDIES, STUDIES.index(entry.name) if entry.name in STUDIES else 0, entry.name


def _in_order(found: dict[str, Study]) -> dict[str, Study]:
    ordered: dict[str, Study] = {}
    waiting = dict(found)
    while waiting:
        ready = next((s for s in waiting.values() if all(n in BASE or n in ordered for n in s.needs)), None)
        if ready is None:
            wants = "; ".join(f"{s.name} needs {', '.join(s.needs)}" for s in waiting.values())
            raise ConfigError(f"some studies need what is not installed, or each other: {wants}")
        ordered[ready.name] = waiting.pop(ready.name)
    return ordered


def _part(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(import_module(module), name)
