"""Commands in messages can be pasted into a shell."""

import re
import shlex
from pathlib import Path

import pytest

from cellprism.display import command
from cellprism.errors import RunError
from cellprism.store.run import Run

SOURCES = Path(__file__).parents[1] / "src" / "cellprism"


@pytest.mark.parametrize("name", ["runs/a", "my runs/a", "it's", "-- b; rm c", "é/$HOME", ""])
def test_a_command_is_read_by_a_shell_as_it_was_meant(name):
    assert shlex.split(command("do", "map", Path(name) if name else "")) == ["cellprism", "do", "map", name]


def test_a_message_names_a_command_for_any_folder(tmp_path):
    folder = tmp_path / "my run; x"
    with pytest.raises(RunError, match="no finished step 'train'; make it first with: ") as said:
        Run(folder).require("train", "train", "CELLS", "--out")
    assert shlex.split(str(said.value).partition("with: ")[2]) == ["cellprism", "train", "CELLS", "--out", str(folder)]


def test_no_message_puts_a_path_into_a_command_by_hand():
    by_hand = re.compile(
        r"cellprism (do|run|train|report|steer|contrast|encode)\b[^\"'\n]*\{(?!command)[\w.]*(run|folder|out)\b"
    )
    found = {
        path.relative_to(SOURCES).as_posix(): by_hand.search(text)[0]  # pyright: ignore[reportOptionalSubscript]
        for path in sorted(SOURCES.rglob("*.py"))
        if by_hand.search(text := path.read_text())
    }
    assert not found
