"""From a source to a model: a bundled name, a folder or file, a model of the hub, or a family's own word for one.

- A family of models is an entry point in the group ``cellprism.models``: a module, or any object, with
  ``recognises(path)`` and ``load(path)``. Ours come in through the same door as anybody's.
- A folder or file belongs to the one family that recognises it. None or two is an error that lists what was found and
  what each family looks for.
- ``FAMILY:WHAT`` goes to that family without asking the others; ``WHAT`` need not be a path.
- Families are imported when they are first asked. One that lacks a library is told of only where it could matter.
"""

import os
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from inspect import signature
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from cellprism.errors import ModelError
from cellprism.models import hub
from cellprism.store.download import Progress
from cellprism.types import CellModel

GROUP = "cellprism.models"
BUNDLED = {
    "pbmc2": "small AIDO.Cell-style model trained on PBMC3K and PBMC4K (two donors), shipped with the package",
    "mini": "its predecessor, trained on hidden genes of PBMC3K alone, shipped with the package",
}
BUNDLED_FAMILY = "aido"
SHOWN = 12  # names of a folder's files in a message


@runtime_checkable
class Family(Protocol):
    """What an entry point offers.

    What else it may offer is in protocols of its own, below.
    """

    def recognises(self, path: Path) -> bool:
        """Whether a folder or file holds a model of this family; a look at names and settings, quick for any path."""
        ...

    def load(self, path: Path, **options: Any) -> CellModel:
        """The model in a folder or file; options are the family's own and all have defaults."""
        ...


@runtime_checkable
class StatesTokens(Protocol):
    """A family that says what its models' tokens are before one is loaded; else they are taken for genes."""

    TOKENS: str
    """``genes`` or ``cells``."""


@runtime_checkable
class NamesNoPath(Protocol):
    """A family whose models are named alone: WHAT of ``FAMILY:WHAT`` is never a file, whatever lies there."""

    NAMES_NO_PATH: bool


@runtime_checkable
class SaysWhatItLooksFor(Protocol):
    """A family that helps with messages."""

    LOOKS_FOR: str
    """What its models look like on disk, as in "a folder with args.json and vocab.json"."""


@runtime_checkable
class FetchesExtras(Protocol):
    """A family whose published folders do not hold all that a model needs."""

    def fetch_extras(self, folder: Path, offline: bool, progress: Progress | None) -> None:
        """Fetch what the model in a fetched folder needs besides."""
        ...


@runtime_checkable
class SavesModels(Protocol):
    """A family that can write what it loads."""

    def save(self, model: Any, folder: Path, card: Mapping[str, Any]) -> None:
        """Write a model of the family into a folder that ``load`` reads, with its card."""
        ...


@runtime_checkable
class OfFamily(Protocol):
    """A model that says which family's ``save`` writes it."""

    family: str
    """The name of its family's entry point."""


def families() -> dict[str, EntryPoint]:
    """The entry points of all installed families, by name; nothing is imported.

    Raises:
        ModelError: two packages give a family the same name.
    """
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        if entry.value != found.setdefault(entry.name, entry).value:
            both = f"{_package(found[entry.name])} and {_package(entry)}"
            raise ModelError(f"{both} both register a model family {entry.name!r}; uninstall one of them")
    return found


def family(name: str) -> Family:
    """A family by its name, imported.

    Raises:
        ModelError: no such family, a library that it needs is not installed, it cannot be imported, or is no family.
    """
    known = families()
    if name not in known:
        raise ModelError(f"no model family {name!r}; installed are {', '.join(sorted(known))}")
    entry = known[name]
    try:
        found = entry.load()
    except ModuleNotFoundError as error:
        raise _lacks(entry, error) from error
    except Exception as error:  # other people's code: a package that is broken must not stop the others
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ModelError(
            f"the model family {name!r} cannot be imported ({said}); update or uninstall {_package(entry)}"
        ) from error
    if not isinstance(found, Family):
        raise ModelError(
            f"{entry.value} of {_package(entry)} is registered as model family {name!r} but lacks recognises(path) or "
            "load(path)"
        )
    return found


