"""Files whose size nobody states: the checksum alone decides."""

import hashlib
import re
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cellprism.errors import CellprismError, DamagedError
from cellprism.store.public_file import DATA_DIR, PublicFile, fetch_file, local_file

CONTENT = b"forty-one terms" * 41


class Ranges(BaseHTTPRequestHandler):
    """Answers a request for the rest of the file, and 416 where nothing is left."""

    def do_GET(self):
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        rest = CONTENT[start:]
        self.send_response(416 if asked and not rest else 206 if asked else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv(DATA_DIR, str(tmp_path / "data"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Ranges)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield PublicFile(
        name="some", description="", origin="", licence="", filename="some.obo",
        sha256=hashlib.sha256(CONTENT).hexdigest(), url=f"http://127.0.0.1:{server.server_port}/some.obo",
    )  # fmt: skip
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("come", [0, 7, len(CONTENT)], ids=["nothing", "a part", "all"])
def test_a_file_of_unknown_size_is_fetched_whatever_has_come_of_it_before(file, tmp_path, come):
    assert local_file(file) is None
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ".some.obo.part").write_bytes(CONTENT[:come])
    assert fetch_file(file).read_bytes() == CONTENT
    assert local_file(file) == tmp_path / "data" / "some.obo"


def test_other_bytes_are_refused_by_the_checksum_alone(file, tmp_path):
    said = rf"sent {len(CONTENT)} bytes .* instead of the file that was asked for \(sha256:0+\); nothing was kept"
    with pytest.raises(DamagedError, match=said):
        fetch_file(replace(file, sha256="0" * 64))
    assert list((tmp_path / "data").iterdir()) == []


def test_a_file_that_does_not_come_leaves_nothing(file, tmp_path):
    with pytest.raises(CellprismError, match="cannot be reached"):
        fetch_file(replace(file, url="http://127.0.0.1:9/some.obo"))
    assert list((tmp_path / "data").iterdir()) == []
