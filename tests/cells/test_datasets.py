import hashlib
import sys
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cellprism.cells.datasets import DATASETS, dataset_file, fetch_dataset, known_dataset
from cellprism.cells.read import read_cells
from cellprism.errors import CellprismError, CellsError, DamagedError
from cellprism.store.public_file import data_folder

CONTENT = b"seventeen cells"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLPRISM_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def served(tmp_path):
    """A data set at an address of this machine."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "some.h5ad").write_bytes(CONTENT)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "site")))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield replace(
        DATASETS["pbmc3k"], name="some", filename="some.h5ad", sha256=hashlib.sha256(CONTENT).hexdigest(),
        size=len(CONTENT), url=f"http://127.0.0.1:{server.server_port}/some.h5ad",
    )  # fmt: skip
    server.shutdown()
    server.server_close()
    thread.join()


def test_each_data_set_states_origin_licence_and_size():
    assert list(DATASETS) == ["bundled:pbmc68k", "pbmc3k"]
    for dataset in DATASETS.values():
        assert "10x Genomics" in dataset.origin
        assert "CC BY 4.0" in dataset.licence
        assert dataset.n_cells > 0
        assert len(dataset.sha256) == 64
        assert dataset.bundled or dataset.url.startswith("https://")


def test_the_folder_is_the_users_or_cache(folder, monkeypatch):
    assert data_folder() == folder
    monkeypatch.delenv("CELLPRISM_DATA_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    expected = Path.home() / "Library" / "Caches" if sys.platform == "darwin" else folder / "cache"
    assert data_folder() == expected / "cellprism"


def test_a_fetched_file_is_kept_and_found_again_without_its_address(folder, served):
    assert fetch_dataset(served).read_bytes() == CONTENT
    elsewhere = replace(served, url="http://127.0.0.1:9/none")
    assert fetch_dataset(elsewhere) == dataset_file(elsewhere) == folder / "some.h5ad"


def test_a_file_with_another_checksum_is_not_kept(folder, served):
    with pytest.raises(DamagedError, match=r"sent .* instead of the file that was asked for .*nothing was kept"):
        fetch_dataset(replace(served, sha256="0" * 64))
    assert list(folder.iterdir()) == []


def test_a_transfer_that_broke_off_goes_on(folder, served):
    folder.mkdir()
    (folder / ".some.h5ad.part").write_bytes(CONTENT[:7])
    assert fetch_dataset(served).read_bytes() == CONTENT
    assert [p.name for p in folder.iterdir()] == ["some.h5ad"]


@pytest.mark.parametrize("path", ["9/some.h5ad", "PORT/none.h5ad"], ids=["no server", "no such file"])
def test_an_address_that_fails_names_the_way_without_a_network(folder, served, path):
    port = served.url.split(":")[2].split("/")[0]
    said = r"some could not be fetched \(.*without a network, put a copy of some.h5ad at .* or pass its path"
    with pytest.raises(CellprismError, match=said) as error:
        fetch_dataset(replace(served, url=f"http://127.0.0.1:{path.replace('PORT', port)}"))
    assert error.value.exit_code == 1


def test_a_local_file_that_is_another_one_is_left_alone_and_reported(folder, served):
    folder.mkdir()
    (folder / "some.h5ad").write_bytes(b"mine")
    for use in (fetch_dataset, dataset_file):
        with pytest.raises(
            DamagedError, match=r"is not the published some .*remove it and run cellprism data fetch some"
        ):
            use(served)
    assert (folder / "some.h5ad").read_bytes() == b"mine"


def test_reading_a_data_set_that_is_not_here_says_how_to_get_it_and_fetches_nothing(folder):
    with pytest.raises(
        CellsError, match=r"not on this machine .*fetch it: cellprism data fetch pbmc3k, or pass the path"
    ):
        read_cells("pbmc3k")
    assert not folder.exists()


def test_a_bundled_data_set_needs_no_fetching(folder):
    path = fetch_dataset(DATASETS["bundled:pbmc68k"])
    assert path.name == "pbmc68k.h5ad"
    assert not folder.exists()


def test_an_unknown_data_set_names_near_matches():
    assert known_dataset("pbmc3k") is DATASETS["pbmc3k"]
    with pytest.raises(CellsError, match=r"no such data set; did you mean 'pbmc3k'"):
        known_dataset("PBMC-3k")
