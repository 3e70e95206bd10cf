"""A run folder that somebody else made: whatever it holds, no verb changes anything outside it, hangs or breaks."""

import hashlib
import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from cellprism.cli.app import call

VERBS = ("do fit", "do programs", "steer", "contrast", "report", "run", "train")
PLACES = (
    ".lock", "run.json", "run.toml", "cells.h5ad", "report.html", "claims.json", "sae", "sae/L0", "sae/L0/cfg.json",
    "fit/measures.json", "sae/L0/metrics.jsonl", "programs", "assess", "programs/rates.json", "steer",
    "steer/programs", "contrast/latent", "contrast/absent.json", "sae/L0/checkpoint", "residuals", "notes/deep/more",
)  # fmt: skip


def some_verbs(number: int) -> tuple[str, str]:
    """Two of the verbs, in turn, where what spoils a folder comes in many kinds and places: all have one door."""
    return VERBS[number % len(VERBS)], VERBS[(number + 3) % len(VERBS)]


def state_of(folder: Path) -> dict[str, tuple[int, str]]:
    """Kind and content of everything in a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else ""
        found[str(path.relative_to(folder))] = (path.lstat().st_mode, content)
    return found


@pytest.fixture
def canary(tmp_path) -> Path:
    """A folder outside the run, with a file by each name that a run could have."""
    outside = tmp_path / "outside"
    for name in ("precious", "metrics.jsonl", "cfg.json", "L0/cfg.json", "L0/measures.json", "step-1.safetensors"):
        path = outside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}\n")
    (outside / ".step-1").mkdir()
    (outside / ".step-1" / "scratch").write_text("not ours")
    return outside


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    """A copy of a finished run with a report."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def asked_of(verb: str, run: Path, toml: Path) -> int:
    """Run one verb on the folder."""
    if verb == "run":
        return call(["run", str(toml), "--out", str(run)])
    if verb == "train":
        return call(["train", "bundled:pbmc68k", "--out", str(run)])
    return call([*verb.split(), str(run)])


def emptied(path: Path) -> Path:
    """The path, with nothing there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def linked_folder(path: Path, outside: Path) -> None:
    emptied(path).symlink_to(outside, target_is_directory=True)


def linked_file(path: Path, outside: Path) -> None:
    emptied(path).symlink_to(outside / "precious")


def linked_to_nothing(path: Path, outside: Path) -> None:
    emptied(path).symlink_to(outside / "not there")


def pipe(path: Path, _: Path) -> None:
    os.mkfifo(emptied(path))


def listening(path: Path, _: Path) -> None:
    folder = os.open(emptied(path).parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{folder}/{path.name}")  # a socket's path may have 107 letters
    os.close(folder)


def device(path: Path, _: Path) -> None:
    try:
        os.mknod(emptied(path), 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        pytest.skip("this user may not make devices")


HOSTILE: tuple[Callable[[Path, Path], None], ...] = (
    linked_folder, linked_file, linked_to_nothing, pipe, listening, device
)  # fmt: skip


def assert_refused(verb: str, run: Path, canary: Path, toml: Path, capsys, codes=(2,)) -> str:
    """The verb says one thing, at once, and has changed nothing: neither outside nor inside."""
    before, inside = state_of(canary), state_of(run)
    capsys.readouterr()
    code = asked_of(verb, run, toml)
    out, err = capsys.readouterr()
    assert state_of(canary) == before
    assert code in codes, err
    assert err.count("error:") == 1
    assert "Traceback" not in err
    assert out == ""
    assert state_of(run) == inside
    return err


@pytest.fixture
def toml(finished, tmp_path) -> Path:
    """The run's own configuration, elsewhere."""
    return Path(shutil.copy(finished / "run.toml", tmp_path / "asked.toml"))


@pytest.mark.parametrize("spoil", HOSTILE, ids=lambda f: f.__name__)
@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_plain_file_is_refused_wherever_it_lies(spoil, place, copy, canary, toml, capsys):
    spoil(copy / place, canary)
    for verb in some_verbs(HOSTILE.index(spoil) + PLACES.index(place)):
        err = assert_refused(verb, copy, canary, toml, capsys)
        assert str(copy / place) in err.replace("\n", "")


@pytest.mark.parametrize("name", [".lock", "run.json", "run.toml", "cells.h5ad", "claims.json", "sae/L0/metrics.jsonl"])
def test_a_folder_in_the_place_of_a_file_is_refused_by_every_verb(name, copy, canary, toml, capsys):
    emptied(copy / name).mkdir()
    for verb in VERBS:
        assert "a folder where a file is expected" in assert_refused(verb, copy, canary, toml, capsys)


