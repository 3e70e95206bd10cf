"""Models from the Hugging Face hub: pinned revisions, verified bytes, a cache that a reader never finds half-filled.

- A source is ``hf://owner/name@REVISION``, the 40 hexadecimal digits of a commit, and ``#subfolder`` where a repository
  holds several models. A branch may mean something else tomorrow, so branches and tags are refused.
- Two of the hub's addresses are enough, the list of a revision's files and the bytes of one, so this speaks to them
  with requests. huggingface_hub would bring a second HTTP library, and what it compares after a transfer over HTTP is
  the size: the contents would have to be checked here all the same.
- Every file is checked against what the hub states: SHA-256 for files in its large-file storage, git's own object id
  for the small ones. The checksum, not the server that answered, decides whether a file is kept.
- A revision never changes, so a cached file whose checksum is right is used without asking the network.
- ``HF_ENDPOINT`` names another hub, ``HF_TOKEN`` opens gated repositories and is sent to the hub alone.
"""

import fcntl
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import requests

from cellprism.errors import CellprismError, ModelError
from cellprism.store.atomic import read_json, sha256, write_json
from cellprism.store.download import Progress, RemoteFile, download, get
from cellprism.store.download import cache_folder as user_cache

SCHEME = "hf://"
HUB = "https://huggingface.co"
CACHE = "CELLPRISM_CACHE"
LISTING, PROVENANCE, LOCK = ".listing.json", "provenance.json", ".lock"

MODEL_FILES = ("*.json", "*.safetensors", "*.tsv", "README.md", "LICENSE*", "NOTICE*")
"""What is fetched of a model's folder."""
PICKLED = ("pytorch_model.bin", "pytorch_model-*.bin")
"""What is fetched in place of safetensors where a folder has none; families load it with ``weights_only``."""

KNOWN_LICENCES = {
    "genbio-ai": "GenBio AI Community License: non-commercial use only; it covers what the model puts out too, its "
    "activations and embeddings among that, and forbids training similar models on it"
}
"""By owner, licences that the hub's metadata call nothing but "other"."""


@dataclass(frozen=True)
class HubSource:
    """One model at one commit of a repository."""

    repository: str
    """owner/name."""
    revision: str
    """The commit, 40 hexadecimal digits."""
    subfolder: str = ""
    """The model's folder in the repository, '' for the whole."""

    def __post_init__(self):
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", self.repository):
            raise ModelError(f"{self.repository!r} is no repository of the hub; expected owner/name")
        if not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            found = f"{self.revision!r} is no pinned revision" if self.revision else "no revision is given"
            raise ModelError(
                f"{SCHEME}{self.repository}: {found}; branches, tags and shortened commits may come to mean other "
                f"weights. Pick a commit at {endpoint()}/{self.repository}/commits/main and write all of its 40 "
                f"digits: {SCHEME}{self.repository}@COMMIT"
            )
        if self.subfolder and not all(re.fullmatch(r"[A-Za-z0-9][\w.-]*", p) for p in self.subfolder.split("/")):
            raise ModelError(f"{self.subfolder!r} is no folder of a repository; expected a name such as model/small")

    def __str__(self) -> str:
        return f"{SCHEME}{self.repository}@{self.revision}" + (f"#{self.subfolder}" if self.subfolder else "")


@dataclass(frozen=True)
class HubFacts:
    """What the hub says of a repository at a revision."""

    licence: str
    """As the repository states it, or as we know it; ``unknown`` where it says nothing."""
    gated: bool
    """Whether its terms must be accepted on the hub, and HF_TOKEN be set, before it can be fetched."""
    files: Mapping[str, RemoteFile]
    """Every file of the repository, by its path."""


def parse(source: str) -> HubSource:
    """Read ``hf://owner/name@REVISION`` with an optional ``#subfolder``.

    Raises:
        ModelError: it is not of that form, or names a branch, a tag or a shortened commit.
    """
    found = re.fullmatch(rf"{SCHEME}([^@#]+)(?:@([^#]*))?(?:#(.*))?", source)
    if not found:
        raise ModelError(f"{source!r} is no model of the hub; expected {SCHEME}owner/name@REVISION")
    return HubSource(found[1], found[2] or "", found[3] or "")


