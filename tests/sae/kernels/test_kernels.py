"""When the kernels are not used, and what else they need."""

import subprocess
import sys

import pytest
import torch

import cellprism.sae.kernels as kernels
from cellprism.sae.kernels.compiled import compiled


def test_float32_on_a_processor_is_covered():
    assert kernels.unsupported(torch.device("cpu"), torch.float32) is None


@pytest.mark.parametrize(
    ("device", "dtype", "reason"),
    [
        ("meta", torch.float32, "for CPUs and the weights are on meta"),
        ("cpu", torch.float64, "the weights are float64"),
    ],
)
def test_other_cases_are_refused_with_the_reason(device, dtype, reason):
    assert reason in kernels.unsupported(torch.device(device), dtype)


def test_numba_may_be_missing_or_switched_off(monkeypatch):
    from numba import config

    monkeypatch.setattr(config, "DISABLE_JIT", 1)
    assert "switched off" in kernels.unsupported(torch.device("cpu"), torch.float32)
    monkeypatch.setattr(kernels, "find_spec", lambda name: None)
    assert kernels.unsupported(torch.device("cpu"), torch.float32) == "numba is not installed"


def test_asking_does_not_import_numba():
    code = "import sys, cellprism.sae.kernels; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_loops_compile_where_no_result_can_be_kept():
    namespace = {}
    exec(compile("def double(x):\n    return 2 * x\n", "<no such file>", "exec"), namespace)
    assert compiled()(namespace["double"])(21) == 42
