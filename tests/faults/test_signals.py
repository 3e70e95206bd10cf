"""Asked to stop, a training finishes its step and keeps it."""

import os
import signal
import threading
from functools import partial
from pathlib import Path

import pytest

from cellprism.sae.checkpoint import Interruption
from cellprism.sae.fit import fit_saes
from faults import training
from faults.training import STEPS, Child, Numbered, jobs, newest

pytestmark = pytest.mark.slow

train = partial(training.train, only="batchtopk")  # it has a state beside the weights
assert_same = partial(training.assert_same, only="batchtopk")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    train(folder)
    return folder


def sending(*numbers: int, at: int = 7):
    """Progress that sends this process signals during a step."""

    def progress(step, _):
        if step == at:
            for number in numbers:
                os.kill(os.getpid(), number)

    return progress


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_finishes_the_step_keeps_it_and_goes_on_from_there(tmp_path, unbroken, number):
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt, match=f"stopped after step 7 of {STEPS}"):
        train(tmp_path, seconds=1e9, progress=sending(number))
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert newest(tmp_path) == 7
    seen = []
    train(tmp_path, progress=lambda step, _: seen.append(step))
    assert seen == list(range(8, STEPS + 1))
    assert_same(tmp_path, unbroken)


def test_asked_twice_to_terminate_it_still_keeps_the_step(tmp_path):
    with pytest.raises(KeyboardInterrupt, match="stopped after step 7"):
        train(tmp_path, seconds=1e9, progress=sending(signal.SIGINT, signal.SIGTERM, signal.SIGTERM))
    assert newest(tmp_path) == 7


def test_a_second_ctrl_c_stops_at_once(tmp_path, unbroken, caplog):
    with pytest.raises(KeyboardInterrupt) as stopped:
        train(tmp_path, progress=sending(signal.SIGINT, signal.SIGINT))
    assert not str(stopped.value)
    assert [record.message for record in caplog.records if "stopping" in record.message] == [
        "stopping after this step; press Ctrl-C again to stop at once"
    ]
    assert newest(tmp_path) == 6
    train(tmp_path)
    assert_same(tmp_path, unbroken)


def test_ctrl_c_in_the_last_step_stops_what_comes_after_the_training(tmp_path, unbroken):
    with pytest.raises(KeyboardInterrupt, match=f"stopped after step {STEPS} of {STEPS}"):
        train(tmp_path, progress=sending(signal.SIGINT, at=STEPS))
    assert_same(tmp_path, unbroken)


def test_ctrl_c_before_the_first_step_waits_for_it(tmp_path, unbroken):
    class Pressed(Numbered):
        def from_step(self, step):
            os.kill(os.getpid(), signal.SIGINT)
            yield from super().from_step(step)

    with pytest.raises(KeyboardInterrupt, match="stopped after step 1 of"):
        fit_saes(Pressed(), jobs()[1:2], STEPS, checkpoints=tmp_path)
    train(tmp_path)
    assert_same(tmp_path, unbroken)


def test_ctrl_c_outside_all_steps_is_not_swallowed():
    with pytest.raises(KeyboardInterrupt), Interruption():
        os.kill(os.getpid(), signal.SIGINT)


def test_without_a_folder_it_stops_as_well():
    with pytest.raises(KeyboardInterrupt, match="stopped after step 7"):
        train(None, progress=sending(signal.SIGTERM))


def test_a_signal_that_is_ignored_stays_ignored(tmp_path, unbroken):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        train(tmp_path, progress=sending(signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)
    assert_same(tmp_path, unbroken)


def test_outside_the_main_thread_signals_are_left_alone(tmp_path, unbroken):
    handlers, during = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)], []

    def look(step, _):
        during.append([signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)])

    thread = threading.Thread(target=train, args=(tmp_path,), kwargs={"progress": look})
    thread.start()
    thread.join()
    assert during == [handlers] * STEPS
    assert_same(tmp_path, unbroken)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_trains_everything_ends_with_what_it_has_done(tmp_path, number):
    with Child(tmp_path, seconds=1e9) as child:
        for _ in range(5):
            step, _ = child.hear()
        os.kill(child.process.pid, number)
        last = child.last_words()
    assert last == f"KeyboardInterrupt: stopped after step {newest(tmp_path)} of {STEPS}"
    assert newest(tmp_path) >= step
