"""An identity changes with every byte that is read, and with nothing else."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellprism.store import identity
from cellprism.store.identity import hash_of, identity_of_files, identity_of_path

NAMES = st.sampled_from(["config.json", "genes.tsv", "model.safetensors", "deep/vocab.json", "heads", "b/a", "a/b"])
CONTENTS = st.dictionaries(NAMES, st.binary(max_size=5), min_size=1, max_size=5)


def written(folder: Path, contents: dict[str, bytes]) -> Path:
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@settings(max_examples=60)
@given(CONTENTS, CONTENTS)
def test_folders_have_one_identity_exactly_where_names_and_contents_are_the_same(tmp_path_factory, one, other):
    base = tmp_path_factory.mktemp("identity")
    first, second = written(base / "here", one), written(base / "further" / "away", other)
    assert (identity_of_path(first) == identity_of_path(second)) == (one == other)


def test_neither_place_nor_dates_nor_words_for_people_count(tmp_path, monkeypatch):
    folder = written(tmp_path / "model", {"config.json": b"{}", "model.safetensors": b"weights"})
    before = identity_of_path(folder)
    os.utime(folder / "config.json", (0, 0))
    written(folder, {"README.md": b"words", "LICENSE": b"words", ".cache/lock": b"x", ".hidden": b"x"})
    written(tmp_path, {"beside.log": b"a neighbour", "other/config.json": b"x"})
    os.mkfifo(folder / "pipe")
    monkeypatch.chdir(folder)
    assert identity_of_path(Path()) == before
    monkeypatch.chdir(tmp_path)
    assert identity_of_path(Path("model")) == before
    folder.rename(tmp_path / "moved")
    assert identity_of_path(tmp_path / "moved") == before
    assert identity_of_path(tmp_path / "model") == ""


@pytest.mark.parametrize("name", ["readme.json", "licence.tsv", "config.json", "deep/er/a", "metrics"])
def test_every_file_that_a_loader_could_read_counts(tmp_path, name):
    folder = written(tmp_path / "model", {"config.json": b"{}", name: b"1"})
    before = identity_of_path(folder)
    written(folder, {name: b"2"})
    assert identity_of_path(folder) != before


def test_files_are_named_within_their_folder(tmp_path):
    contents = {"a": b"1", "b": b"2"}
    first, second = written(tmp_path / "1", contents), written(tmp_path / "2", contents)
    of = [identity_of_files([folder / "b", folder / "a"], folder) for folder in (first, second)]
    assert of[0] == of[1] == identity_of_files([first / "a", first / "b"], first)
    assert identity_of_files([first / "a"], first) != of[0]
    assert identity_of_files([first / "a"], tmp_path) != identity_of_files([first / "a"], first)


def test_a_file_is_read_once_until_it_changes(tmp_path, monkeypatch):
    """The hash is kept only once the file has been left alone for a while; dates that were set back do not help."""
    path = tmp_path / "weights"
    path.write_bytes(b"old")
    monkeypatch.setattr(identity, "SETTLED", -1)
    read, plain = [], identity.sha256
    monkeypatch.setattr(identity, "sha256", lambda path: read.append(path) or plain(path))
    old = hash_of(path)
    assert hash_of(path) == old
    assert len(read) == 1
    seen = path.stat()
    path.write_bytes(b"new")
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert hash_of(path) != old
    monkeypatch.setattr(identity, "SETTLED", 10**18)
    path.write_bytes(b"one")
    assert [hash_of(path), hash_of(path)] == [plain(path)] * 2
    assert len(read) == 4, "too fresh to be kept"
