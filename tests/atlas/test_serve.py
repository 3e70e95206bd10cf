"""The server answers this machine alone, with files of the site alone."""

import http.client
import threading

import pytest

from cellprism.atlas.serve import server_of
from cellprism.errors import ConfigError


@pytest.fixture
def served(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    site = tmp_path / "site"
    (site / "data").mkdir(parents=True)
    (site / "index.html").write_text("<p>atlas</p>")
    with server_of(site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def asked(server, path: str, host: str = "") -> tuple[int, bytes]:
    link = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=5)
    link.request("GET", path, headers={"Host": host} if host else {})
    answer = link.getresponse()
    return answer.status, answer.read()


def test_it_serves_the_site_on_loopback(served):
    assert served.server_address[0] == "127.0.0.1"
    assert asked(served, "/") == (200, b"<p>atlas</p>")


@pytest.mark.parametrize("path", ["/data/", "/../secret.txt", "/%2e%2e/secret.txt"])
def test_nothing_else_is_given(served, path):
    assert asked(served, path)[0] == 404


def test_a_page_from_elsewhere_that_leads_its_own_name_here_gets_nothing(served):
    assert asked(served, "/", f"evil.example:{served.server_address[1]}")[0] == 403
    assert asked(served, "/", f"localhost:{served.server_address[1]}")[0] == 200


def test_a_port_that_is_none_or_taken_is_said(served, tmp_path):
    with pytest.raises(ConfigError, match="no port 70000"):
        server_of(tmp_path, 70000)
    with pytest.raises(ConfigError, match="cannot be had"):
        server_of(tmp_path, served.server_address[1])