def model_location(source: str | Path) -> str:
    """Where a model's files are: in the installed package for a bundled name, PATH for ``FAMILY:PATH``, else itself."""
    if str(source) in BUNDLED:
        return str(files("cellprism.models") / str(source))
    name, what = model_path(source)
    return what if what and (not name or Path(what).exists()) else str(source)


def model_path(source: str | Path) -> tuple[str, str]:
    """A family, where one is named, and the path that a source gives, ``~`` being the home folder; the path is empty
    where the source names none: a bundled model, one of the hub, or one that its family knows by name alone."""
    name, what = _split(source)
    if str(source) in BUNDLED or str(source).startswith(hub.SCHEME) or (name and _names_no_path(name)):
        return name, ""
    return name, what


def _names_no_path(name: str) -> bool:
    try:
        return isinstance(family(name), NamesNoPath)
    except ModelError:  # whatever loads the model will say what is wrong
        return False


def load_model(
    source: str | Path, *, offline: bool = False, progress: Progress | None = None, **options: Any
) -> CellModel:
    """Load a model.

    Args:
        source: a bundled name (``pbmc2``, ``mini``); a model folder or file; ``hf://owner/name@REVISION``, with the 40
            digits of a commit; or ``FAMILY:WHAT``, where WHAT is a path or what else the family understands.
        offline: take models of the hub from the cache alone.
        progress: told of every piece of a model that is fetched.
        options: the family's own, such as ``gene_subset=True`` for AIDO.Cell.

    Raises:
        ModelError: no such model, no family or several that recognise it, or a library it needs is not installed.
        DamagedError: its files are truncated or altered.
        CellprismError: the hub cannot be reached.

    >>> import cellprism as cp
    >>> cp.load_model("pbmc2")  # doctest: +ELLIPSIS
    AidoCell(name pbmc2, revision sha256:..., blocks 3, dimensions 64, genes 3,060, tokens genes, predicts expression)
    """
    if not isinstance(source, str | Path):
        raise ModelError(f"the model is {source!r:.60}, a {type(source).__name__}; expected a name or a path")
    if str(source) in BUNDLED:
        return _load(BUNDLED_FAMILY, Path(model_location(source)), options)
    if str(source).startswith(hub.SCHEME):
        # offline, what is missing beside the weights may yet be given as an option
        path = hub.fetch(hub.parse(str(source)), offline) if offline else fetch_model(str(source), progress=progress)
        return _load(recognised(path), path, options)
    name, what = _split(source)
    if not name and _is_there(what):
        return _load(recognised(Path(what)), Path(what), options)
    if not name:
        raise ModelError(
            f"no model {str(source)!r}: expected one of {', '.join(BUNDLED)}, a model folder, or a .safetensors file "
            f"or other file of a model, {hub.SCHEME}owner/name@COMMIT, or FAMILY:PATH with a family of "
            f"{', '.join(sorted(families()))}"
        )
    return _load(name, Path(what), options)


def tokens_of(source: str | Path) -> str:
    """What the tokens of a model are, ``genes`` or ``cells``, told from its family without loading it.

    ``genes`` where no family can be told: whatever loads the model will say what is wrong.
    """
    name, what = _split(source)
    try:
        if not name and Path(what).exists():
            name = recognised(Path(what))
        found = family(name) if name in families() else None
    except ModelError:
        return "genes"
    return found.TOKENS if isinstance(found, StatesTokens) else "genes"


def fetch_model(source: str, *, offline: bool = False, progress: Progress | None = None) -> Path:
    """The local folder of a model of the hub with all that its family needs, fetched as far as it is not there.

    Args:
        source: ``hf://owner/name@REVISION``.
        offline: use the cache alone.
        progress: told of every piece that comes.

    Raises:
        ModelError: no such model, offline and not in the cache, or no family recognises it.
        DamagedError: another file came than was announced.
        CellprismError: the hub cannot be reached.
    """
    path = hub.fetch(hub.parse(source), offline, progress=progress)
    one = family(recognised(path))
    if isinstance(one, FetchesExtras):
        one.fetch_extras(path, offline, progress)
    return path


