"""Autoencoders as people who work with tensors use them."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import cellprism as cp
from cellprism.errors import ConfigError, InputError, ModelError
from cellprism.sae.stream import Vectors
from cellprism.types import CellBatch
from sae.conftest import D_MODEL, FEATURES, K, planted

GROUPS = 7
SMALL = cp.SaeConfig(k=3, n_features=31, batch_size=64, epochs=2)


@pytest.fixture
def grouped(sae):
    return replace(sae, centre=torch.randn(GROUPS, D_MODEL, generator=torch.Generator().manual_seed(2)))


@pytest.fixture
def batch() -> CellBatch:
    """Three cells of eleven tokens, the last of which is no gene; some genes were not measured."""
    gene = torch.tensor([0, 3, 6, 1, 5, 2, 4, 0, 1, 2, -1])
    present = torch.rand(3, 11, generator=torch.Generator().manual_seed(4)) > 0.3
    return CellBatch(torch.rand(3, 11), gene, present & (gene >= 0), torch.arange(3))


def test_leading_dimensions_are_kept(sae):
    x = torch.randn(3, 11, D_MODEL)
    code, rows = sae.encode(x), sae.encode(x.reshape(-1, D_MODEL))
    assert code.values.shape == (3, 11, K)
    assert torch.equal(code.dense().flatten(0, 1), rows.dense())
    assert torch.equal(sae(x).flatten(0, 1), sae.decode(rows))
    assert sae(x[0, 0]).shape == (D_MODEL,)


def test_the_genes_of_a_batch_are_its_groups_and_other_tokens_stay(grouped, batch):
    x = torch.randn(3, 11, D_MODEL)
    code, open_ = grouped.encode(x, batch), batch.present
    rows = grouped.encode(x[open_], batch.gene.expand(3, 11)[open_])
    assert torch.equal(code.dense()[open_], rows.dense())
    assert not code.dense()[~open_].any()
    assert torch.equal(grouped(x, batch)[~open_], x[~open_])
    torch.testing.assert_close(grouped(x, batch)[open_], grouped.decode(rows, batch.gene.expand(3, 11)[open_]))
    assert not grouped.decode(code, batch)[~open_].any()
    assert torch.equal(
        grouped.encode(x[:, :10], batch.gene[:10]).values[0], grouped.encode(x[0, :10], batch.gene[:10]).values
    )
    with pytest.raises(InputError, match=r"lie in \[3, 11\] and their groups in \[4\]"):
        grouped.encode(x, torch.zeros(4, dtype=torch.long))


def test_what_are_no_residuals_of_the_batch_and_no_tensor_are_refused(grouped, batch):
    for shape in ((3, 7, D_MODEL), (D_MODEL,), (3, D_MODEL)):
        with pytest.raises(InputError, match=r"no residuals of this batch; expected \[3 cells, 11 tokens, 13\]"):
            grouped.encode(torch.zeros(shape), batch)
    with pytest.raises(InputError, match=r"vectors to encode are a ndarray; give a tensor, such as torch.from_numpy"):
        grouped.encode(torch.zeros(3, D_MODEL).numpy(), batch)


@pytest.mark.parametrize("kind", ["topk", "threshold", "gated"])
def test_gradients_pass_through_codes(sae, kind):
    if kind != "topk":
        sae = replace(sae, k=None, threshold=torch.full((FEATURES,), 0.3))
    if kind == "gated":
        sae = replace(sae, slope=torch.full((FEATURES,), 1.5), shift=torch.full((FEATURES,), 0.2))
    x = torch.randn(5, 3, D_MODEL, requires_grad=True)
    z = sae.encode(x).dense()
    z.square().sum().backward()
    slope = 1.5 if kind == "gated" else 1.0
    expected = (2 * z * slope) @ sae.W_enc.T
    torch.testing.assert_close(x.grad, expected)


@pytest.mark.parametrize("kind", ["topk", "signed", "threshold", "gated", "transcoder", "centred"])
def test_the_module_computes_the_same_and_gives_its_weights_back(sae, grouped, kind):
    torch.manual_seed(5)
    group = None
    if kind == "signed":
        sae = replace(sae, relu=False)
    if kind in ("threshold", "gated"):
        sae = replace(sae, k=None, threshold=torch.full((FEATURES,), 0.3))
    if kind == "gated":
        sae = replace(sae, slope=torch.full((FEATURES,), 1.5), shift=torch.full((FEATURES,), 0.2))
    if kind == "transcoder":
        sae = replace(sae, W_dec=torch.randn(FEATURES, 5), b_dec=torch.randn(5), is_transcoder=True)
    if kind == "centred":
        sae, group = grouped, torch.arange(17 * 3).view(17, 3) % GROUPS
    x, module = torch.randn(17, 3, D_MODEL), sae.module()
    torch.testing.assert_close(module.encode(x, group), sae.encode(x, group).dense())
    torch.testing.assert_close(module(x, group), sae(x, group))
    module(x, group).sum().backward()
    assert module.W_enc.grad.any()
    assert module.W_dec.grad.any()
    other = replace(sae, W_dec=sae.W_dec * 2).module()
    module.load_state_dict(other.state_dict())
    torch.testing.assert_close(module.autoencoder()(x, group), other(x, group))


def test_arrays_lists_and_loaders_train_alike():
    x = planted(512, D_MODEL, 31, 3).x
    loader = DataLoader(TensorDataset(x), batch_size=64)
    lists = cp.fit_sae(list(x.split(64)), SMALL)
    assert torch.equal(cp.fit_sae(loader, SMALL).W_dec, lists.W_dec)
    assert torch.equal(cp.fit_sae(x.view(8, 4, 16, D_MODEL), SMALL).W_dec, cp.fit_sae(x.numpy(), SMALL).W_dec)
    assert torch.equal(
        cp.fit_sae(iter(x.split(64)), SMALL, steps=8).W_dec, cp.fit_sae(x.split(64), SMALL, steps=8).W_dec
    )
    assert len(lists.history) == 16
    assert cp.fit_sae(x, SMALL).history["explained_variance"].iloc[-1] > 0.3


def test_an_array_is_dealt_out_whole_in_every_epoch_and_from_any_step():
    from cellprism.sae.data import ArrayStream

    x, group = torch.arange(150.0)[:, None], torch.arange(150)
    stream = ArrayStream(Vectors(x, group), 50, seed=3)
    steps = [next(stream.from_step(n)) for n in range(6)]
    for epoch in (steps[:3], steps[3:]):
        assert torch.equal(torch.cat([b.x for b in epoch]).flatten().sort().values, x.flatten())
    assert all(torch.equal(b.x.flatten().long(), b.group) for b in steps)
    assert not torch.equal(steps[0].x, steps[3].x)


def test_a_training_on_an_array_goes_on_where_it_was(tmp_path):
    x = planted(512, D_MODEL, 31, 3).x

    def stop(done, figures):
        if done == 5:
            raise RuntimeError("stop")

    whole = cp.fit_sae(x, SMALL)
    with pytest.raises(RuntimeError):
        cp.fit_sae(x, SMALL, checkpoints=tmp_path, progress=stop)
    assert torch.equal(cp.fit_sae(x, SMALL, checkpoints=tmp_path).W_dec, whole.W_dec)


def test_what_cannot_be_known_is_asked_for():
    with pytest.raises(ConfigError, match="say steps="):
        cp.fit_sae(iter([torch.randn(64, 5)]), SMALL)
    with pytest.raises(InputError, match="the batches are empty"):
        cp.fit_sae([], SMALL)
    with pytest.raises(InputError, match="a batch of vectors is a str"):
        cp.fit_sae(["text"], SMALL)


class Net(nn.Module):
    """A network whose last part must not run."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(5, 13), nn.Sequential(nn.Linear(13, 13), nn.Dropout(0.9))])
        self.pairs = nn.Identity()

    def forward(self, x, attention_mask=None, stop=True):
        for layer in self.layers:
            x = layer(x)
        assert not stop, "this part is not needed"
        return self.pairs((x, 3))


