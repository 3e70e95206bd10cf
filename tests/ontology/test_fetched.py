"""An ontology and annotations fetched by date and checksum from a server of this machine, and then read."""

import gzip
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cellprism.cli.app import call
from cellprism.ontology import published
from cellprism.ontology.gmt import DATA_DIR
from cellprism.ontology.published import PATHS
from cellprism.ontology.read import read_collection
from cellprism.store.atomic import sha256
from ontology.made_up import OBO, gaf

RELEASE = "2024-01-17"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """One release as the archive lays it out, and its files by name."""
    files = {name: tmp_path / "site" / RELEASE / path for name, path in PATHS.items()}
    for path, content in zip(files.values(), (OBO.encode(), gzip.compress(gaf().encode())), strict=True):
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "site")))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(published, "ARCHIVE", f"http://127.0.0.1:{server.server_port}/{{release}}/{{path}}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(DATA_DIR, str(tmp_path / "data"))
    yield files
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_release_comes_by_its_date_and_checksum_and_is_read_as_any_other(archive, tmp_path, capsys):
    for name, file in archive.items():
        assert call(["data", "fetch", name, "--release", RELEASE, "--sha256", sha256(file)]) == 0
    ontology, annotations = capsys.readouterr().out.split()
    (tmp_path / "mine.toml").write_text(f'ontology = "{ontology}"\nannotations = "{annotations}"\nmin_size = 1\n')
    found = read_collection(tmp_path / "mine.toml")
    assert "T cell killing (GO:0000005)" in found
    assert [origin.sha256 for origin in found.origins] == [sha256(file) for file in archive.values()]


def test_other_bytes_and_a_release_that_is_not_there_leave_no_file(archive, tmp_path, capsys):
    assert call(["data", "fetch", "go", "--release", RELEASE, "--sha256", "0" * 64]) == 3
    assert "instead of the file that was asked for" in capsys.readouterr().err
    assert call(["data", "fetch", "go", "--release", "2024-02-17", "--sha256", "0" * 64]) == 1
    assert "answered 404" in capsys.readouterr().err
    assert not list((tmp_path / "data").glob("*.obo"))
