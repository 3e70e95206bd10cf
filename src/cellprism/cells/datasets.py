"""The data sets that cellprism knows how to get, with their origin, licence and checksum.

- Reading never touches the network; only ``fetch_dataset`` does (``store.public_file``).
- The bundled cells come with the package, counts and all; ``bundled/README.md`` says from where and how.
- The checksum of pbmc3k_raw.h5ad is not stated by scanpy. It is the one that several unrelated public
  projects record for their downloads from both addresses scanpy has used (falexwolf.de and
  exampledata.scverse.org), at 5,855,727 bytes.
"""

from dataclasses import dataclass
from pathlib import Path

from cellprism.cells.raw import suggestion
from cellprism.errors import CellsError, DamagedError
from cellprism.store.download import Progress
from cellprism.store.identity import hash_of
from cellprism.store.public_file import PublicFile, fetch_file, local_file

BUNDLED = Path(__file__).parent / "bundled"


@dataclass(frozen=True, kw_only=True)
class DataSet(PublicFile):
    """A public data set: cells, and where they come from."""

    n_cells: int
    """Cells in the file."""
    n_genes: int
    """Genes in the file."""
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
    found = _bundled_file(dataset) if dataset.bundled else local_file(dataset)
    if found is None:
        raise CellsError(dataset.name, [dataset.not_here()])
    return found


def fetch_dataset(dataset: DataSet, progress: Progress | None = None) -> Path:
    """Fetch a data set into the data folder, unless it is there, and return its file.

    Args and errors are those of ``fetch_file``; a data set that comes with the package needs no fetching.
    """
    return _bundled_file(dataset) if dataset.bundled else fetch_file(dataset, progress)


def _bundled_file(dataset: DataSet) -> Path:
    path = BUNDLED / dataset.filename
    if not path.is_file():
        raise DamagedError(f"{path} is missing, which belongs to the package; install cellprism again")
    if (found := hash_of(path)) != dataset.sha256:
        raise DamagedError(
            f"{path} is not the published {dataset.name} (SHA-256 {found}, expected {dataset.sha256}); install "
            "cellprism again, or pass its path if another file is meant"
        )
    return path
