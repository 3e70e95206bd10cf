"""Models from a hub: only pinned revisions, only the announced bytes, and a cache that is right or says why not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cellprism.errors import CellprismError, DamagedError, ModelError
from cellprism.models import hub
from cellprism.store.atomic import sha256
from cellprism.store.download import PIECE, RemoteFile, git_object_id
from models.hub_server import Hub, serving

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

WEIGHTS = "model.safetensors"
BIG = bytes(range(256)) * 12_000  # 47 of the pieces that a transfer comes in
PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A hub with one repository, and an empty cache."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / WEIGHTS).write_bytes(BIG)
    (folder / "config.json").write_text('{"model_type": "cellfoundation"}')
    (folder / "README.md").write_text("---\nlicense: other\n---\n# A model\n")
    (folder / "LICENSE").write_text("Terms\n")
    (folder / ".gitattributes").write_text("*.bin filter=lfs\n")
    (folder / "figure.png").write_bytes(b"\x89PNG")
    made = Hub(folder)
    with serving(made) as address:
        monkeypatch.setenv("HF_ENDPOINT", address + "/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("CELLPRISM_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield made


@pytest.fixture
def source(server) -> hub.HubSource:
    return hub.parse(f"hf://{server.repository}@{server.revision}")


def test_a_model_is_fetched_whole_with_its_provenance(server, source):
    folder = hub.fetch(source)
    assert (folder / WEIGHTS).read_bytes() == BIG
    assert {f.name for f in folder.iterdir() if not f.name.startswith(".")} == {
        WEIGHTS, "config.json", "README.md", "LICENSE", hub.PROVENANCE,
    }  # fmt: skip
    said = hub.provenance(folder)
    assert said is not None
    assert (said["repository"], said["revision"], said["subfolder"]) == (server.repository, server.revision, "")
    assert said["endpoint"] == os.environ["HF_ENDPOINT"].rstrip("/")
    assert said["licence"].startswith("GenBio AI Community License: non-commercial")
    assert time.strptime(said["fetched"], "%Y-%m-%dT%H:%M:%S+00:00")
    assert said["files"].keys() == {WEIGHTS, "config.json", "README.md", "LICENSE"}
    for name, entry in said["files"].items():
        assert entry == {"size": (folder / name).stat().st_size, "sha256": sha256(folder / name)}


def test_what_is_cached_is_used_without_a_word_to_the_hub(server, source):
    folder = hub.fetch(source)
    record = (folder / hub.PROVENANCE).read_text()
    server.asked.clear()
    server.status = 500
    assert hub.fetch(source) == hub.fetch(source, offline=True) == folder
    assert server.asked == []
    assert (folder / hub.PROVENANCE).read_text() == record


def test_progress_is_told_up_to_the_last_byte_of_every_file(server, source):
    told: list[tuple[str, int, int]] = []
    hub.fetch(source, progress=lambda *step: told.append(step))
    weights = [(done, total) for name, done, total in told if name == WEIGHTS]
    assert len(weights) >= 47
    assert weights == sorted(weights)
    assert weights[-1] == (len(BIG), len(BIG))
    assert {name for name, done, total in told if done == total} == set(server.fetched())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hf://genbio-ai/AIDO.Cell-3M", r"no revision is given; branches, tags.*genbio-ai/AIDO.Cell-3M@COMMIT"),
        ("hf://genbio-ai/AIDO.Cell-3M@main", r"'main' is no pinned revision; branches.*commits/main"),
        ("hf://genbio-ai/AIDO.Cell-3M@3f3f3f3", "'3f3f3f3' is no pinned revision.*all of its 40 digits"),
        ("hf://genbio-ai/AIDO.Cell-3M@" + "3F" * 20, "is no pinned revision"),
        ("hf://AIDO.Cell-3M@" + "3f" * 20, "'AIDO.Cell-3M' is no repository of the hub; expected owner/name"),
        ("hf://../up@" + "3f" * 20, "'../up' is no repository"),
        ("hf://a/b@" + "3f" * 20 + "#../up", "'../up' is no folder of a repository"),
        ("genbio-ai/AIDO.Cell-3M@" + "3f" * 20, "no model of the hub; expected hf://owner/name@REVISION"),
    ],
)
def test_only_a_pinned_revision_of_a_repository_is_a_source(text, message):
    with pytest.raises(ModelError, match=message):
        hub.parse(text)


@pytest.mark.parametrize("text", ["hf://a/b@" + "3f" * 20, "hf://a-1/B.c_d@" + "07" * 20 + "#models/V1-10M"])
def test_a_source_is_written_as_it_is_read(text):
    assert str(hub.parse(text)) == text


def test_the_licence_is_known_before_anything_is_fetched(server, source):
    assert hub.licence(source).startswith("GenBio AI Community License: non-commercial use only; it covers what")
    assert server.asked == []
    server.repository, server.card = "someone/else", {"license": "other", "license_name": "own", "license_link": "L"}
    other = hub.HubSource("someone/else", server.revision)
    assert hub.licence(other) == "own (L)"
    assert server.fetched() == []
    assert hub.licence(other, offline=True) == "own (L)", "what was asked once is known offline"


@pytest.mark.parametrize(
    ("card", "licence"), [({"license": "apache-2.0"}, "apache-2.0"), ({}, "unknown"), (None, "unknown")]
)
def test_a_licence_is_recorded_as_it_is_stated(server, card, licence):
    server.repository, server.card = "someone/else", card
    folder = hub.fetch(hub.HubSource("someone/else", server.revision))
    assert hub.licence_of(folder) == licence


def test_the_licence_of_a_copy_is_the_one_in_its_readme(tmp_path):
    assert hub.licence_of(tmp_path) == ""
    (tmp_path / "README.md").write_text("# License: none\nlicense: mit\n")
    assert hub.licence_of(tmp_path) == "", "only front matter counts"
    (tmp_path / "README.md").write_text(
        "---\ntags:\n- cells\nlicense: other\nlicense_name: 'own terms'\n---\nlicense: mit"
    )
    assert hub.licence_of(tmp_path) == "own terms"


def test_wrong_bytes_are_refused_and_nothing_is_kept(server, source):
    for name, wrong in (("config.json", b'{"model_type": "cellfoundatiom"}'), (WEIGHTS, bytes([1]) + BIG[1:])):
        server.instead = {name: wrong}
        with pytest.raises(DamagedError, match=rf"{name} sent .* bytes .*instead of the file .*nothing was kept"):
            hub.fetch(source)
        folder = hub.cache_folder() / "hub" / "genbio-ai--AIDO.Cell-3M" / server.revision
        assert not (folder / name).exists()
        assert not (folder / f".{name}.part").exists()
        assert hub.provenance(folder) is None
    server.instead = {}
    assert (hub.fetch(source) / WEIGHTS).read_bytes() == BIG


def test_a_web_page_in_place_of_a_file_is_recognised(server, source):
    server.instead = {WEIGHTS: PAGE}
    with pytest.raises(DamagedError, match=r"sent a web page of 54 bytes .*a proxy or mirror gives out something else"):
        hub.fetch(source)


def test_a_web_page_in_place_of_the_list_is_recognised(server, source):
    for said in (PAGE, b"[]", b'{"id": "genbio-ai/AIDO.Cell-3M"}'):
        server.listing = said
        with pytest.raises(CellprismError, match="did not answer as the hub does .*check HF_ENDPOINT"):
            hub.fetch(source)


def test_more_bytes_than_announced_are_cut_off(server, source):
    server.instead = {WEIGHTS: BIG * 9}
    with pytest.raises(DamagedError, match=rf"instead of the file that was asked for \({len(BIG):,} bytes"):
        hub.fetch(source)


@pytest.mark.parametrize("breaks", [[20 * PIECE], [0], [20 * PIECE, 13 * PIECE]])
def test_a_transfer_that_breaks_off_goes_on_where_it_stopped(server, source, breaks):
    server.breaks = {WEIGHTS: list(breaks)}
    assert (hub.fetch(source) / WEIGHTS).read_bytes() == BIG
    starts = server.started[-len(breaks) - 1 :]
    assert starts[0] == 0
    assert starts[-1] == sum(breaks)


def test_a_transfer_that_keeps_breaking_off_stops_and_goes_on_at_the_next_try(server, source):
    server.breaks = {WEIGHTS: [6 * PIECE + 7] * 3}
    with pytest.raises(CellprismError, match=r"broke off after 1,179,648 of 3,072,000 bytes.*it goes on from there"):
        hub.fetch(source)
    folder = hub.cache_folder() / "hub" / "genbio-ai--AIDO.Cell-3M" / server.revision
    assert not (folder / WEIGHTS).exists()
    assert hub.provenance(folder) is None
    assert (hub.fetch(source) / WEIGHTS).read_bytes() == BIG
    assert server.started[-1] == 18 * PIECE


def test_a_server_that_cannot_resume_is_asked_for_the_whole(server, source):
    server.breaks, server.ranges = {WEIGHTS: [1_500_000]}, False
    assert (hub.fetch(source) / WEIGHTS).read_bytes() == BIG
    assert server.started[-2:] == [0, 0]


def test_what_was_left_of_another_transfer_is_found_out(server, source):
    folder = hub.cache_folder() / "hub" / "genbio-ai--AIDO.Cell-3M" / server.revision
    folder.mkdir(parents=True)
    (folder / f".{WEIGHTS}.part").write_bytes(b"x" * 1000)
    with pytest.raises(DamagedError, match="nothing was kept"):
        hub.fetch(source)
    assert (hub.fetch(source) / WEIGHTS).read_bytes() == BIG


KILLED = """
import os, signal, sys
from cellprism.models import hub