def test_activations_of_a_module_by_name():
    net, x = Net(), [torch.randn(3, 7, 5) for _ in range(4)]
    got = cp.activations(net, "layers.1", x)
    expected = net.layers[1][0](net.layers[0](x[0])).detach()  # without the dropout
    torch.testing.assert_close(next(iter(got)), expected.flatten(0, 1))
    assert net.layers[1][1].training
    assert got.tensor().shape == (4 * 21, 13)
    pairs = cp.activations(net, "pairs", [{"x": x[0], "stop": False}])
    assert pairs.tensor().shape == (21, 13)
    assert not net._forward_hooks
    assert not net.pairs._forward_hooks
    assert torch.isfinite(cp.fit_sae(got, replace(SMALL, epochs=1)).W_dec).all()


def test_padding_is_left_out():
    net, x = Net(), torch.randn(3, 7, 5)
    mask = torch.arange(21).view(3, 7) % 3 > 0
    kept = cp.activations(net, "layers.0", [{"x": x, "attention_mask": mask.long()}]).tensor()
    assert torch.equal(kept, net.layers[0](x)[mask].detach())
    first = cp.activations(net, "layers.0", [x], keep=lambda batch: torch.arange(21).view(3, 7) < 7).tensor()
    assert torch.equal(first, net.layers[0](x)[0].detach())
    with pytest.raises(InputError, match=r"said for \[3\], of vectors in \[3, 7\]"):
        cp.activations(net, "layers.0", [x], keep=lambda batch: torch.ones(3)).tensor()


def test_a_module_that_is_not_there_is_refused_with_names_like_it():
    with pytest.raises(ModelError, match=r"Net has no module 'layer.1'; there are, among others, layers.1"):
        cp.activations(Net(), "layer.1", [])
    net = Net()
    net.skipped = nn.Identity()
    with pytest.raises(InputError, match="the network ran without 'skipped'"):
        cp.activations(net, "skipped", [{"x": torch.randn(3, 5), "stop": False}]).tensor()
    with pytest.raises(InputError, match="no batches"):
        cp.activations(Net(), "layers.0", []).tensor()
