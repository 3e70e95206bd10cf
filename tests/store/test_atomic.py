"""Files are whole or not there."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from math import inf, nan

import pytest

from cellprism.errors import DamagedError
from cellprism.store.atomic import (
    clear_scratch,
    discard,
    read_json,
    replacing,
    scratch_beside,
    sha256,
    write_json,
    write_text,
)

KILLED = """
import os, signal, sys
from pathlib import Path
from cellprism.store.atomic import replacing

with replacing(Path(sys.argv[1])) as scratch:
    scratch.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_new_file_appears_with_its_folders_and_no_scratch(tmp_path):
    path = tmp_path / "a" / "b" / "note.txt"
    write_text(path, "naïve α\n")
    assert path.read_bytes() == "naïve α\n".encode()
    assert [p.name for p in path.parent.iterdir()] == ["note.txt"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_while_writing_leaves_the_old_file_and_no_scratch(tmp_path, error):
    path = tmp_path / "table.parquet"
    path.write_text("old")

    def fail():
        with replacing(path) as scratch:
            assert scratch.parent.parent == path.parent, "a move across file systems would not be whole"
            (scratch.parent / ".tmp123").write_text("what a library writes through")
            assert scratch.suffix == ".parquet", "writers go by the suffix"
            scratch.write_text("half of the new")
            assert path.read_text() == "old", "readers meet the old file until the new one is whole"
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["table.parquet"]


def test_a_process_killed_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"


def test_a_folder_that_is_discarded_is_whole_or_gone_when_the_process_is_killed(tmp_path, monkeypatch):
    folder = tmp_path / "run" / "checkpoint"
    write_text(folder / "step-1", "x")

    def killed(path):
        assert sorted(p.name for p in (path / "checkpoint").iterdir()) == ["step-1"]
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        discard(folder)
    monkeypatch.undo()
    assert not folder.exists()
    clear_scratch(tmp_path)
    assert list((tmp_path / "run").iterdir()) == []
    write_text(folder / "step-1", "x")
    discard(folder)
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize(("mask", "rights"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0o027, 0o640)])
def test_a_written_file_has_the_rights_that_the_umask_leaves(tmp_path, mask, rights):
    def private(path):
        with replacing(path) as scratch:
            os.close(os.open(scratch, os.O_CREAT | os.O_WRONLY, 0o600))  # as some libraries make their files

    before = os.umask(mask)
    try:
        write_text(tmp_path / "shared.txt", "x")
        private(tmp_path / "weights.bin")
    finally:
        assert os.umask(before) == mask, "it is not touched"
    for name in ("shared.txt", "weights.bin"):
        assert (tmp_path / name).stat().st_mode & 0o777 == rights


def test_what_a_killed_writer_left_goes_when_the_file_is_written_again(tmp_path):
    path = tmp_path / "we[i]ghts.bin"
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert [p.name[:11] for p in tmp_path.iterdir()] == [".we[i]ghts."]
    write_text(tmp_path / "other.bin", "x")
    assert len(list(tmp_path.iterdir())) == 2, "it belongs to another file"
    write_text(path, "new")
    assert {p.name for p in tmp_path.iterdir()} == {"other.bin", "we[i]ghts.bin"}


def test_what_killed_writers_left_anywhere_is_cleared_and_nothing_else(tmp_path):
    for name in ("a.bin", "deep/er/b.bin"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / name)], check=False)
    for name in (".git/config", ".notes.part/x", ".a.bin.12345678", "table.part"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("somebody's")
    with replacing(tmp_path / "living.bin") as scratch:
        scratch.write_text("half")
        clear_scratch(tmp_path)
        assert scratch.read_text() == "half", "its writer lives"
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == {
        ".git/config", ".notes.part/x", ".a.bin.12345678", "table.part", "living.bin"
    }  # fmt: skip
    assert list((tmp_path / "deep" / "er").iterdir()) == []


def test_a_scratch_folder_is_held_and_what_a_killed_process_left_of_it_goes(tmp_path):
    (tmp_path / ".site.12345678.part").mkdir()
    (tmp_path / ".site.12345678.part" / "half").write_text("x")
    with scratch_beside(tmp_path / "site") as folder:
        assert [path.name for path in tmp_path.iterdir()] == [folder.name]
        clear_scratch(tmp_path)
        assert folder.is_dir(), "its writer lives"
    assert list(tmp_path.iterdir()) == []


def test_json_comes_back_in_its_order_and_readable(tmp_path):
    value = {"b": [1, 2.5, None, True], "a": {"α": "β"}}
    write_json(tmp_path / "x.json", value)
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert list(read_json(tmp_path / "x.json")) == ["b", "a"]
    assert read_json(tmp_path / "x.json") == value
    assert "α" in text
    assert text.endswith("}\n")
    assert "\n  " in text


@pytest.mark.parametrize("number", [nan, inf, -inf])
def test_numbers_that_json_does_not_know_are_refused_and_the_old_file_stays(tmp_path, number):
    path = tmp_path / "x.json"
    write_json(path, {"old": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"new": number})
    assert read_json(path) == {"old": 1}


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe", b"name,value\n"])
def test_json_that_cannot_be_read_is_damaged_and_named(tmp_path, content):
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=r"run.json is not readable JSON .*restore it or rerun the step"):
        read_json(path)


def test_every_cut_of_a_json_object_is_told_from_the_whole(tmp_path):
    path = tmp_path / "x.json"
    whole = json.dumps({"steps": {"train": {"identity": "abc", "n": 17}}})
    for length in range(len(whole)):
        path.write_text(whole[:length])
        with pytest.raises(DamagedError):
            read_json(path)


def test_a_file_that_is_not_there_is_not_called_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json")


def test_sha256_is_that_of_the_bytes(tmp_path):
    content = os.urandom(300_007)
    (tmp_path / "x").write_bytes(content)
    assert sha256(tmp_path / "x") == hashlib.sha256(content).hexdigest()
