"""The table of differences at the end of the run."""

import pytest
from torch import Tensor

FIGURES: list[str] = []


@pytest.fixture
def noted():
    """Note how far codes and reconstructions of two implementations are apart, and compare them."""

    def compare(direction: str, name: str, codes: tuple[Tensor, Tensor], reconstructions: tuple[Tensor, Tensor]):
        differ = int(((codes[0] != 0) != (codes[1] != 0)).sum())
        (code, largest), (vector, longest) = (
            (float((a - b).abs().max()), float(b.abs().max())) for a, b in (codes, reconstructions)
        )
        FIGURES.append(f"{direction:10} {name:45} {code:8.1e} {largest:8.1f} {vector:8.1e} {longest:8.1f} {differ:5d}")
        assert differ == 0, f"{differ} of {codes[0].numel()} features fire in one implementation only"
        assert code < 1e-5 * largest, f"codes of up to {largest:.1f} differ by up to {code:.1e}"
        assert vector < 1e-5 * longest, f"reconstructions of up to {longest:.1f} differ by up to {vector:.1e}"

    return compare


def pytest_terminal_summary(terminalreporter):
    if FIGURES:
        terminalreporter.section("largest differences: of codes, of reconstructions, features that one alone fires")
        terminalreporter.line(f"{'read by':10} {'case':45}    codes  largest  vectors  largest alone")
        for line in FIGURES:
            terminalreporter.line(line)