def save_model(model: CellModel, folder: str | Path, card: Mapping[str, Any] | None = None) -> None:
    """Write a model into a folder that ``load_model`` reads.

    Args:
        model: a model of a family that writes what it loads.
        folder: made if need be; files of the same names are replaced.
        card: origin and measures in plain JSON values; by default the model's own card.

    Raises:
        ModelError: the model does not say of which family it is, or the family writes no models.

    >>> import cellprism as cp
    >>> cp.save_model(cp.load_model("mini"), "copy")
    >>> cp.load_model("copy").name
    'mini'
    """
    if not isinstance(model, OfFamily):
        raise ModelError(f"{model.name!r} does not say of which family it is (member family): nothing can write it")
    one = family(model.family)
    if not isinstance(one, SavesModels):
        raise ModelError(f"the family {model.family!r} writes no models; keep the files that {model.name!r} is from")
    one.save(model, Path(folder), model.card if card is None else card)


def looks_for(one: Family) -> str:
    """What models of a family look like on disk."""
    return one.LOOKS_FOR if isinstance(one, SaysWhatItLooksFor) else "it does not say"


def recognised(path: Path) -> str:
    """Name of the one family that recognises a folder or file.

    Raises:
        ModelError: none or several do; the message lists what was found and what each looks for.
    """
    claims, looked = _claims(path)
    if len(claims) > 1:
        choices = " or ".join(f"{name}:{path}" for name in claims)
        raise ModelError(f"{path} could be of the families {' and '.join(claims)}; say which: {choices}")
    if not claims:
        wanted = "".join(f"\n  - {line}" for line in looked)
        raise ModelError(f"no model family recognises {path}: found {_contents(path)}; each looks for{wanted}")
    return claims[0]


def holds_model(path: Path) -> bool:
    """Whether any family recognises a folder or file."""
    return len(_claims(path)[0]) > 0


def _claims(path: Path) -> tuple[list[str], list[str]]:
    """The families that recognise a path, and what each looks for."""
    claims, looked = [], []
    for name in sorted(families()):
        try:
            one = family(name)
        except ModelError as error:
            looked.append(f"{name}: did not look ({error})")
            continue
        looked.append(f"{name}: {looks_for(one)}")
        if one.recognises(path):
            claims.append(name)
    return claims, looked


def _load(name: str, path: Path, options: dict[str, Any]) -> CellModel:
    one = family(name)
    try:
        signature(one.load).bind(path, **options)
    except TypeError as error:
        given = ", ".join(options)
        raise ModelError(f"models of the family {name!r} do not take these options ({given}): {error}") from error
    try:
        return one.load(path, **options)
    except ModuleNotFoundError as error:  # heavy libraries are imported only now
        raise _lacks(families()[name], error) from error


def _split(source: str | Path) -> tuple[str, str]:
    """(family, what) of ``FAMILY:WHAT``, family '' for anything else; ``~`` is the home folder."""
    name, colon, what = str(source).partition(":")
    named = bool(colon) and name in families() and not _is_there(str(source))
    return (name, os.path.expanduser(what)) if named else ("", os.path.expanduser(source))  # noqa: PTH111 - a text


def _is_there(name: str) -> bool:
    """Whether a text is the path of something; what no path can be is none."""
    try:
        return bool(name) and Path(name).exists()
    except OSError:
        return False


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "an unnamed package"


def _lacks(entry: EntryPoint, error: ModuleNotFoundError) -> ModelError:
    """The error for a family whose libraries are not there; an extra of the family's name is what brings them."""
    package, missing = _package(entry), str(error.name)
    if missing.split(".")[0] == entry.module.split(".")[0]:
        return ModelError(f"{missing} of model family {entry.name!r} is not there; install {package} again")
    extras = entry.dist.metadata.get_all("Provides-Extra") or () if entry.dist is not None else ()
    fix = f'pip install "{package}[{entry.name}]"' if entry.name in extras else f"pip install {missing}"
    return ModelError(f"the model family {entry.name!r} of {package} needs {missing}, which is not installed: {fix}")


def _contents(path: Path) -> str:
    if path.is_file():
        return f"a file of {path.stat().st_size:,} bytes"
    if not path.is_dir():
        return "neither a file nor a folder"
    names = sorted(p.name for p in path.iterdir())
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "an empty folder") + more
