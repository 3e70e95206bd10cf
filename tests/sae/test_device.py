"""What computes stays on the device of its operands: no copy to the processor by the way, no constant made there.

Under torch's fake tensors nothing is computed, but an operation on tensors of two devices raises as it would on a GPU.
A torch without CUDA can neither index nor differentiate fake tensors of a GPU; those of device "meta" stand in there.
"""

import ast
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import cellprism.sae
from cellprism.equations import penalties, sparse, steering
from cellprism.equations.sparse import Pairs
from cellprism.sae.architectures import ARCHITECTURES
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.config import SaeConfig
from cellprism.sae.engine import steps_for
from cellprism.sae.plain_step import PlainSteps
from cellprism.types import SparseCode

TOKENS, D, N, K = 17, 13, 41, 5
ELSEWHERE = "cuda" if torch.cuda.is_available() else "meta"
HOST_COPIES = {
    "checkpoint.py": "what goes to disk",
    "files.py": "what goes to disk",
    "evaluate.py": "firing rates, once at the end",
    "adam.py": "a kernel for processors",
    "backward.py": "a kernel for processors",
    "pursuit.py": "a kernel for processors",
    "screen.py": "a kernel for processors",
    "select.py": "a kernel for processors",
}


@pytest.fixture(params=[ELSEWHERE])
def device(request):
    with FakeTensorMode():
        yield request.param


def code(device: str) -> SparseCode:
    return SparseCode(torch.empty(TOKENS, K, device=device), torch.zeros(TOKENS, K, dtype=torch.long, device=device), N)


def weights(device: str) -> dict[str, Tensor]:
    shapes = {"encoder": (N, D), "b_enc": (N,), "decoder": (N, D), "b_dec": (D,)}
    return {name: torch.empty(shape, device=device) for name, shape in shapes.items()}


def stays(result: object, device: str) -> None:
    """All tensors of a result, which are some, are there."""
    tensors = [part for part in (result if isinstance(result, tuple) else (result,)) if isinstance(part, Tensor)]
    assert tensors
    assert {t.device.type for t in tensors} == {device}


def test_two_devices_do_raise():
    with FakeTensorMode(), pytest.raises(RuntimeError, match="two devices"):
        sparse.preactivations(torch.empty(TOKENS, D, device="cuda"), torch.empty(D, N), torch.empty(N, device="cuda"))


def test_equations_that_do_not_index_stay_on_a_gpu():
    with FakeTensorMode():
        w, x = weights("cuda"), torch.empty(TOKENS, D, device="cuda")
        h = sparse.preactivations(x, w["encoder"].T, w["b_enc"], w["b_dec"])
        found = sparse.top_k(h, K)
        z, is_open = penalties.jump_relu(h, w["b_enc"], 0.1)
        results = (
            h, found.values, found.features, sparse.decode(found, w["decoder"], w["b_dec"]), z, is_open,
            sparse.mean_squared_error(x, x), sparse.tangential(w["encoder"], w["decoder"]),
            sparse.bias_gradient(w["b_dec"], w["b_enc"], w["encoder"]), sparse.least_squares_scale(x, x),
            penalties.l1_penalty(h, w["decoder"]), penalties.gated(h, w["b_enc"], w["b_enc"]),
            steering.squared_edit_norm(found, w["decoder"]), *sparse.pairs_of(found)[:3],
        )  # fmt: skip
        stays(results, "cuda")


def test_sparse_equations_stay(device):
    w, x, pairs = weights(device), torch.empty(TOKENS, D, device=device), sparse.pairs_of(code(device))
    stays(sparse.tokens_of(pairs), device)
    stays(tuple(sparse.joined([pairs, pairs])), device)
    stays(sparse.decode_pairs(pairs, w["decoder"], w["b_dec"]), device)
    stays(sparse.pair_products(pairs, w["decoder"], x), device)
    stays(tuple(sparse.pair_gradients(pairs, x, x, w["decoder"])), device)


def test_steering_equations_stay(device):
    w, x, strengths = weights(device), torch.empty(TOKENS, D, device=device), torch.empty(N, device=device)
    stays(steering.steering_delta(code(device), strengths, w["decoder"]), device)
    stays(steering.strength_gradient(code(device), w["decoder"], x), device)


def test_encoding_and_decoding_stay(device):
    w, x = weights(device), torch.empty(TOKENS, D, device=device)
    sae = SparseAutoencoder(w["encoder"].T, w["b_enc"], w["decoder"], w["b_dec"], k=K, centre=x[:1])
    found = sae.encode(x)
    stays((found.values, found.features, sae.decode(found)), device)


def test_a_step_stays_up_to_the_gradients(device):
    w, x = weights(device), torch.empty(TOKENS, D, device=device)
    steps = steps_for(x)
    assert isinstance(steps, PlainSteps)
    pairs: Pairs = steps.top_k(x, w["encoder"], w["b_enc"], K, True)
    back = steps.backward(pairs, x, x, w["decoder"], True, (N,))
    stays((*pairs[:3], *back.gradients, back.upstream, back.squared_error, back.fired, back.error), device)


@pytest.mark.parametrize("name", ["l1", "gated"])
def test_losses_stay(device, name):
    w, h = weights(device), torch.empty(TOKENS, N, device=device)
    w |= {"log_threshold": w["b_enc"], "r_mag": w["b_enc"], "b_mag": w["b_enc"]}
    architecture = ARCHITECTURES[name](SaeConfig(architecture=name, k=K, n_features=N))
    stays(architecture.code(h, w), device)
    further = architecture.further_loss(h, w, torch.empty(TOKENS, D, device=device))
    if further is not None:
        stays(further, device)


def copies(path: Path) -> bool:
    """Whether a file brings a tensor to the processor."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    named = [(call.func.attr, call.args) for call in calls if isinstance(call.func, ast.Attribute)]
    return any(
        name in ("cpu", "numpy") or (name == "to" and any(ast.unparse(a) == "'cpu'" for a in args))
        for name, args in named
    )


def test_only_these_files_copy_to_the_processor():
    files = Path(cellprism.sae.__file__).parent.rglob("*.py")
    assert {path.name for path in files if copies(path)} == HOST_COPIES.keys()
