import pytest
import torch

from cellprism.sae.kernels import product, threads


@pytest.fixture
def many_pieces(monkeypatch):
    """Tiny problems, cut as large ones would be."""
    monkeypatch.setattr(threads, "WORTH", 64)
    monkeypatch.setattr(product, "PREACTIVATIONS", 4 * 41)


@pytest.fixture
def torch_threads():
    """A way to set the number of threads for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
