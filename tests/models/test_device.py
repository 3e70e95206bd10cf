"""Every family computes where its parameters are; nothing of the processor's enters, but for the copies that are named.

Not run: Geneformer's blocks and the search of DGD, whose control flow depends on values; the rest of DGD is.
"""

import pytest
import torch

from cellprism.cells.genes import GeneTable
from cellprism.models.aido.model import AidoCell
from cellprism.models.latent.dgd import DgdModel, DgdSizes
from cellprism.models.latent.scvi import ScviModel, ScviSizes
from cellprism.models.scgpt.model import ScGpt
from cellprism.types import CellBatch
from models.pretended_gpu import ALLOWED, CELLS, GENES, on_gpu, pretended_gpu

NAMES = [f"G{i}" for i in range(GENES)]
SHAPE = {"hidden": 14, "layers": 3, "heads": 2, "intermediate": 19}


def batch_of_genes(extra: int) -> CellBatch:
    tokens = GENES + extra
    gene, present = on_gpu([tokens], torch.long), on_gpu([CELLS, tokens], torch.bool)
    return CellBatch(on_gpu([CELLS, tokens]), gene, present, on_gpu([CELLS], torch.long))


def whole_cells() -> CellBatch:
    one = on_gpu([CELLS, 1])
    return CellBatch(one, on_gpu([1], torch.long), one.bool(), on_gpu([CELLS], torch.long), on_gpu([CELLS, GENES]))


def aido() -> AidoCell:
    """In float32: torch warns of autocast where there is no GPU."""
    model = AidoCell.random(NAMES, **SHAPE)
    model.compute_dtype = torch.float32
    return model


def all_on_gpu(*tensors) -> bool:
    return all(t.device.type == "cuda" for t in tensors if t is not None)


def test_aido_follows_its_parameters():
    model = aido()
    with pretended_gpu(model) as watched:
        batch = batch_of_genes(2)
        x = model.residuals(batch, [0, 2])
        out = model.resume(batch, 0, x[0])
        assert all_on_gpu(*x, out.expression, out.embedding, out.token)
        some = model.resume_at(batch, 0, x[0], on_gpu([3], torch.long))
        assert all_on_gpu(some.expression, some.embedding, some.token)
        assert all_on_gpu(model.mask(batch, batch.present).values)
        assert watched.copied == {"aido.model._embedded", "aido.model.resume"}


def test_scgpt_follows_its_parameters_behind_its_input():
    model = ScGpt.random(NAMES, **SHAPE)
    with pretended_gpu(model):
        batch, x = batch_of_genes(1), on_gpu([CELLS, GENES + 1, 14])
        out = model.resume(batch, 0, x)
        assert all_on_gpu(out.expression, out.embedding, out.token)


def test_models_of_counts_follow_their_parameters():
    scvi = ScviModel.random(ScviSizes(GENES, 5, 11, 1), GeneTable.of(NAMES), 0)
    with pretended_gpu(scvi) as watched:
        batch = whole_cells()
        x = scvi.residual(batch, 0)
        out = scvi.resume(batch, 0, x)
        assert all_on_gpu(x, out.expression, out.embedding)
        assert not watched.copied
    dgd = DgdModel.random(DgdSizes(GENES, 5, 3, 11), GeneTable.of(NAMES), 0)
    with pretended_gpu(dgd):
        out = dgd.resume(whole_cells(), 0, on_gpu([CELLS, 1, 5]))
        assert all_on_gpu(out.expression, out.embedding, dgd.mixture.log_density(on_gpu([CELLS, 5])))


def test_a_tensor_of_the_processor_is_refused():
    model = aido()
    with pretended_gpu(model), pytest.raises(RuntimeError, match="device"):
        model.resume(batch_of_genes(2), 0, torch.empty(CELLS, GENES + 2, 14))


def test_a_copy_to_the_host_that_is_not_named_is_refused(monkeypatch):
    monkeypatch.delitem(ALLOWED, "aido.model._embedded")
    model = aido()
    with pretended_gpu(model), pytest.raises(AssertionError, match="aido.model._embedded copies to the host"):
        model.residual(batch_of_genes(2), 0)


def test_in_bfloat16_norms_and_the_residual_stream_stay_in_float32():
    model = AidoCell.random(NAMES, **SHAPE)
    model.compute_dtype = torch.bfloat16
    seen: dict[str, set[torch.dtype]] = {"norm": set(), "product": set()}

    def note(kind: str):
        return lambda module, given, out: seen[kind].add(out.dtype)

    for block in model.blocks:
        block.norm1.register_forward_hook(note("norm"))
        block.norm2.register_forward_hook(note("norm"))
        block.query.register_forward_hook(note("product"))
    gene = torch.cat([torch.arange(GENES), torch.tensor([-1, -1])])
    batch = CellBatch(torch.rand(CELLS, GENES + 2), gene, (gene >= 0).expand(CELLS, -1), torch.arange(CELLS))
    x = model.residual(batch, 2)
    assert x.dtype == torch.float32
    assert seen == {"norm": {torch.float32}, "product": {torch.bfloat16}}


def test_in_bfloat16_the_sums_of_softmax_do_not_stop_at_256():
    """Bfloat16 cannot count beyond 256 by ones: of 701 equal keys attention would give 2.7 times their mean."""
    model = AidoCell.random(NAMES, **SHAPE)
    block = model.blocks[0]
    for part in (block.query, block.key):
        part.weight.zero_()
        part.bias.zero_()
    y = torch.randn(1, 701, 14, generator=torch.Generator().manual_seed(0)) + 2
    exact = block.attended(y, y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        near = block.attended(y, y).float()
    assert float((near - exact).abs().max() / exact.abs().max()) < 0.02
