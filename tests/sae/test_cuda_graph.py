"""What may be recorded, that it can be, and on a GPU that a replayed training is the training."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from cellprism.sae.config import SaeConfig
from cellprism.sae.initial import start
from cellprism.sae.trainer import Trainer
from sae.conftest import planted

D, N, K, TOKENS, STEPS = 13, 41, 5, 101, 23
ON_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU on this machine")


def trainer(x: torch.Tensor, **settings) -> Trainer:
    config = SaeConfig(k=K, n_features=N, **settings)
    return Trainer(start(x, None, config, N, seed=0), config, STEPS, x)


@pytest.mark.parametrize(
    ("settings", "may"),
    [
        ({}, True),
        ({"relu": False, "biases": "two"}, True),
        ({"auxiliary": 0.03}, False),
        ({"architecture": "batchtopk"}, False),
        ({"architecture": "l1"}, False),
    ],
)
def test_only_steps_that_read_nothing_back_are_recorded(vectors, settings, may):
    training = trainer(vectors, **settings)
    assert training._is_recordable() == may
    assert not training.records, "not on a processor"


@pytest.mark.parametrize("biases", ["one", "two"])
def test_what_is_recorded_reads_nothing_back(biases):
    """Under fake tensors a number that is read back, or a size that depends on data, raises."""
    with FakeTensorMode():
        shapes = {"encoder": (N, D), "b_enc": (N,), "decoder": (N, D), "b_dec": (D,)}
        weights = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
        x = torch.empty(TOKENS, D, device="meta")
        training = Trainer(weights, SaeConfig(k=K, n_features=N, biases=biases), STEPS, x)
        gradients, error, fired = training._counted(x, x)
    assert set(gradients) == set(training.weights)
    assert (error.device.type, fired.device.type) == ("meta", "meta")


@ON_GPU
@pytest.mark.parametrize("biases", ["one", "two"])
def test_a_replayed_training_is_the_training(biases):
    x = planted(TOKENS * STEPS, D, 31, 3).x.cuda()
    replayed, plain = (trainer(x, biases=biases) for _ in range(2))
    plain.records = False
    batches = [*x.split(TOKENS)[:-1], x[:29]]  # the last has another size
    for batch in batches:
        found, expected = replayed.step(batch), plain.step(batch)
        assert found == {name: pytest.approx(value, rel=1e-3, abs=1e-6) for name, value in expected.items()}
    assert replayed.graph is not None
    for name, weight in replayed.weights.items():
        torch.testing.assert_close(weight, plain.weights[name], rtol=1e-3, atol=1e-4)
    assert torch.equal(replayed.silent, plain.silent)


@ON_GPU
def test_a_step_that_cannot_be_recorded_is_computed_and_the_log_says_so(caplog, monkeypatch):
    x = planted(TOKENS * STEPS, D, 31, 3).x.cuda()
    training = trainer(x, architecture="batchtopk")
    monkeypatch.setattr(training, "records", True)
    training.step(x[:TOKENS])
    assert training.done == 1
    assert "could not be recorded" in caplog.text