def kill(name, done, total):
    if name == "model.safetensors" and done > 1 << 20:
        os.kill(os.getpid(), signal.SIGKILL)

hub.fetch(hub.parse(sys.argv[1]), progress=kill)
"""


def test_a_killed_fetch_leaves_no_half_file_and_goes_on(server, source):
    done = subprocess.run([sys.executable, "-c", KILLED, str(source)], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    folder = hub.cache_folder() / "hub" / "genbio-ai--AIDO.Cell-3M" / server.revision
    assert not (folder / WEIGHTS).exists()
    with pytest.raises(ModelError, match=rf"not in the cache .*{WEIGHTS} is not among what was fetched"):
        hub.fetch(source, offline=True)
    assert (hub.fetch(source) / WEIGHTS).read_bytes() == BIG
    assert server.started[-1] > 0


def test_two_processes_that_fetch_the_same_model_do_not_disturb_each_other(server, source):
    code = "import sys; from cellprism.models import hub; hub.fetch(hub.parse(sys.argv[1]))"
    both = [subprocess.Popen([sys.executable, "-c", code, str(source)], stderr=subprocess.PIPE) for _ in range(2)]
    for process in both:
        _, words = process.communicate(timeout=60)
        assert process.returncode == 0, words
    assert server.fetched().count(WEIGHTS) == 1
    assert (hub.fetch(source, offline=True) / WEIGHTS).read_bytes() == BIG


def test_offline_uses_the_cache_alone_and_says_what_to_do_without(server, source):
    with pytest.raises(ModelError, match=rf"{source} is not in the cache at .*cache: nothing of it has been fetched; "
                       r"fetch it once with a network \(cellprism models fetch hf://.*or pass the path"):  # fmt: skip
        hub.fetch(source, offline=True)
    with pytest.raises(ModelError, match="not in the cache"):
        hub.facts(source, offline=True)
    assert server.asked == []


def test_an_altered_file_in_the_cache_is_fetched_again_or_refused_offline(server, source):
    folder = hub.fetch(source)
    (folder / WEIGHTS).write_bytes(BIG[:-1] + b"x")
    with pytest.raises(ModelError, match=f"not in the cache .*{WEIGHTS} has been altered"):
        hub.fetch(source, offline=True)
    server.asked.clear()
    assert (hub.fetch(source) / WEIGHTS).read_bytes() == BIG
    assert server.fetched() == [WEIGHTS]


def test_a_damaged_record_in_the_cache_is_named(source):
    folder = hub.fetch(source)
    for record, read in ((hub.LISTING, lambda: hub.fetch(source)), (hub.PROVENANCE, lambda: hub.licence_of(folder))):
        whole = (folder / record).read_text()
        (folder / record).write_text(whole[: len(whole) // 2])
        with pytest.raises(DamagedError, match=f"{record} is not readable JSON"):
            read()
        (folder / record).write_text(whole)


def test_a_repository_or_revision_that_is_not_there_is_told_apart(server):
    with pytest.raises(ModelError, match="the hub has no such revision; look it up at .*commits/main"):
        hub.fetch(hub.HubSource(server.repository, "00" * 20))
    with pytest.raises(ModelError, match="the hub has no such repository"):
        hub.fetch(hub.HubSource("genbio-ai/AIDO.Cell-4M", server.revision))


def test_a_moved_repository_is_refused_with_its_new_name(server, source):
    server.moved_to = "genbio-ai/AIDO.Cell-mini"
    with pytest.raises(ModelError, match=f"is now hf://genbio-ai/AIDO.Cell-mini@{server.revision}; if that is what"):
        hub.fetch(source)


def test_a_file_that_is_listed_and_gone_is_named(server, source):
    server.gone = {"config.json"}
    with pytest.raises(ModelError, match=r"resolve/(3f)+/config.json is not there any more; choose another revision"):
        hub.fetch(source)


@pytest.mark.parametrize("status", [429, 503])
def test_a_hub_in_trouble_is_not_the_users_mistake(server, source, status):
    server.status = status
    with pytest.raises(CellprismError, match=f"answered {status} .*try again later, or work offline") as caught:
        hub.fetch(source)
    assert caught.value.exit_code == 1


def test_no_hub_at_all_is_told(source, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CellprismError, match=r"127.0.0.1:9 cannot be reached \(ConnectionError\); check the network"):
        hub.fetch(source)


def test_a_gated_repository_opens_with_the_token_alone(server, source, monkeypatch):
    server.token = "hf_quitesecret"
    with pytest.raises(ModelError, match=r"refuses access \(401 GatedRepo\); HF_TOKEN is not set.*accept its terms at"):
        hub.fetch(source)
    monkeypatch.setenv("HF_TOKEN", "hf_ofsomeoneelse")
    with pytest.raises(ModelError, match=r"\(403 GatedRepo\); HF_TOKEN opens no door there") as caught:
        hub.fetch(source)
    assert "hf_ofsomeoneelse" not in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", "hf_quitesecret\n")
    folder = hub.fetch(source)
    assert hub.facts(source).gated
    written = b"".join(f.read_bytes() for f in folder.parent.rglob("*") if f.is_file())
    assert b"hf_quitesecret" not in written


def test_the_token_goes_to_the_hub_and_not_where_it_sends_us(server, source, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_quitesecret")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    hub.fetch(source)
    tokens = {path.split("/")[1] == "blob": token for path, token in server.asked}
    assert tokens[False] == "Bearer hf_quitesecret"
    assert "hf_quitesecret" not in tokens[True]


def test_pickled_weights_are_fetched_only_where_there_are_no_others(server, source):
    (server.folder / "pytorch_model.bin").write_bytes(b"pickled")
    assert not (hub.fetch(source) / "pytorch_model.bin").exists()
    (server.folder / WEIGHTS).unlink()
    server.revision = "07" * 20
    folder = hub.fetch(hub.HubSource(server.repository, server.revision))
    assert (folder / "pytorch_model.bin").read_bytes() == b"pickled"


def test_a_repository_of_several_models_asks_for_a_folder(server):
    small = server.folder / "small"
    small.mkdir()
    (server.folder / WEIGHTS).rename(small / WEIGHTS)
    (server.folder / "README.md").rename(small / "README.md")
    source = hub.HubSource(server.repository, server.revision)
    with pytest.raises(
        ModelError, match=rf"holds no weights; found LICENSE, config.json, figure.png; .* {source}#small"
    ):
        hub.fetch(source)
    folder = hub.fetch(hub.parse(f"{source}#small"))
    assert folder.name == "small"
    assert {f.name for f in folder.iterdir()} == {WEIGHTS, "README.md", hub.PROVENANCE}
    said = hub.provenance(folder)
    assert said is not None
    assert said["subfolder"] == "small"


def test_other_files_can_be_asked_for_and_join_the_record(server, source):
    folder = hub.fetch(source)
    assert hub.fetch(source, names=("*.png",)) == folder
    said = hub.provenance(folder)
    assert said is not None
    assert said["files"].keys() == {WEIGHTS, "config.json", "README.md", "LICENSE", "figure.png"}
    with pytest.raises(ModelError, match=r"holds no files named \*.pkl; found"):
        hub.fetch(source, names=("*.pkl",))


def test_names_that_lead_out_of_the_cache_are_not_followed(server, source, tmp_path):
    said = json.loads(server.list_of_files())
    for name in ("../../escaped.json", "/etc/escaped.json", ".hidden.json", "a\\b.json", "provenance.json"):
        said["siblings"].append({"rfilename": name, "size": 1, "blobId": "0" * 40})
    server.listing = json.dumps(said).encode()
    folder = hub.fetch(source)
    assert not list(tmp_path.rglob("escaped.json"))
    assert not (folder / ".hidden.json").exists()


def test_gits_own_id_of_a_file_is_what_git_computes(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"hello\n")
    assert git_object_id(path) == "ce013625030ba8dba906f756967f9e9ca394464a"
    assert RemoteFile(6, "git:ce013625030ba8dba906f756967f9e9ca394464a").matches(path)
    assert not RemoteFile(5, "git:ce013625030ba8dba906f756967f9e9ca394464a").matches(path)
    assert not RemoteFile(6, "git:ce013625030ba8dba906f756967f9e9ca394464a").matches(tmp_path)


def test_the_cache_lies_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("CELLPRISM_CACHE", str(tmp_path))
    assert hub.cache_folder() == tmp_path
    monkeypatch.setenv("CELLPRISM_CACHE", "~/somewhere")
    assert hub.cache_folder() == Path.home() / "somewhere"
    monkeypatch.delenv("CELLPRISM_CACHE")
    assert hub.cache_folder().name == "cellprism"
