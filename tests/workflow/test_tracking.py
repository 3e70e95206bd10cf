"""Trackers, stood in for by modules that note what they are told; the real ones need accounts or a dashboard."""

import sys
from types import SimpleNamespace

import pytest

from cellprism.errors import ConfigError
from cellprism.workflow.tracking import tracking


@pytest.fixture
def told(monkeypatch):
    """What a tracker called wandb was told."""
    calls = []

    def init(**words):
        print("a tracker that talks")
        calls.append(("init", words))

    def log(figures, step):
        calls.append(("log", step, figures))

    module = SimpleNamespace(init=init, log=log, finish=lambda: calls.append(("finish",)))
    monkeypatch.setitem(sys.modules, "wandb", module)
    return calls


def test_a_tracker_gets_settings_and_every_step_and_an_end(told, tmp_path):
    with tracking("wandb", tmp_path / "a", {"layer": 3}) as track:
        track(1, {"mse": 0.5})
        track(2, {"mse": 0.25})
    assert told == [
        ("init", {"project": "cellprism", "name": "a", "config": {"layer": 3}}),
        ("log", 1, {"mse": 0.5}),
        ("log", 2, {"mse": 0.25}),
        ("finish",),
    ]


def test_what_a_tracker_prints_stays_out_of_the_data(told, tmp_path, capsys):
    with tracking("wandb", tmp_path, {}):
        pass
    assert capsys.readouterr() == ("", "a tracker that talks\n")


def test_it_ends_when_the_training_fails(told, tmp_path):
    with pytest.raises(ZeroDivisionError), tracking("wandb", tmp_path, {}):
        1 / 0  # noqa: B018
    assert told[-1] == ("finish",)


def test_a_tracker_that_does_not_start_says_why(told, tmp_path, monkeypatch):
    def refuse(**words):
        raise RuntimeError("No API key configured")

    monkeypatch.setattr(sys.modules["wandb"], "init", refuse)
    with (
        pytest.raises(ConfigError, match="wandb did not start: No API key configured; or train without --track"),
        tracking("wandb", tmp_path, {}),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "message"),
    [("tensorboard", "expected wandb or trackio"), ("trackio", r"trackio is not installed.*cellprism\[track\]")],
)
def test_a_tracker_that_is_not_there_is_refused(name, message, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(ConfigError, match=message), tracking(name, tmp_path, {}):
        pass


def test_without_a_tracker_nothing_is_told(told, tmp_path):
    with tracking("", tmp_path, {}) as track:
        track(1, {"mse": 0.5})
    assert told == []