@pytest.mark.parametrize("name", ["sae", "sae/L0", "programs", "fit", "steer", "contrast", "residuals"])
def test_a_file_in_the_place_of_a_folder_is_refused_by_every_verb(name, copy, canary, toml, capsys):
    emptied(copy / name).write_text("a file")
    for verb in VERBS:
        assert "a file where a folder is expected" in assert_refused(verb, copy, canary, toml, capsys)


def record(**steps: object) -> str:
    """A run.json with these steps."""
    return json.dumps({"steps": steps})


def files(*names: str) -> str:
    """A run.json whose step lists files of these names."""
    return record(train={"identity": "x", "files": dict.fromkeys(names, "0")})


NO_RECORD = {
    "list": "[]", "null": "null", "text": '"steps"', "number": "7", "empty": "", "half": '{"steps": {',
    "steps a list": '{"steps": []}', "steps null": '{"steps": null}', "step a list": record(train=[]),
    "no identity": record(train={"files": {}}), "files a list": record(train={"identity": "x", "files": ["a"]}),
    "no files": record(train={"identity": "x"}), "no hash": record(train={"identity": "x", "files": {"a": None}}),
    "deep": "[" * 100_000, "deep object": '{"a":' * 50_000 + "1" + "}" * 50_000, "digits": "9" * 9_999,
    "halves": '{"steps": {}, "seed": "\\ud800"}', "huge": '{"steps": {}, "a": "' + "x" * (1 << 25) + '"}',
    "absolute": files("{canary}/precious"), "up": files("../outside/precious"), "up inside": files("sae/../../x"),
    "up later": files("sae/L0/../../../outside/precious"), "nothing": files(""), "here": files("."),
    "nul": files("a\0b"),
    "doubled": files("sae//L0/cfg.json"), "long": files("a" * 70_000), "slash": files("sae/"), "root": files("/"),
}  # fmt: skip


@pytest.mark.parametrize("content", NO_RECORD.values(), ids=NO_RECORD)
def test_a_record_that_no_run_writes_is_damaged(content, copy, canary, toml, capsys):
    (copy / "run.json").write_text(content.replace("{canary}", str(canary)))
    for verb in some_verbs(list(NO_RECORD.values()).index(content)):
        assert "run.json" in assert_refused(verb, copy, canary, toml, capsys, codes=(3,))


NO_SETTINGS = {
    "empty": b"", "text": b"words", "bytes": b"\xff\xfe\x00", "deep": b"a = " + b"[" * 100_000,
    "deep keys": b"a." * 3_000 + b"a = 1", "digits": b"layer = " + b"9" * 9_999, "other": b"[[train]]\nk = 1",
    "half": b"cells = ",
}  # fmt: skip


@pytest.mark.parametrize("content", NO_SETTINGS.values(), ids=NO_SETTINGS)
def test_settings_that_no_run_writes_are_refused_by_every_verb_that_reads_them(content, copy, canary, toml, capsys):
    (copy / "run.toml").write_bytes(content)
    for verb in ("do fit", "do programs", "steer", "contrast"):
        assert "run.toml" in assert_refused(verb, copy, canary, toml, capsys)


@pytest.mark.parametrize(
    "verb", ["do fit", "report", *(pytest.param(v, marks=pytest.mark.slow) for v in ("contrast", "run"))]
)
def test_other_names_of_the_same_files_elsewhere_keep_their_content(verb, copy, tmp_path, toml, monkeypatch):
    """Every file of the run is a hard link to one outside; what is done anew must not write through it."""
    outside = tmp_path / "outside"
    shutil.copytree(copy, outside, copy_function=os.link)
    (outside / "seen").write_text("x")
    before = state_of(outside)
    changes = ["--set", "contrast.search.resamples=21"] if verb in ("contrast", "run") else []
    changes = ["--set", "fit.cells=9"] if verb == "do fit" else changes
    words = ["run", str(toml), "--out", str(copy)] if verb == "run" else [*verb.split(), str(copy)]
    assert call([*words, *changes]) == 0
    assert state_of(outside) == before


def test_names_in_a_record_that_lead_through_a_link_are_not_removed(tmp_path, canary):
    from cellprism.store.inside import remove

    run = tmp_path / "run"
    (run / "own").mkdir(parents=True)
    (run / "own" / "file").write_text("own")
    (run / "away").symlink_to(canary, target_is_directory=True)
    (run / "link").symlink_to(canary / "precious")
    before = state_of(canary)
    names = [
        "away/precious",
        "link",
        "../outside/precious",
        str(canary / "precious"),
        "own/file",
        "",
        "own/none",
        "own",
    ]
    remove(run, names)
    assert state_of(canary) == before
    assert sorted(p.name for p in run.iterdir()) == ["away", "link"], "a folder that is empty then goes too"
