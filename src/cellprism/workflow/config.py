"""What a run is asked to do: one TOML file, a section per verb, every key settable on the command line.

The file is checked once, as a whole, when it is read: unknown keys, wrong types and impossible values are one message
each, and name the key. ``run.toml`` in the run folder is this configuration with all defaults filled in.
"""

import tomllib
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import dacite
import tomli_w

from cellprism.enrich.gene_sets import FILTERS
from cellprism.enrich.over_representation import FAMILIES
from cellprism.errors import ConfigError
from cellprism.sae.config import SaeConfig, preset
from cellprism.steering.contrast.contrast import ContrastSettings
from cellprism.steering.contrast.recipe_search import OBJECTIVES
from cellprism.steering.dose import DoseSettings
from cellprism.store.run import SETTINGS, Run


@dataclass(frozen=True)
class MeasureConfig:
    """How well the autoencoder stands for the model."""

    cells: int = 200
    """Cells, drawn at random, whose hidden genes the model predicts with the autoencoder spliced in."""
    hidden: float = 0.3
    """Share of each cell's genes that are hidden."""
    other: str = ""
    """Cells of another data set to measure the fit on: a file or the name of a data set; empty: none."""

    def __post_init__(self):
        _check(self.cells >= 1, "cells", self.cells, "a whole number of at least 1")
        _check(0 < self.hidden < 1, "hidden", self.hidden, "a number between 0 and 1, such as 0.3")


@dataclass(frozen=True)
class InterpretConfig:
    """How features become gene programs."""

    collection: str = "blood"
    """Gene sets: ``blood`` (shipped), a GMT file, or the name of a library in CELLPRISM_DATA_DIR."""
    gene_filter: str = "code"
    """Genes that may be in a list, and so the background: ``code``, ``paper`` or ``all``."""
    family: str = "all-terms"
    """Tests corrected together: ``all-terms`` per list, ``all-tests``, or ``hit-terms`` as in public work."""
    min_term_size: int = 3
    """Terms with fewer genes in the background are not tested."""
    alpha: float = 0.05
    """A term counts at a corrected p-value below this."""
    replicates: int = 100
    """Families of random lists for each null."""

    def __post_init__(self):
        _check(self.gene_filter in FILTERS, "gene_filter", self.gene_filter, f"one of {', '.join(FILTERS)}")
        _check(self.family in FAMILIES, "family", self.family, f"one of {', '.join(FAMILIES)}")
        _check(self.min_term_size >= 1, "min_term_size", self.min_term_size, "a whole number of at least 1")
        _check(0 < self.alpha < 1, "alpha", self.alpha, "a number between 0 and 1, such as 0.05")
        _check(self.replicates >= 1, "replicates", self.replicates, "a whole number of at least 1")


@dataclass(frozen=True)
class SteerConfig:
    """Which features to turn up and down, on how many cells."""

    programs: tuple[str, ...] = ("Interferon", "Cytotoxic", "B cell")
    """Programs looked for in the terms' names; the feature that fits each best is steered."""
    cells: int = 64
    """Cells steered, drawn at random."""
    doses: DoseSettings = field(default_factory=DoseSettings)
    """Strengths and random edits."""

    def __post_init__(self):
        _check(self.cells >= 1, "cells", self.cells, "a whole number of at least 1")


@dataclass(frozen=True)
class ContrastConfig:
    """Which cell type to move towards which."""

    source: str = ""
    """Cell type to start from; empty: no contrast is made."""
    target: str = ""
    """Cell type to reach."""
    objectives: tuple[str, ...] = ("latent", "expression")
    """What to bring close: the mean embedding, the expression of differential genes, or both in turn."""
    named: tuple[str, ...] = ("CD8A", "CD8B")
    """Genes reported by name, whatever their effect."""
    search: ContrastSettings = field(default_factory=ContrastSettings)
    """Effort of the search and of its nulls."""

    def __post_init__(self):
        together = f"source {self.source!r} and target {self.target!r}"
        _check(bool(self.source) == bool(self.target), "contrast", together, "both, or neither for no contrast")
        known = set(self.objectives) <= set(OBJECTIVES) and len(self.objectives) > 0
        _check(known, "objectives", list(self.objectives), f"some of {', '.join(OBJECTIVES)}")


