"""What a person sees of work that takes long: a bar in a terminal, a line a minute in a log."""

import io
import time

import pytest
from rich.console import Console

from cellprism.cli import talk


@pytest.fixture
def log(monkeypatch) -> io.StringIO:
    text = io.StringIO()
    monkeypatch.setattr(talk, "console", Console(file=text, width=200))
    return text


def test_a_log_gets_a_line_at_a_time_even_while_the_work_says_nothing(log, monkeypatch):
    monkeypatch.setattr(talk, "EVERY", 0.02)
    with talk.bar("reading", 100) as advance:
        advance(25, "fast")
        time.sleep(0.1)
    lines = log.getvalue().splitlines()
    assert len(lines) >= 2
    assert lines[-1].startswith("reading: 0 s, 25 of 100, about 0 s left, fast")
    time.sleep(0.05)
    assert log.getvalue().splitlines() == lines, "nothing after the end"


def test_work_that_is_done_soon_leaves_a_log_empty(log):
    with talk.bar("reading", None) as advance:
        advance(3)
    assert log.getvalue() == ""


def test_a_line_says_how_far_it_is_and_about_how_long_it_takes_yet():
    assert talk.progress_line("training", 400, 100, "explained 0.8", 120) == (
        "training: 2 min, 100 of 400, about 6 min left, explained 0.8"
    )
    assert talk.progress_line("training", None, 7, "", 4000) == "training: 1 h 7 min, step 7"
    assert talk.progress_line("drawing", None, 0, "", 59) == "drawing: 59 s"
    assert talk.progress_line("drawing", 5, 5, "", 61) == "drawing: 1 min, 5 of 5"


def test_a_terminal_gets_a_bar_with_an_estimate(monkeypatch):
    text = io.StringIO()
    monkeypatch.setattr(talk, "console", Console(file=text, force_terminal=True, width=120))
    with talk.bar("reading", 100) as advance:
        advance(25, "fast")
        time.sleep(0.2)
        advance(50)
    assert "reading" in text.getvalue()
    assert "left" in text.getvalue()