def endpoint() -> str:
    """The hub's address: HF_ENDPOINT, or the public one."""
    return (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")


def cache_folder() -> Path:
    """Where what was fetched is kept: CELLPRISM_CACHE, or the platform's cache folder of cellprism."""
    return Path(os.environ.get(CACHE) or user_cache()).expanduser()


def licence(source: HubSource, offline: bool = False) -> str:
    """The model's licence, to be shown before anything is fetched; asks the hub only where it is not known already.

    Raises:
        ModelError: offline and unknown, or the hub does not have such a revision.
        CellprismError: the hub cannot be reached.
    """
    return KNOWN_LICENCES.get(source.repository.split("/")[0]) or facts(source, offline).licence


def facts(source: HubSource, offline: bool = False) -> HubFacts:
    """What the hub says of the repository at this revision: licence, gate, every file with size and checksum.

    Raises:
        ModelError: no such repository or revision, it has moved, it is gated, or offline and never asked before.
        DamagedError: the record of an earlier answer is damaged.
        CellprismError: the hub cannot be reached or gives no sense.
    """
    record = _snapshot(source) / LISTING
    if record.is_file():
        said = read_json(record)
        return HubFacts(said["licence"], said["gated"], {n: RemoteFile(**f) for n, f in said["files"].items()})
    if offline:
        raise _not_cached(source, "nothing of it has been fetched")
    found = _ask(source)
    write_json(record, asdict(found))
    return found


def fetch(
    source: HubSource,
    offline: bool = False,
    names: Sequence[str] = MODEL_FILES,
    progress: Progress | None = None,
) -> Path:
    """The local folder of a model of the hub, fetched as far as it is not in the cache; each file is checked.

    Beside the files lies ``provenance.json``: repository, revision, subfolder, endpoint, licence, time of the fetch
    and the SHA-256 of every file.

    Args:
        source: the model.
        offline: use the cache alone.
        names: patterns of the files wanted; with the default, pickled weights are fetched where there are no others.
        progress: told of every piece that comes.

    Raises:
        ModelError: no such model, it is gated or has moved, or offline and not (wholly) in the cache.
        DamagedError: another file came than the hub had announced.
        CellprismError: the hub cannot be reached or broke off.
    """
    found = facts(source, offline)
    wanted = _wanted(found.files, source, names)
    folder = _snapshot(source) / source.subfolder
    lacking = [name for name, file in wanted.items() if not file.matches(folder / name)]
    if offline and lacking:
        there = "has been altered" if (folder / lacking[0]).is_file() else "is not among what was fetched"
        raise _not_cached(source, f"{lacking[0]} {there}")
    if lacking or not (folder / PROVENANCE).is_file():
        with _alone(_snapshot(source)):
            for name in lacking:
                if not wanted[name].matches(folder / name):  # another process may have fetched it by now
                    _fetch_file(source, name, wanted[name], folder / name, progress)
            _record(source, found, folder, wanted)
    return folder


def provenance(folder: Path) -> dict[str, Any] | None:
    """What is recorded of where a model's folder came from; None for a folder that was not fetched.

    Raises:
        DamagedError: the record cannot be read.
    """
    return read_json(folder / PROVENANCE) if (folder / PROVENANCE).is_file() else None


def origin(folder: Path) -> dict[str, Any] | None:
    """Name, revision, licence and source of a model's folder that was fetched, for its card; None for another.

    Raises:
        DamagedError: the record cannot be read.
    """
    said = provenance(folder)
    if said is None:
        return None
    return {
        "name": "/".join(part for part in (said["repository"], said["subfolder"]) if part),
        "revision": said["revision"],
        "licence": said["licence"],
        "source": f"{said['endpoint']}/{said['repository']}, fetched {said['fetched']}",
    }


def licence_of(folder: Path) -> str:
    """The licence of a model's folder: as recorded when it was fetched, or as the README in it states; '' for neither.

    Raises:
        DamagedError: the record cannot be read.
    """
    said = provenance(folder)
    if said is not None:
        return said["licence"]
    readme = folder / "README.md"
    if not readme.is_file():
        return ""
    front = re.match(r"---\s*\n(.*?)\n---", readme.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    lines = re.findall(r"^(license\w*):[ \t]*(\S.*)$", front[1] if front else "", re.MULTILINE)
    return _stated({name: value.strip("'\" ") for name, value in lines})


def _stated(card: Mapping[str, Any]) -> str:
    """The licence in a model card's front matter, by its own name where it is "other"; '' if it states none."""
    name = card.get("license_name") or card.get("license") or ""
    link = card.get("license_link")
    return f"{name} ({link})" if name and link else str(name)


def _snapshot(source: HubSource) -> Path:
    return cache_folder() / "hub" / source.repository.replace("/", "--") / source.revision


def _not_cached(source: HubSource, what: str) -> ModelError:
    return ModelError(
        f"{source} is not in the cache at {cache_folder()}: {what}; fetch it once with a network "
        f"(cellprism models fetch {source}), or pass the path of a copy"
    )


def _ask(source: HubSource) -> HubFacts:
    url = f"{endpoint()}/api/models/{source.repository}/revision/{source.revision}?blobs=true"
    with get(url, _token()) as answer:
        if answer.status_code != 200:
            raise _refused(source, answer)
        try:
            said = answer.json()
            moved, commit, siblings = said["id"], said["sha"], said["siblings"]
            files = {s["rfilename"]: _remote_file(s) for s in siblings}
        except (requests.RequestException, KeyError, TypeError) as error:
            raise CellprismError(
                f"{url} did not answer as the hub does (content type {answer.headers.get('Content-Type')}); a login "
                "page or a proxy may stand between: check HF_ENDPOINT and the network"
            ) from error
    if moved != source.repository or commit != source.revision:
        raise ModelError(
            f"{source} is now {SCHEME}{moved}@{commit}; if that is what you mean, ask for it by its new name"
        )
    card = said.get("cardData") or {}
    owner = source.repository.split("/")[0]
    known = KNOWN_LICENCES.get(owner) or _stated(card) or "unknown"
    return HubFacts(known, bool(said.get("gated")), files)


def _remote_file(sibling: Mapping[str, Any]) -> RemoteFile:
    large = sibling.get("lfs")
    if large:
        return RemoteFile(large["size"], f"sha256:{large['sha256']}")
    return RemoteFile(sibling["size"], f"git:{sibling['blobId']}")


def _token() -> str:
    return os.environ.get("HF_TOKEN", "").strip()


def _refused(source: HubSource, answer: requests.Response) -> Exception:
    """The error for an answer of the hub that is no success; the hub names the reason in a header."""
    reason = answer.headers.get("X-Error-Code", "")
    if answer.status_code in (401, 403):
        token = "HF_TOKEN opens no door there" if _token() else "HF_TOKEN is not set"
        return ModelError(
            f"{source}: the hub refuses access ({answer.status_code} {reason}); {token}. Either there is no such "
            f"repository, or it is private or gated: accept its terms at {endpoint()}/{source.repository} and set "
            "HF_TOKEN to a token of yours that may read it"
        )
    if answer.status_code == 404 and reason == "EntryNotFound":
        return ModelError(
            f"{source}: {answer.url.split('?')[0]} is not there any more; choose another revision, or pass the path of "
            "a copy"
        )
    if answer.status_code == 404:
        what = "revision" if reason == "RevisionNotFound" else "repository"
        return ModelError(
            f"{source}: the hub has no such {what}; look it up at {endpoint()}/{source.repository}/commits/main"
        )
    return CellprismError(
        f"{source}: {endpoint()} answered {answer.status_code} {answer.reason}; try again later, or work offline with "
        "what is in the cache"
    )


def _wanted(files: Mapping[str, RemoteFile], source: HubSource, names: Sequence[str]) -> dict[str, RemoteFile]:
    """The files of the model's own folder that are to be fetched, by name.

    Raises:
        ModelError: there is no such file; the message says where there are some.
    """
    prefix = f"{source.subfolder}/" if source.subfolder else ""
    here = {n.removeprefix(prefix): f for n, f in files.items() if n.startswith(prefix)}
    here = {n: f for n, f in here.items() if re.fullmatch(r"[^./\\][^/\\]*", n) and n != PROVENANCE}
    whole = tuple(names) == MODEL_FILES
    if whole and not any(n.endswith(".safetensors") for n in here):
        names = (*MODEL_FILES, *PICKLED)
    wanted = {n: f for n, f in here.items() if any(fnmatch(n, pattern) for pattern in names)}
    if not wanted or (whole and not any(n.endswith((".safetensors", ".bin")) for n in wanted)):
        lacking = "weights" if whole else f"files named {', '.join(names)}"
        folders = sorted({n.rpartition("/")[0] for n in files if "/" in n and n.endswith((".safetensors", ".bin"))})
        fix = (
            f"name one of its folders, such as {str(source).partition('#')[0]}#{folders[0]}"
            if folders
            else ("choose another repository or revision")
        )
        raise ModelError(f"{source} holds no {lacking}; found {', '.join(sorted(here)) or 'nothing'}; {fix}")
    return wanted


def _fetch_file(source: HubSource, name: str, file: RemoteFile, target: Path, progress: Progress | None) -> None:
    path = f"{source.subfolder}/{name}" if source.subfolder else name
    url = f"{endpoint()}/{source.repository}/resolve/{source.revision}/{path}"
    download(url, file, target, lambda answer: _refused(source, answer), _token(), progress)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process fetches into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _record(source: HubSource, found: HubFacts, folder: Path, wanted: Mapping[str, RemoteFile]) -> None:
    """Add files to the provenance of a folder; the time is that of the last fetch."""
    known = (provenance(folder) or {}).get("files", {})
    files = {name: {"size": file.size, "sha256": sha256(folder / name)} for name, file in wanted.items()}
    fetched = datetime.now(UTC).isoformat(timespec="seconds")
    said = asdict(source) | {"endpoint": endpoint(), "licence": found.licence, "fetched": fetched}
    write_json(folder / PROVENANCE, said | {"files": known | files})
