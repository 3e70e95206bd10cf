"""Ways of multiplying: what a processor can do, what is fastest, and what does not change."""

import logging
import os
import subprocess
import sys

import pytest
import torch

from cellprism.sae.kernels import product
from cellprism.sae.kernels.product import PREACTIVATIONS, Product, Way, fastest, has_onednn, slice_of, usable, way_for

SMALL = """
import torch
from cellprism.sae.kernels.product import Precision, usable, ways
from cellprism.sae.kernels.select import select_top_k
from cellprism.sae.engine import steps_for
x, encoder, b_enc = torch.randn(17, 13), torch.randn(41, 13), torch.randn(41)
expected = select_top_k(x, encoder, b_enc, 5)
for precision in ("float32", "bfloat16"):
    steps_for(x, precision).top_k(x, encoder, b_enc, 5, True)
    select_top_k(x, encoder, b_enc, 5, precision=precision)
best = torch.addmm(b_enc, x, encoder.T).topk(5, dim=1)
assert torch.equal(best.indices.sort(dim=1).values, expected.features)
print(*ways())
"""


@pytest.fixture
def forgetful():
    """Answers that were cached are asked anew, before and after."""
    cached = (has_onednn, fastest, usable, product.multiplies_bfloat16)
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


def _ways() -> list[Way]:
    dtypes = torch.float32, torch.bfloat16
    return [Way(d, onednn) for d in dtypes for onednn in (True, False) if not onednn or has_onednn(d)]


@pytest.mark.parametrize("way", _ways(), ids=str)
def test_all_ways_compute_the_same_product(way):
    x, encoder, b_enc = torch.randn(17, 13), torch.randn(41, 13), torch.randn(41)
    h = Product(encoder.to(way.dtype), b_enc.to(way.dtype), way.onednn)(x.to(way.dtype))
    assert h.dtype == way.dtype
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if way.dtype == torch.float32 else {"rtol": 0.02, "atol": 0.1}
    torch.testing.assert_close(h.float(), x @ encoder.T + b_enc, **tolerance)


def test_onednn_in_float32_does_not_hang_on_bfloat16(forgetful, monkeypatch):
    """As on processors that can do the one and raise at the other."""

    def only_float32(weight: torch.Tensor, tokens: int | None) -> torch.Tensor:
        raise RuntimeError("bf16 path needs the cpu support")

    found = has_onednn(torch.float32)
    has_onednn.cache_clear()
    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", only_float32)
    assert has_onednn(torch.float32) == found
    assert not has_onednn(torch.bfloat16)
    assert not product.multiplies_bfloat16()
    assert way_for("bfloat16", 17, 41, 13) == Way(torch.bfloat16, onednn=False)


def test_bfloat16_falls_back_and_says_so_once(forgetful, monkeypatch, caplog):
    monkeypatch.setattr(product, "multiplies_bfloat16", lambda: False)
    with caplog.at_level(logging.INFO):
        assert [usable("bfloat16"), usable("bfloat16"), usable("float32")] == ["float32"] * 3
    assert len(caplog.messages) == 1
    assert "no instructions for products in bfloat16" in caplog.messages[0]


def test_bfloat16_is_taken_where_the_processor_has_it(forgetful, monkeypatch, caplog):
    monkeypatch.setattr(product, "multiplies_bfloat16", lambda: True)
    assert usable("bfloat16") == "bfloat16"
    assert not caplog.messages


def test_the_fastest_way_is_found_once_for_a_shape_and_said(forgetful, monkeypatch, caplog):
    seconds = dict.fromkeys(_ways(), 2.0) | {Way(torch.float32, onednn=False): 1.0}
    monkeypatch.setattr(product, "_seconds", lambda *_: seconds)
    with caplog.at_level(logging.INFO):
        chosen = {way_for("float32", tokens, 4096, 64) for tokens in (512, 4096)}
    assert chosen == {Way(torch.float32, onednn=False)}
    assert len(caplog.messages) == 1
    assert "4096 features of 64 dimensions is by torch in float32" in caplog.messages[0]


def test_ways_are_timed_on_the_shape_at_hand(forgetful):
    seconds = product._seconds(512, 64)
    assert set(seconds) == set(product.ways())
    assert fastest(512, 64) in seconds


def test_little_work_is_not_timed(forgetful, monkeypatch):
    monkeypatch.setattr(product, "fastest", lambda *_: pytest.fail("timed"))
    few = slice_of(5120) - 1
    for tokens, features, d_model in ((few, 5120, 640), (4096, 41, 13)):
        assert way_for("float32", tokens, features, d_model).dtype == torch.float32


@pytest.mark.parametrize("features", [1, 41, 5120, 100_000, 2 * PREACTIVATIONS])
def test_slices_fit_and_are_never_empty(features):
    size = slice_of(features)
    assert 1 <= size <= 1024
    assert size == 1 or size * features <= PREACTIVATIONS


@pytest.mark.slow
@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
        {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
        {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "ATEN_CPU_CAPABILITY": "default"},
    ],
    ids=["as it is", "AVX2", "SSE4.1", "no vectors"],
)
def test_selection_works_on_lesser_processors(limits, tmp_path):
    here = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)} if "NUMBA_CPU_NAME" in limits else dict(os.environ)
    done = subprocess.run([sys.executable, "-c", SMALL], env={**here, **limits}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "float32" in done.stdout
