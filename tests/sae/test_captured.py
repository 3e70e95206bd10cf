"""The step of the GPU's graph, run on a processor without one; and as a graph where there is a GPU."""

import pytest
import torch

from cellprism.sae.captured import CapturedSettings, CapturedTraining, fastest
from cellprism.sae.config import SaeConfig
from cellprism.sae.initial import start
from cellprism.sae.trainer import Trainer
from sae.conftest import planted

D, N, K, TOKENS, STEPS = 13, 41, 5, 101, 23


@pytest.fixture
def vectors() -> torch.Tensor:
    return planted(TOKENS * STEPS, D, 31, 3).x


def captured(vectors: torch.Tensor, backward: str, dtype: torch.dtype = torch.float32) -> CapturedTraining:
    weights = start(vectors, None, SaeConfig(k=K), N, seed=0)
    return CapturedTraining(vectors, weights, CapturedSettings(K, TOKENS, backward=backward, dtype=dtype), STEPS)


@pytest.mark.parametrize("backward", ["dense", "sparse"])
def test_steps_are_those_of_the_trainer(vectors, backward):
    ours = captured(vectors, backward)
    trainer = Trainer(start(vectors, None, SaeConfig(k=K), N, seed=0), SaeConfig(k=K), STEPS, vectors)
    for x in vectors.split(TOKENS):
        figures = trainer.step(x)
        ours.train_on(x)
        assert float(ours.error) == pytest.approx(figures["mse"], rel=1e-4)
    for name, weight in ours.weights.items():
        torch.testing.assert_close(weight, trainer.weights[name], rtol=1e-3, atol=1e-4)
    assert torch.equal(ours.silent, trainer.silent)
    assert int(ours.done) == STEPS


def test_bfloat16_products_reach_the_same_fit(vectors):
    errors = {}
    for dtype in (torch.float32, torch.bfloat16):
        training = captured(vectors, "dense", dtype)
        for x in vectors.split(TOKENS):
            training.train_on(x)
        errors[dtype] = float(training.error)
    assert errors[torch.bfloat16] == pytest.approx(errors[torch.float32], rel=0.05)


def test_batches_are_drawn_from_all_vectors_and_the_seed_decides_them(vectors):
    first, again = (captured(vectors, "sparse") for _ in range(2))
    before = first.weights["decoder"].clone()
    first.run(7)
    again.run(7)
    assert int(first.done) == 7
    assert torch.equal(first.weights["decoder"], again.weights["decoder"])
    assert not torch.allclose(first.weights["decoder"], before)


def test_the_faster_gradient_is_found_without_touching_the_weights(vectors):
    training = captured(vectors, "dense")
    before = {name: w.clone() for name, w in training.weights.items()}
    way, seconds = fastest(vectors, training.weights, training.settings, trial=3)
    assert seconds[way] == min(seconds.values())
    assert all(torch.equal(w, before[name]) for name, w in training.weights.items())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU on this machine")
@pytest.mark.parametrize("backward", ["dense", "sparse"])
def test_the_graph_trains_as_its_step_does(vectors, backward):
    here, there = captured(vectors, backward), captured(vectors.cuda(), backward)
    here.run(STEPS)
    there.run(STEPS)
    assert int(there.done) == STEPS
    assert float(there.error) == pytest.approx(float(here.error), rel=0.2)  # other batches, the same fit
