"""The data sets that cellprism knows how to get, with their origin, licence and checksum.

- Reading never touches the network; only ``fetch_dataset`` does, and it accepts nothing but the pinned bytes.
- Files lie in the folder named by CELLPRISM_DATA_DIR, by default pooch's cache folder of cellprism.
- The checksum of pbmc3k_raw.h5ad is not stated by scanpy. It is the one that several unrelated public
  projects record for their downloads from both addresses scanpy has used (falexwolf.de and
  exampledata.scverse.org), at 5,855,727 bytes.
"""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pooch
from requests.exceptions import RequestException

from cellprism.cells.raw import suggestion
from cellprism.errors import CellprismError, CellsError, DamagedError

DATA_DIR = "CELLPRISM_DATA_DIR"


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
    """Checksum that the file must have; '' if its contents are verified as they are read."""
    url: str = ""
    """Where to fetch it; '' if it comes with an installed package."""
    labels: str | None = None
    """Column of ``obs`` with cell types."""

    @property
    def bundled(self) -> bool:
        """Whether it comes with an installed package and needs no network."""
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
            licence="CC BY 4.0 (10x Genomics); the file comes with scanpy, BSD-3-Clause",
            filename="10x_pbmc68k_reduced.h5ad",
            sha256="",
            labels="bulk_labels",
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
            url="https://exampledata.scverse.org/scanpy/pbmc3k_raw.h5ad",
        ),
    )
}


def data_folder() -> Path:
    """Where fetched data sets lie: CELLPRISM_DATA_DIR, or pooch's cache folder of cellprism."""
    return Path(os.environ.get(DATA_DIR) or pooch.os_cache("cellprism")).expanduser()


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
    path = _bundled_file(dataset) if dataset.bundled else data_folder() / dataset.filename
    if not path.is_file():
        raise CellsError(
            dataset.name,
            [f"not on this machine (looked for {path}); fetch it: cellprism data fetch {dataset.name}, "
             f"or pass the path of a copy (published at {dataset.url})"],
        )  # fmt: skip
    return _checked(path, dataset)


def fetch_dataset(dataset: DataSet, progress: bool = False) -> Path:
    """Fetch a data set into the data folder, unless it is there, and return its file.

    Args:
        dataset: one of ``DATASETS``.
        progress: show a progress bar (needs tqdm).

    Raises:
        CellprismError: the address cannot be reached.
        DamagedError: what came, or what is already there, has another checksum.
    """
    if dataset.bundled:
        return dataset_file(dataset)
    folder = data_folder()
    if (folder / dataset.filename).is_file():
        return _checked(folder / dataset.filename, dataset)
    try:
        fetched = pooch.retrieve(
            dataset.url, f"sha256:{dataset.sha256}", fname=dataset.filename, path=folder, progressbar=progress
        )
    except RequestException as error:
        raise CellprismError(
            f"{dataset.name} could not be fetched from {dataset.url} ({type(error).__name__}); without a "
            "network, put a "
            f"copy at {folder / dataset.filename} or pass its path"
        ) from error
    except ValueError as error:  # pooch's word for a wrong checksum
        raise DamagedError(
            f"{dataset.url} sent another file than the published {dataset.name} ({error}); nothing was kept. "
            "Try again, or "
            "pass the path of a copy that you trust"
        ) from error
    return Path(fetched)


def _bundled_file(dataset: DataSet) -> Path:
    package = find_spec("scanpy")  # located, not imported: that would take seconds
    if package is None or package.origin is None:
        raise CellsError(dataset.name, ["it comes with scanpy, which is not installed; install scanpy"])
    return Path(package.origin).parent / "datasets" / dataset.filename


def _checked(path: Path, dataset: DataSet) -> Path:
    if dataset.sha256 and (found := pooch.file_hash(str(path))) != dataset.sha256:
        raise DamagedError(
            f"{path} is not the published {dataset.name} (SHA-256 {found}, expected {dataset.sha256}); "
            "remove it and run "
            f"cellprism data fetch {dataset.name}, or pass its path if another file is meant"
        )
    return path
