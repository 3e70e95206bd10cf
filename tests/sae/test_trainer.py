"""A training step of every architecture against autograd and Adam in float64."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from cellprism.errors import RunError
from cellprism.sae import trainer as module
from cellprism.sae.config import SaeConfig
from cellprism.sae.cpu_step import CpuSteps
from cellprism.sae.initial import start
from cellprism.sae.kernels import screen
from cellprism.sae.kernels.product import Way
from cellprism.sae.trainer import Trainer
from sae.conftest import planted

D, N, K, TOKENS, STEPS = 13, 41, 5, 101, 7
Weights = dict[str, Tensor]


@pytest.fixture
def batches() -> list[Tensor]:
    return [b.double() for b in planted(TOKENS * STEPS, D, 31, 3).x.split(TOKENS)]


def trainer(x: Tensor, config: SaeConfig) -> Trainer:
    return Trainer(start(x, None, config, N, seed=0), config, STEPS, x)


def top(h: Tensor, k: int) -> Tensor:
    values, features = h.topk(k, dim=1)
    return torch.zeros_like(h).scatter(1, features, values)


def largest_of_batch(h: Tensor, k: int) -> Tensor:
    return h * (h >= h.flatten().topk(k * len(h)).values.min()) * (h > 0)


class Jump(torch.autograd.Function):
    """1[h > theta] whose derivative by theta is a box, and by h nothing."""

    @staticmethod
    def forward(ctx, h, theta, window):
        ctx.save_for_backward(h, theta)
        ctx.window = window
        return (h > theta).to(h)

    @staticmethod
    def backward(ctx, grad):
        h, theta = ctx.saved_tensors
        box = ((h - theta).abs() < ctx.window / 2).to(h) / ctx.window
        return None, -(grad * box).sum(0), None


def loss_of(config: SaeConfig, w: Weights, x: Tensor, state: Weights) -> Tensor:
    """The loss as the papers write it, with every feature computed."""
    h = (x - w["b_dec"]) @ w["encoder"].T + w["b_enc"]
    bias = w["b_dec"] + w.get("b_out", 0)

    def error(z: Tensor, decoder: Tensor = w["decoder"]) -> Tensor:
        return ((z @ decoder + bias - x) ** 2).mean()

    penalty = float(state.get("sparsity", torch.tensor(0.0))) / D
    match config.architecture:
        case "topk":
            z = top(h, K)
            return error(z.relu() if config.relu else z)
        case "batchtopk":
            return error(largest_of_batch(h, K))
        case "matryoshka":
            z = largest_of_batch(h, K)
            ends = [round(share * N) for share in config.prefixes]
            return sum(error(z * (torch.arange(N) < end)) for end in ends) / len(ends)
        case "l1":
            z = h.relu()
            return error(z) + penalty * (z * w["decoder"].norm(dim=1)).sum(1).mean()
        case "gated":
            gate, frozen = h.relu(), w["decoder"].detach()
            z = (h > 0) * ((h - w["b_enc"]) * w["r_mag"].exp() + w["b_mag"]).relu()
            through_gate = ((gate @ frozen - (x - bias).detach()) ** 2).mean()
            return error(z) + penalty * (gate * frozen.norm(dim=1)).sum(1).mean() + through_gate
        case _:
            theta = w["log_threshold"].exp()
            window = float(state["window"])
            open_ = Jump.apply(h, theta, window)
            z = h * open_.detach() + (h * 0).detach() + theta * (open_ - open_.detach())
            return error(z) + penalty * open_.sum(1).mean()


CASES = [
    SaeConfig(k=K, n_features=N),
    SaeConfig(k=K, n_features=N, relu=False),
    SaeConfig(k=K, n_features=N, biases="two"),
    SaeConfig(k=K, n_features=N, unit_norm=False),
    SaeConfig(k=K, n_features=N, architecture="batchtopk"),
    SaeConfig(k=K, n_features=N, architecture="matryoshka", prefixes=(0.2, 0.5, 1.0)),
    SaeConfig(k=K, n_features=N, architecture="l1"),
    SaeConfig(k=K, n_features=N, architecture="gated"),
    SaeConfig(k=K, n_features=N, architecture="jumprelu"),
]


@pytest.mark.parametrize("config", CASES, ids=lambda c: f"{c.architecture}-{c.relu}-{c.biases}-{c.unit_norm}")
def test_steps_equal_autograd_and_adam(config, batches):
    training = trainer(batches[0], config)
    training.weights["b_enc"] += 1e-3  # training starts with a threshold on a pre-activation, where rounding decides
    oracle = {name: w.clone().requires_grad_() for name, w in training.weights.items()}
    adam = torch.optim.Adam(oracle.values(), lr=config.learning_rate)
    for x in batches:
        adam.param_groups[0]["lr"] = training.learning_rate()
        state = {name: t.clone() for name, t in training.architecture.state.items()}
        adam.zero_grad()
        loss_of(config, oracle, x, state).backward()
        decoder = oracle["decoder"]
        with torch.no_grad():
            if config.unit_norm:
                decoder.grad -= (decoder.grad * decoder).sum(1, keepdim=True) * decoder
            adam.step()
            if config.unit_norm:
                decoder.copy_(normalize(decoder, dim=1))
        training.step(x)
    for name, expected in oracle.items():
        torch.testing.assert_close(training.weights[name], expected.detach(), rtol=1e-8, atol=1e-11, msg=name)


def test_dead_features_learn_from_what_the_others_left(batches):
    weight, x = 0.3, batches[0]
    config = SaeConfig(k=K, n_features=N, auxiliary=weight, dead_after=1)
    training = trainer(x, config)
    dead = torch.arange(N) % 3 == 0
    training.weights["b_enc"][dead] = -1000  # cannot be chosen, except among themselves
    training.silent[dead] = 7
    oracle = {name: w.clone().requires_grad_() for name, w in training.weights.items()}
    h = (x - oracle["b_dec"]) @ oracle["encoder"].T + oracle["b_enc"]
    x_hat = top(h, K).relu() @ oracle["decoder"] + oracle["b_dec"]
    left = (x - x_hat).detach()
    read = (x - oracle["b_dec"]).detach()
    own = read @ oracle["encoder"][dead].T + oracle["b_enc"][dead]
    revived = ((top(own, D // 2).relu() @ oracle["decoder"][dead] - left) ** 2).mean()
    expected = torch.autograd.grad(((x_hat - x) ** 2).mean() + weight * revived, list(oracle.values()))
    found, _, _ = training._counted(x - training.weights["b_dec"], x - training.weights["b_dec"])
    for name, gradient in zip(oracle, expected, strict=True):
        torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.slow
def test_the_auxiliary_loss_brings_features_back():
    data = planted(20_000, 31, 61, 3)
    batches = list(data.x.split(500))
    ends = {}
    for auxiliary in (0.0, 1 / 32):
        config = SaeConfig(k=3, n_features=61, auxiliary=auxiliary, dead_after=2000, learning_rate=1e-2)
        begin = start(data.x, None, config, 61, seed=0)
        begin["encoder"][::2] *= 0.01  # half of them start too weak to be among the largest, and every one is needed
        training = Trainer(begin, config, 200, data.x)
        for step in range(200):
            ends[auxiliary] = training.step(batches[step % len(batches)])
    without, with_it = ends[0.0], ends[1 / 32]
    assert without["dead_share"] > 0.4
    assert with_it["dead_share"] < 0.2
    assert with_it["explained_variance"] > without["explained_variance"] + 0.1


@pytest.mark.parametrize(
    ("null", "stays", "moves"),
    [
        ("untrained", {"encoder", "decoder", "b_enc", "b_dec"}, set()),
        ("frozen-decoder", {"decoder"}, {"encoder", "b_enc", "b_dec"}),
        ("frozen-encoder", {"encoder"}, {"decoder", "b_enc", "b_dec"}),
    ],
)
def test_a_control_leaves_out_its_part_of_the_learning(null, stays, moves, batches):
    training = trainer(batches[0], SaeConfig(k=K, n_features=N, null=null))
    before = {name: w.clone() for name, w in training.weights.items()}
    for x in batches:
        training.step(x)
    assert {name for name, w in training.weights.items() if torch.equal(w, before[name])} == stays
    assert stays | moves == set(before)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["l1", "gated", "jumprelu"])
def test_the_penalty_finds_the_weight_at_which_k_features_fire(architecture):
    data = planted(20_000, 31, 61, 6)
    config = SaeConfig(architecture=architecture, k=6, n_features=61, learning_rate=3e-3)
    training = Trainer(start(data.x, None, config, 61, seed=0), config, 900, data.x[:1000])
    batches = data.x.split(500)
    for step in range(900):
        figures = training.step(batches[step % len(batches)])
    assert figures["l0"] == pytest.approx(6, rel=0.2)
    assert figures["explained_variance"] > 0.3


def test_a_given_penalty_stays():
    data = planted(1000, 31, 61, 3)
    config = SaeConfig(architecture="l1", k=6, n_features=61, sparsity=0.7)
    training = Trainer(start(data.x, None, config, 61, seed=0), config, 3, data.x)
    assert [training.step(data.x)["sparsity"] for _ in range(3)] == [pytest.approx(0.7)] * 3


@pytest.mark.parametrize("config", CASES, ids=lambda c: f"{c.architecture}-{c.relu}-{c.biases}-{c.unit_norm}")
def test_going_on_from_saved_tensors_gives_the_same_bits(config, batches):
    whole = trainer(batches[0], config)
    figures = [whole.step(x) for x in batches]
    first = trainer(batches[0], config)
    for x in batches[:3]:
        first.step(x)
    kept = {name: t.clone() for name, t in first.tensors().items()}
    second = trainer(batches[1], config)
    second.load(kept)
    assert [second.step(x) for x in batches[3:]] == figures[3:]
    for name, expected in whole.tensors().items():
        assert torch.equal(second.tensors()[name], expected), name


def test_no_way_of_multiplying_changes_a_training(batches, monkeypatch):
    """So a training may go on where another way is fastest."""
    made = []
    for dtype in (torch.float32, torch.bfloat16):
        monkeypatch.setattr(screen, "way_for", lambda *_, dtype=dtype: Way(dtype, onednn=False))
        training = trainer(batches[0].float(), SaeConfig(k=K, n_features=N))
        for x in batches:
            training.step(x.float())
        made.append(training.tensors())
    for name, expected in made[0].items():
        assert torch.equal(made[1][name], expected), name


def test_a_training_does_not_go_on_in_another_precision(batches, monkeypatch):
    x, config = batches[0].float(), SaeConfig(k=K, n_features=N, precision="bfloat16")
    trainings = {}
    for precision in ("bfloat16", "float32"):
        monkeypatch.setattr(module, "steps_for", lambda *_, p=precision: CpuSteps(p))
        trainings[precision] = trainer(x, config)
        trainings[precision].step(x)
        kept = {name: t.clone() for name, t in trainings[precision].tensors().items()}
        trainings[precision].load(kept)
        if precision == "bfloat16":
            before = kept
    with pytest.raises(RunError, match="step 1 features were selected in bfloat16, and here they would be in float32"):
        trainings["float32"].load(before)
