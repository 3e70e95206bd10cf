"""The published AIDO.Cell gene list: 19,264 symbols in the order of the models' positions, fetched, never shipped.

It lies in no model's repository but in the publisher's code, under the same licence as the weights. The address names a
commit and the checksum is pinned here, so that whatever comes is that list or is refused.
"""

from pathlib import Path

import requests

from cellprism.cells.genes import GeneTable, read_gene_table
from cellprism.errors import CellprismError, DamagedError, ModelError
from cellprism.models.hub import cache_folder
from cellprism.store.download import Progress, RemoteFile, download

N_GENES = 19_264
NAME = "OS_scRNA_gene_index.19264.tsv"
LIST = RemoteFile(228_232, "sha256:bb337ea195d94e7b033543abc02a42e7060d6562eba97deb077f7dcecec62661")
URL = (
    "https://raw.githubusercontent.com/genbio-ai/ModelGenerator/c4d012163c7f3d05ae1121a9560e4bfce8d796af/"
    f"modelgenerator/cell/gene_lists/{NAME}"
)


def gene_list_file() -> Path:
    """Where the list lies once it is fetched."""
    return cache_folder() / "gene-lists" / NAME


def fetch_gene_list(offline: bool = False, progress: Progress | None = None) -> Path:
    """The published gene list, fetched unless it is in the cache.

    Raises:
        ModelError: offline and not in the cache.
        DamagedError: something else came than the pinned list.
        CellprismError: the address cannot be reached.
    """
    path = gene_list_file()
    if LIST.matches(path):
        return path
    if offline:
        raise ModelError(
            f"the AIDO.Cell gene list is not in the cache ({path}); fetch it once with a network (cellprism models "
            f"fetch MODEL), or pass a copy of {NAME} as the gene list"
        )
    download(URL, LIST, path, _refused, progress=progress)
    return path


def cached_gene_list(n_genes: int) -> GeneTable | None:
    """The published list for a model of ``n_genes`` genes, if it has that many and is in the cache; no network.

    Raises:
        DamagedError: the cached list has been altered.
    """
    path = gene_list_file()
    if n_genes != N_GENES or not path.is_file():
        return None
    if not LIST.matches(path):
        raise DamagedError(
            f"{path} is not the published gene list (expected {LIST.digest}); remove it and fetch it again"
        )
    return read_gene_table(path)


def _refused(answer: requests.Response) -> Exception:
    return CellprismError(
        f"the AIDO.Cell gene list is not at {URL} ({answer.status_code} {answer.reason}); pass a copy of {NAME} as the "
        "gene list"
    )
