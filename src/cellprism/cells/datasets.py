"""The data sets that cellprism knows how to get, with their origin, licence and checksum.

- Reading never touches the network; only ``fetch_dataset`` does, and it accepts nothing but the pinned bytes.
- Files lie in the folder named by CELLPRISM_DATA_DIR, by default the user's cache folder of cellprism.
- The bundled cells come with the package, counts and all; ``bundled/README.md`` says from where and how.
- The checksum of pbmc3k_raw.h5ad is not stated by scanpy. It is the one that several unrelated public
  projects record for their downloads from both addresses scanpy has used (falexwolf.de and
  exampledata.scverse.org), at 5,855,727 bytes.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import requests

from cellprism.cells.raw import suggestion
from cellprism.errors import CellprismError, CellsError, DamagedError
from cellprism.store.atomic import sha256
from cellprism.store.download import Progress, RemoteFile, cache_folder, download

DATA_DIR = "CELLPRISM_DATA_DIR"
BUNDLED = Path(__file__).parent / "bundled"


@dataclass(frozen=True)
class DataSet:
    """A public data set and where it comes from."""

    name: str
    """What to pass as ``source``."""
    description: str
    """What it is, in one line."""
    n_cells: int
    """Cells in the file."""
    n_genes: int
    """Genes in the file."""
    origin: str
    """Who published it."""
    licence: str
    """Under which terms."""
    filename: str
    """The file's name on disk."""
    sha256: str
    """Checksum that the file must have."""
    size: int
    """Its bytes."""
    url: str = ""
    """Where to fetch it; '' if it comes with the package."""
    labels: str | None = None
    """Column of ``obs`` with cell types."""
    totals: str | None = None
    """Column of ``obs`` with each cell's counts over all genes, where the file holds some of them."""
    note: str = ""
    """What a user should know of how it was made."""

    @property
    def bundled(self) -> bool:
        """Whether it comes with the package and needs no network."""
        return not self.url


DATASETS: dict[str, DataSet] = {
    d.name: d
    for d in (
        DataSet(
            name="bundled:pbmc68k",
            description="700 blood cells of one donor, 765 genes, counts recovered from logarithms",
            n_cells=700,
            n_genes=765,
            origin="10x Genomics, Fresh 68k PBMCs (Donor A), Zheng et al. 2017, by way of scanpy",
            licence="CC BY 4.0 (10x Genomics)",
            filename="pbmc68k.h5ad",
            sha256="444fc6bd757c63c0d72c9cc2a2f8a044b29b6b037902d4bd2ed594210187da55",
            size=399_240,
            labels="bulk_labels",
            totals="n_counts",
            note="counts were recovered from published logarithms; before rounding they were at most 0.082 from whole "
            "numbers. A cell's total is its n_counts, over all genes before 765 were chosen",
        ),
        DataSet(
            name="pbmc3k",
            description="2,700 blood cells of one donor, 32,738 genes, raw counts, no cell types",
            n_cells=2700,
            n_genes=32738,
            origin="10x Genomics, 3k PBMCs from a Healthy Donor, as published for scanpy.datasets.pbmc3k",
            licence="CC BY 4.0 (10x Genomics)",
            filename="pbmc3k_raw.h5ad",
            sha256="89a96f1beaa2dd83a687666d3f19a4513ac27a2a2d12581fcd77afed7ea653a1",
            size=5_855_727,
            url="https://exampledata.scverse.org/scanpy/pbmc3k_raw.h5ad",
        ),
    )
}


def data_folder() -> Path:
    """Where fetched data sets lie: CELLPRISM_DATA_DIR, or the user's cache folder of cellprism."""
    return Path(os.environ.get(DATA_DIR) or cache_folder()).expanduser()


def known_dataset(name: str) -> DataSet:
    """A data set by its name.

    Raises:
        CellsError: no such data set; the message lists what there is.
    """
    if name not in DATASETS:
        raise CellsError(name, [f"no such data set; {suggestion(name, list(DATASETS))}"])
    return DATASETS[name]


def dataset_file(dataset: DataSet) -> Path:
    """The file of a data set on this machine, checked against its checksum; never fetches.

    Raises:
        CellsError: it is not on this machine; the message says how to get it.
        DamagedError: it is there with other contents.
    """
    path = (BUNDLED if dataset.bundled else data_folder()) / dataset.filename
    if dataset.bundled:
        return _checked(path, dataset)
    if not path.is_file():
        raise CellsError(
            dataset.name,
            [f"not on this machine (looked for {path}); fetch it: cellprism data fetch {dataset.name}, "
             f"or pass the path of a copy (published at {dataset.url})"],
        )  # fmt: skip
    return _checked(path, dataset)


def fetch_dataset(dataset: DataSet, progress: Progress | None = None) -> Path:
    """Fetch a data set into the data folder, unless it is there, and return its file.

    What has come of a transfer that broke off is kept, and the next call goes on from there.

    Args:
        dataset: one of ``DATASETS``.
        progress: told of every piece that comes.

    Raises:
        CellprismError: the address cannot be reached.
        DamagedError: what came, or what is already there, has another checksum.
    """
    path = data_folder() / dataset.filename
    if dataset.bundled or path.is_file():
        return dataset_file(dataset)

    def refused(answer: requests.Response) -> Exception:
        return CellprismError(f"{dataset.url} answered {answer.status_code} {answer.reason}")

    try:
        download(dataset.url, RemoteFile(dataset.size, f"sha256:{dataset.sha256}"), path, refused, progress=progress)
    except DamagedError:
        raise
    except CellprismError as error:
        raise CellprismError(
            f"{dataset.name} could not be fetched ({error}); without a network, put a copy of {dataset.filename} at "
            f"{path} or pass its path"
        ) from error
    return path


def _checked(path: Path, dataset: DataSet) -> Path:
    if not path.is_file():
        raise DamagedError(f"{path} is missing, which belongs to the package; install cellprism again")
    if (found := sha256(path)) != dataset.sha256:
        fix = "install cellprism again" if dataset.bundled else f"remove it and run cellprism data fetch {dataset.name}"
        raise DamagedError(
            f"{path} is not the published {dataset.name} (SHA-256 {found}, expected {dataset.sha256}); {fix}, or pass "
            "its path if another file is meant"
        )
    return path
