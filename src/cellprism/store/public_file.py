"""Files that anybody may fetch, by name: whole and with the checksum that is pinned, or not there.

- Reading never touches the network; only ``fetch_file`` does, and it accepts nothing but the pinned bytes.
- Files lie in the folder named by CELLPRISM_DATA_DIR, by default the user's cache folder of cellprism.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import requests

from cellprism.errors import CellprismError, DamagedError
from cellprism.store.download import Progress, RemoteFile, cache_folder, download
from cellprism.store.identity import hash_of

DATA_DIR = "CELLPRISM_DATA_DIR"


@dataclass(frozen=True, kw_only=True)
class PublicFile:
    """A public file and where it comes from."""

    name: str
    """What to call it here."""
    description: str
    """What it is, in one line."""
    origin: str
    """Who published it."""
    licence: str
    """Under which terms."""
    filename: str
    """The file's name on disk."""
    sha256: str
    """Checksum that the file must have."""
    size: int = 0
    """Its bytes; 0 where only the checksum is known."""
    url: str = ""
    """Where to fetch it; '' if it comes with the package."""

    def not_here(self) -> str:
        """That it is not on this machine, and how to get it."""
        return (
            f"not on this machine (looked for {data_folder() / self.filename}); fetch it: cellprism data fetch "
            f"{self.name}, or pass the path of a copy (published at {self.url})"
        )


def data_folder() -> Path:
    """Where fetched files lie: CELLPRISM_DATA_DIR, or the user's cache folder of cellprism."""
    return Path(os.environ.get(DATA_DIR) or cache_folder()).expanduser()


def local_file(file: PublicFile) -> Path | None:
    """A fetched file on this machine, checked against its checksum; None where it is not.

    Raises:
        DamagedError: it is there with other contents.
    """
    path = data_folder() / file.filename
    if not path.is_file():
        return None
    if (found := hash_of(path)) != file.sha256:
        raise DamagedError(
            f"{path} is not the published {file.name} (SHA-256 {found}, expected {file.sha256}); remove it and run "
            f"cellprism data fetch {file.name}, or pass its path if another file is meant"
        )
    return path


def fetch_file(file: PublicFile, progress: Progress | None = None) -> Path:
    """Fetch a file into the data folder, unless it is there, and return its path.

    What has come of a transfer that broke off is kept, and the next call goes on from there.

    Args:
        file: what to fetch.
        progress: told of every piece that comes.

    Raises:
        CellprismError: the address cannot be reached.
        DamagedError: what came, or what is already there, has another checksum.
    """
    if (found := local_file(file)) is not None:
        return found
    path = data_folder() / file.filename

    def refused(answer: requests.Response) -> Exception:
        return CellprismError(f"{file.url} answered {answer.status_code} {answer.reason}")

    try:
        download(file.url, RemoteFile(file.size, f"sha256:{file.sha256}"), path, refused, progress=progress)
    except DamagedError:
        raise
    except CellprismError as error:
        raise CellprismError(
            f"{file.name} could not be fetched ({error}); without a network, put a copy of {file.filename} at "
            f"{path} or pass its path"
        ) from error
    return path
