"""What a run is asked to do: one TOML file, a section per study, every key settable on the command line.

The file is checked once, as a whole, when it is read: unknown keys, wrong types and impossible values are one message
each, and name the key. ``run.toml`` in the run folder is this configuration with all defaults filled in. Files are
named in both as seen from where they lie (``store.place``), so that a configuration moves together with what it names.
"""

import os
import re
import tomllib
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, field, fields, is_dataclass, make_dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import dacite
import tomli_w

from cellprism.display import command
from cellprism.errors import ConfigError, RunError
from cellprism.models.registry import tokens_of
from cellprism.store.place import as_given, beside
from cellprism.store.run import SETTINGS, Run
from cellprism.studies.common import CommonConfig
from cellprism.studies.study import studies
from cellprism.workflow.published import published
from cellprism.workflow.sources import moved_names

WHOLE_CELLS: dict[str, Any] = {
    "layer": 0,
    "train": {"centring": "global", "k": 3, "batch_size": 256, "epochs": 200},
    "steer": {"cells": 400, "doses": {"strengths": (-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0), "judged_at": 1.0}},
}
"""Defaults made for models that read a cell as a whole: two thousand steps on 2,700 cells; few features make up a
vector, and one made five times as strong leaves all cells behind."""

LARGEST = 1_000_000  # bytes; a configuration has some thousands
DEEPEST = 16  # parts of a key; no section lies deeper than three
PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+"""
ENDLESS_KEY = re.compile(rf"""(?<![\w-])(?:{PART}\.[ \t]*+){{{DEEPEST}}}""", re.ASCII)

Changes = Sequence[str | tuple[str, Any]]
"""Changes of keys: ``key=value`` as somebody types it, or a key with its value."""


@cache
def run_config() -> Any:
    """The dataclass of a whole configuration: the common keys, and a section for each installed study."""
    sections = [(s.name, s.Settings, field(default_factory=s.Settings)) for s in studies().values()]
    kind = make_dataclass("RunConfig", sections, bases=(CommonConfig,), frozen=True)
    kind.__doc__ = CommonConfig.__doc__
    return kind


def read_config(path: Path, changes: Changes = ()) -> CommonConfig:
    """Read a configuration and apply ``key=value`` changes such as ``train.k=16``.

    A key ``preset`` stands for the settings of the work of that name, which all other keys change. Files are looked for
    beside the configuration; those that changes name, from the working directory.

    Raises:
        ConfigError: no such file, not TOML, too large, an unknown key, or a value of the wrong type or out of range.
    """
    try:
        asked = tomllib.loads(_text(path))
    except FileNotFoundError:
        raise ConfigError(f"no configuration at {path}; write one, or start from the example in the README") from None
    except (IsADirectoryError, RecursionError, ValueError) as error:  # ValueError: no TOML, no text, endless numbers
        raise ConfigError(f"{path} is not TOML: {error}") from error
    folder = Path(os.path.relpath(path.parent))  # so that what was given as relative stays so
    asked = moved_names(run_config(), asked, lambda name: beside(name, folder))
    try:
        return make_config(asked, changes, str(path))
    except RecursionError as error:
        raise ConfigError(f"{path} is nested too deep for a configuration") from error


def _text(path: Path) -> str:
    """What a configuration holds, where it can be read in no time.

    Raises:
        ConfigError: it is longer than any configuration, or has keys in so many parts that reading them takes minutes.
    """
    if path.stat().st_size > LARGEST:
        raise ConfigError(
            f"{path} has {path.stat().st_size / 1e6:,.1f} MB, which no configuration has (at most "
            f"{LARGEST / 1e6:,.0f} MB); give the TOML file of a run"
        )
    text = path.read_text(encoding="utf-8-sig")
    if deep := ENDLESS_KEY.search(text):
        line = text.count("\n", 0, deep.start()) + 1
        raise ConfigError(f"{path}, line {line}: a key has more than {DEEPEST} parts joined by dots; none here has")
    return text


def make_config(asked: dict[str, Any], changes: Changes = (), source: str = "the configuration") -> CommonConfig:
    """A checked configuration from nested settings and changes.

    Raises:
        ConfigError: an unknown key, or a value of the wrong type or out of range.
    """
    asked = deepcopy(asked)
    for change in changes:
        _apply(asked, change)
    named = published(asked.pop("preset")) if "preset" in asked else None
    _check_keys(run_config(), asked, "", source)
    model = asked.get("model", CommonConfig.model)
    asked = _filled(asked, defaults_of(model if isinstance(model, str) else "", named))
    return _built(run_config(), asked, source)


def changed_settings(settings: Any, changes: Changes) -> Any:
    """A dataclass of settings with changes, such as ``cells=1000``.

    Raises:
        ConfigError: an unknown key, or a value of the wrong type or out of range.
    """
    asked = asdict(settings)
    for change in changes:
        _apply(asked, change)
    _check_keys(type(settings), asked, "", "--set")
    return _built(type(settings), asked, "--set")


def _built(kind: Any, asked: dict[str, Any], source: str) -> Any:
    """A dataclass from settings whose keys are known."""
    try:
        return dacite.from_dict(kind, asked, dacite.Config(cast=[tuple], type_hooks={float: _number}))
    except dacite.MissingValueError as error:
        raise ConfigError(f"{source} does not say {error.field_path!r}, which has no default") from error
    except dacite.WrongTypeError as error:
        raise ConfigError(
            f"{source}: {error.field_path} is {error.value!r}, expected {_kind(error.field_type)}"
        ) from error


def defaults_of(model: str, preset: dict[str, Any] | None = None) -> dict[str, Any]:
    """What is set where nothing is said, as far as it differs from the sections' own defaults.

    Residuals of genes are centred per gene; a model that reads a cell as a whole has one layer and one token a cell, so
    few tokens, and of few features: it takes small batches, many epochs, few features at a time and small doses.

    Args:
        model: the run's model.
        preset: settings of published work, whose sections replace those made for the kind of model.
    """
    whole = tokens_of(model) == "cells"
    found: dict[str, Any] = WHOLE_CELLS if whole else {"train": {"centring": "group"}}
    return {**found, **(preset or {})}


def _filled(asked: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """What was asked, and the defaults where nothing was."""
    found = {**defaults, **asked}
    for key, default in defaults.items():
        if isinstance(default, dict) and isinstance(asked.get(key), dict):
            found[key] = _filled(asked[key], default)
    return found


def section(config: CommonConfig, study: str) -> Any:
    """The settings of one study."""
    return getattr(config, study)


def config_of(run: Run, changes: Changes = ()) -> CommonConfig:
    """The configuration that a run was made with, with changes.

    Raises:
        RunError: the folder has no run.toml.
        ConfigError: it holds what this version does not know, or a change is not valid.
    """
    path = run.folder / SETTINGS
    if not path.is_file():
        again = command("train", "CELLS", "--out", run.folder)
        raise RunError(f"{run.folder} has no {SETTINGS}; start it again with: {again}")
    try:
        config = read_config(path)
    except ConfigError as error:
        raise ConfigError(
            f"{error}. That file was written by the run itself: where another version of cellprism made it, remove "
            f"what is named here from {path} and give the same command again"
        ) from error
    return read_config(path, changes) if changes else config


def changed(folder: Path, changes: Changes) -> CommonConfig | None:
    """The configuration of an existing run with changes; None where nothing is changed.

    Raises:
        RunError: there is no run.
        ConfigError: a change is not valid.
    """
    return config_of(Run.existing(folder), changes) if changes else None


def write_config(config: CommonConfig, folder: Path | None = None) -> str:
    """The configuration as TOML, with every default filled in (unset optional values left out).

    ``folder``: where it will lie; files are then named as seen from there.
    """
    return tomli_w.dumps(_without_none(asdict(config) if folder is None else given(config, folder)))


def given(config: CommonConfig, folder: Path) -> dict[str, Any]:
    """Every key with its value, files named as seen from a folder."""
    return moved_names(type(config), asdict(config), lambda name: as_given(name, folder))


def _apply(asked: dict[str, Any], change: str | tuple[str, Any]) -> None:
    key, value = _typed(change) if isinstance(change, str) else change
    *sections, last = key.split(".")
    for section in sections:
        asked = asked.setdefault(section, {})
        if not isinstance(asked, dict):
            raise ConfigError(f"--set {change!r}: {section} is no section")
    asked[last] = value


def _typed(change: str) -> tuple[str, Any]:
    """A key and its value: TOML where it is TOML, else the text as it stands."""
    key, separator, value = change.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"--set {change!r}: expected key=value, such as train.k=16")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def _check_keys(kind: Any, asked: dict[str, Any], prefix: str, source: str) -> None:
    known = {f.name: f.type for f in fields(kind)}
    for key, value in asked.items():
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"; did you mean {prefix}{near[0]}?" if near else f"; known here: {', '.join(known)}"
            if isinstance(value, dict) and not prefix:
                hint += "; if it is the section of a study, install that study"
            raise ConfigError(f"{source}: unknown key {prefix}{key}{hint}")
        if is_dataclass(known[key]):
            if not isinstance(value, dict):
                raise ConfigError(f"{source}: {prefix}{key} is {value!r}, expected a section [{prefix}{key}]")
            _check_keys(known[key], value, f"{prefix}{key}.", source)
        else:
            _check_value(known[key], value, f"{source}: {prefix}{key}")


def _check_value(kind: Any, value: Any, place: str) -> None:
    """Refuse what a cast would quietly take: text as a list of letters, true as the number 1."""
    if get_origin(kind) is dict and not isinstance(value, dict):
        raise ConfigError(f"{place} is {value!r}, expected a section of its own, with a list for each name")
    if get_origin(kind) is dict:
        for name, inner in value.items():
            _check_value(get_args(kind)[1], inner, f"{place}.{name}")
    if get_origin(kind) is tuple and not isinstance(value, list | tuple):
        raise ConfigError(f"{place} is {value!r}, expected a list, such as [{value!r}]")
    if kind in (int, float) and isinstance(value, bool):
        raise ConfigError(f"{place} is {value!r}, expected {_kind(kind)}")


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
