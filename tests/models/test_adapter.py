"""The adapter of the guide has masked error, memory plan and device as the families that come with the package have."""

import sys
from types import ModuleType

import pytest
import torch

from cellprism.cells.genes import GeneTable
from cellprism.features.splice import MASKED, loss_recovered
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.types import HasWeights, HidesGenes, MovesToDevice, PlansPasses
from models.plugins import guide_example

WIDTH = 5


@pytest.fixture
def guide(monkeypatch) -> ModuleType:
    """The guide's module."""
    module = ModuleType("meanfield")
    monkeypatch.setitem(sys.modules, "meanfield", module)
    exec(compile(guide_example()[0], "adapter-guide.md", "exec"), module.__dict__)
    return module


@pytest.fixture
def adapter(guide, cells):
    """A model of random weights for the genes of the cells."""
    shapes = {"gene": (cells.n_vars, WIDTH), "value": (WIDTH,), "own": (3, WIDTH, WIDTH), "cell": (3, WIDTH, WIDTH),
              "readout": (WIDTH,)}  # fmt: skip
    draw = torch.Generator().manual_seed(0)
    weights = {name: torch.randn(shape, generator=draw) / 4 for name, shape in shapes.items()}
    return guide.MeanField(weights, GeneTable.of(list(cells.var_names)), "little")


def exact() -> SparseAutoencoder:
    """Reconstructs anything."""
    both = torch.cat([torch.eye(WIDTH), -torch.eye(WIDTH)])
    return SparseAutoencoder(both.T.contiguous(), torch.zeros(2 * WIDTH), both, torch.zeros(WIDTH), k=WIDTH)


def test_it_has_the_abilities_that_the_guide_names(adapter):
    assert all(isinstance(adapter, kind) for kind in (HidesGenes, PlansPasses, MovesToDevice, HasWeights))


def test_a_masked_error_is_recovered_by_a_perfect_autoencoder(adapter, cells):
    found = loss_recovered(adapter, {"exact": exact()}, cells, 1)["exact"]
    assert found.loss == MASKED
    assert found.spliced == pytest.approx(found.original, rel=1e-5)
    assert set(found.recovered) == {"zero", "mean", "gene_mean"}


def test_its_plan_grows_with_what_is_free(adapter, cells):
    one = adapter.plan(cells.n_vars, free=10**9).cell_bytes
    assert one == 2 * 5 * cells.n_vars * WIDTH * 4
    assert adapter.plan(cells.n_vars, free=10 * one).cells == 8
    assert adapter.plan(cells.n_vars, gradient=True, free=10**9).cell_bytes > one


def test_it_moves_with_its_batches(adapter, cells):
    assert adapter.to(torch.device("meta")) is adapter
    batch = next(adapter.batches(cells, 3))
    out = adapter.resume(batch, 0, adapter.residual(batch, 0))
    assert {t.device.type for t in (batch.values, out.expression, out.token)} == {"meta"}
