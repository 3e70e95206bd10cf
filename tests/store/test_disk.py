"""Full and read-only disks, limits and impossible paths: one message, nothing half-written, what was there stays."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cellprism.cli.app import call
from cellprism.errors import DiskError
from cellprism.store.atomic import replacing, write_text

ALONE = ("unshare", "--map-root-user", "--mount")
LIMITED = """
import resource, signal, sys
from pathlib import Path
from store.small_disk import WAYS
from cellprism.errors import DiskError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    WAYS[sys.argv[1]](Path(sys.argv[2]))
except DiskError as error:
    print(error)
"""


def said_by(*command: str | Path) -> list[str]:
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return done.stdout.splitlines()


WAYS = ["text", *(pytest.param(way, marks=pytest.mark.slow) for way in ("h5ad", "table", "sae"))]


@pytest.fixture
def disk(tmp_path) -> Path:
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        tried = subprocess.run([*ALONE, "mount", "-t", "tmpfs", "none", folder], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare here to make a small disk with")
    if tried.returncode:
        pytest.skip(f"this user may not make a small disk here: {tried.stderr.decode().strip()}")
    return folder


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("size=64k", "(No space left on device): make room and run the same command again"),
        ("ro", "(Read-only file system): choose a folder on a disk that can be written"),
    ],
)
def test_a_disk_that_is_full_or_read_only_is_one_message_and_nothing_is_left(disk, way, options, words):
    *said, left = said_by(*ALONE, sys.executable, "-m", "store.small_disk", disk, options, way)
    assert len(said) == 1
    assert said[0].startswith(str(disk))
    assert said[0].endswith(words)
    assert left in ("left:", "left: sae"), "at most the folder"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"), [("size=100k", "make room and run the same"), ("ro", "choose a folder on a disk that can")]
)
def test_train_on_a_disk_that_is_full_or_read_only_is_one_message(disk, options, words):
    train = f'mount -t tmpfs -o {options} none "$0"; exec "$1" -m cellprism train bundled:pbmc68k --out "$0/run"'
    done = subprocess.run(
        [*ALONE, "sh", "-c", train, disk, sys.executable], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("error:") == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_may_not_grow_is_one_message_and_nothing_is_left(tmp_path, way):
    (said,) = said_by(sys.executable, "-c", LIMITED, way, tmp_path)
    assert "(File too large): raise the limit on the size of files (ulimit -f)" in said
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_an_error_that_is_not_of_the_disk_passes(tmp_path):
    with pytest.raises(RuntimeError, match="no number"), replacing(tmp_path / "x"):
        raise RuntimeError("no number")
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "x"):
        (tmp_path / "none").read_text()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EIO])
def test_what_libraries_put_into_words_is_understood(tmp_path, number):
    for words in (f"errno = {number}, error message = 'x'", f"[Errno {number}] x", f"I/O error: x (os error {number})"):
        with pytest.raises(DiskError, match=os.strerror(number)), replacing(tmp_path / "x"):
            raise OSError(words)


def test_a_path_through_a_file_and_a_path_too_long_are_named_with_the_remedy(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DiskError, match="file where a folder is expected: move it away, or choose another folder"):
        write_text(tmp_path / "file" / "x", "x")
    with pytest.raises(DiskError, match=r"File name too long.*choose a folder with a shorter path"):
        write_text(tmp_path / ("n" * 300) / "x", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DiskError, match="a folder is where the file is expected"):
        write_text(tmp_path / "folder", "x")


@pytest.mark.parametrize("out", ["file", "file/run", "n" * 300, "deep/" * 900])
def test_a_place_that_is_none_is_one_message_of_train(tmp_path, out, capsys):
    (tmp_path / "file").write_text("mine")
    assert call(["train", "bundled:pbmc68k", "--out", str(tmp_path / out)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("error:") == 1
    assert (tmp_path / "file").read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