@dataclass(frozen=True)
class ModelOptions:
    """How the model is loaded; only what is set goes to its family, which says if it does not take it."""

    gene_subset: bool = False
    """Leave out genes that the data do not have, where the model was trained with zeros for them (AIDO.Cell): cheaper,
    and marked in the model's card."""
    genes: str = ""
    """The model's gene list, where it does not lie beside the weights; empty: the one there."""

    def given(self) -> dict[str, Any]:
        """The options that are set."""
        return {name: value for name, value in asdict(self).items() if value}


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run's results."""

    cells: str
    """Raw counts: a file, a 10x folder, or the name of a data set."""
    model: str = "mini"
    """``mini``, a model folder or file, ``hf://owner/name@COMMIT``, or ``FAMILY:WHAT``, such as ``obsm:X_pca``."""
    model_options: ModelOptions = field(default_factory=ModelOptions)
    """How the model is loaded."""
    layer: int = 1
    """Block whose output is read and edited, counted from 0."""
    labels: str = ""
    """obs column with cell types; empty: the one known for the data set, or ``cell_type``."""
    pool: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Cell types to take together: new name -> the labels that it stands for."""
    seed: int = 0
    """Seed of every random choice."""
    train: SaeConfig = field(default_factory=lambda: SaeConfig(centring="group"))
    """The autoencoder; by default each gene's mean residual is taken off first."""
    measure: MeasureConfig = field(default_factory=MeasureConfig)
    """Loss recovered, fit per class of genes and on other cells."""
    interpret: InterpretConfig = field(default_factory=InterpretConfig)
    """Gene programs and their nulls."""
    steer: SteerConfig = field(default_factory=SteerConfig)
    """Features turned up and down."""
    contrast: ContrastConfig = field(default_factory=ContrastConfig)
    """One cell type moved towards another."""


def read_config(path: Path, changes: Sequence[str] = ()) -> RunConfig:
    """Read a configuration and apply ``key=value`` changes such as ``train.k=16``.

    A key ``preset`` in ``[train]`` stands for the settings of that name, which the section's other keys change.

    Raises:
        ConfigError: no such file, not TOML, an unknown key, or a value of the wrong type or out of range.
    """
    try:
        asked = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no configuration at {path}; write one, or start from the example in the README") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    return make_config(asked, changes, str(path))


def make_config(asked: dict[str, Any], changes: Sequence[str] = (), source: str = "the configuration") -> RunConfig:
    """A checked configuration from nested settings and ``key=value`` changes.

    Raises:
        ConfigError: an unknown key, or a value of the wrong type or out of range.
    """
    asked = deepcopy(asked)
    for change in changes:
        _apply(asked, change)
    train = asked.get("train", {})
    # the section's own default differs from SaeConfig's; what is given in part keeps it, published settings have theirs
    default = preset(train.pop("preset")) if isinstance(train, dict) and "preset" in train else {"centring": "group"}
    _check_keys(RunConfig, asked, "", source)
    asked = {**asked, "train": {**default, **train}}
    try:
        return dacite.from_dict(RunConfig, asked, dacite.Config(cast=[tuple], type_hooks={float: _number}))
    except dacite.MissingValueError as error:
        raise ConfigError(f"{source} does not say {error.field_path!r}, which has no default") from error
    except dacite.WrongTypeError as error:
        raise ConfigError(
            f"{source}: {error.field_path} is {error.value!r}, expected {_kind(error.field_type)}"
        ) from error


def changed(folder: Path, changes: Sequence[str]) -> RunConfig | None:
    """The configuration of an existing run with changes; None where nothing is changed.

    Raises:
        RunError: there is no run.
        ConfigError: a change is not valid.
    """
    return read_config(Run.existing(folder).folder / SETTINGS, changes) if changes else None


def write_config(config: RunConfig) -> str:
    """The configuration as TOML, with every default filled in (unset optional values left out)."""
    return tomli_w.dumps(_without_none(asdict(config)))


def _apply(asked: dict[str, Any], change: str) -> None:
    key, separator, value = change.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"--set {change!r}: expected key=value, such as train.k=16")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()  # an unquoted word is text
    *sections, last = key.strip().split(".")
    for section in sections:
        asked = asked.setdefault(section, {})
        if not isinstance(asked, dict):
            raise ConfigError(f"--set {change!r}: {section} is no section")
    asked[last] = parsed


def _check_keys(kind: Any, asked: dict[str, Any], prefix: str, source: str) -> None:
    known = {f.name: f.type for f in fields(kind)}
    for key, value in asked.items():
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"; did you mean {prefix}{near[0]}?" if near else f"; known here: {', '.join(known)}"
            raise ConfigError(f"{source}: unknown key {prefix}{key}{hint}")
        if is_dataclass(known[key]):
            if not isinstance(value, dict):
                raise ConfigError(f"{source}: {prefix}{key} is {value!r}, expected a section [{prefix}{key}]")
            _check_keys(known[key], value, f"{prefix}{key}.", source)
        else:
            _check_value(known[key], value, f"{source}: {prefix}{key}")


def _check_value(kind: Any, value: Any, place: str) -> None:
    """Refuse what a cast would quietly take: text as a list of letters, true as the number 1."""
    if get_origin(kind) is dict and isinstance(value, dict):
        for name, inner in value.items():
            _check_value(get_args(kind)[1], inner, f"{place}.{name}")
    if get_origin(kind) is tuple and not isinstance(value, list | tuple):
        raise ConfigError(f"{place} is {value!r}, expected a list, such as [{value!r}]")
    if kind in (int, float) and isinstance(value, bool):
        raise ConfigError(f"{place} is {value!r}, expected {_kind(kind)}")


def _check(holds: bool, key: str, value: Any, expected: str) -> None:
    if not holds:
        raise ConfigError(f"{key} is {value!r}: expected {expected}")


def _kind(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(repr, get_args(kind)))}"
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return words.get(kind, str(kind))


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return list(value) if isinstance(value, tuple) else value
