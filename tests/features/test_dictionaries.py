"""Pursuit and fair dictionaries on vectors whose atoms are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from cellprism.equations.pursuit import products, pursuit
from cellprism.features.dictionaries import (
    KINDS,
    TokenSample,
    component_dictionary,
    control_dictionary,
    eigenvalues,
    explained,
    isotropic_dictionary,
    sampled_tokens,
    trained_dictionary,
    with_centre,
)
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.sae.autoencoder import SparseAutoencoder
from features.conftest import D_MODEL, FEATURES, LAYER, K, dense_residuals


def sample_of(x: torch.Tensor, per_cell: int = 7) -> TokenSample:
    n = len(x)
    return TokenSample(x, torch.zeros(n, dtype=torch.long), torch.arange(n) // per_cell)


def test_pursuit_is_the_textbook_loop():
    generator = torch.Generator().manual_seed(0)
    x, atoms = torch.randn(13, 5, generator=generator), normalize(torch.randn(11, 5, generator=generator), dim=1)
    for gram in (products(atoms), None):
        code = pursuit(x, atoms, 4, gram)
        for row in range(len(x)):
            rest, taken = x[row].clone(), []
            for step in range(4):
                inner = atoms @ rest
                inner[taken] = -torch.inf
                best = int(inner.argmax())
                value = inner[best].clamp(min=0)
                taken.append(best)
                rest = rest - value * atoms[best]
                assert int(code.features[row, step]) == best
                assert float(code.values[row, step]) == pytest.approx(float(value), abs=1e-5)


def test_orthogonal_directions_are_found_exactly():
    axes = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)))[0]
    atoms = torch.cat([axes, -axes])
    x = torch.tensor([[2.0, 0, -3.0, 0, 0.5, 0]]) @ axes
    code = pursuit(x, atoms, 3)
    assert code.features.tolist() == [[8, 0, 4]]
    torch.testing.assert_close(code.values, torch.tensor([[3.0, 2.0, 0.5]]))


def test_tokens_come_from_the_cells_asked_for_without_their_genes_mean(model, cells, sae):
    tokens = CellTokens(model, cells, [LAYER], batch_size=5)
    some = np.array([1, 4, 11, 16])
    found = sampled_tokens(tokens, sae, some, 9, seed=3)
    assert np.unique(found.cell.numpy(), return_counts=True)[1].tolist() == [9] * 4
    assert sorted(set(found.cell.tolist())) == some.tolist()
    columns = cells.var_names.get_indexer([model.genes[g] for g in found.gene.tolist()])
    expected = dense_residuals(model, cells)[found.cell, columns]
    torch.testing.assert_close(found.x, expected - (0 if sae.centre is None else sae.centre[found.gene]))
    whole = sampled_tokens(tokens, sae, some, 10_000, seed=3)
    assert len(whole.x) == int(tokens.counts[some].sum())


@pytest.mark.parametrize("kind", KINDS)
def test_a_control_has_the_autoencoders_width_and_k_and_another_draw_is_another_control(kind, sae):
    x = torch.randn(401, D_MODEL, generator=torch.Generator().manual_seed(2)) * torch.linspace(3, 0.1, D_MODEL)
    first, again, other = (control_dictionary(kind, sample_of(x), sae, seed) for seed in (0, 0, 1))
    assert first.k == sae.k == K
    assert first.n_features == (2 * (FEATURES // 2) if kind == "components" else FEATURES)
    torch.testing.assert_close(first.W_dec.norm(dim=1), torch.ones(first.n_features))
    assert torch.equal(first.W_dec, again.W_dec)
    assert not torch.allclose(first.W_dec, other.W_dec)


def test_sampled_atoms_are_tokens_and_the_first_component_is_the_longest(sae):
    x = torch.randn(401, D_MODEL, generator=torch.Generator().manual_seed(2)) * torch.linspace(3, 0.1, D_MODEL)
    x = x - x.mean(dim=0)
    tokens = control_dictionary("tokens", sample_of(x), sae, 0)
    assert torch.allclose((tokens.W_dec @ normalize(x, dim=1).T).amax(dim=1), torch.ones(FEATURES), atol=1e-4)
    components = control_dictionary("components", sample_of(x), sae, 0)
    assert float(components.W_dec[0, 0].abs()) > 0.95
    torch.testing.assert_close(components.W_dec[: FEATURES // 2], -components.W_dec[FEATURES // 2 :])
    assert eigenvalues(sample_of(x))[0] == pytest.approx(9, rel=0.2)


def test_directions_with_the_covariance_have_it(sae):
    scale = torch.linspace(3, 0.1, D_MODEL)
    x = torch.randn(4001, D_MODEL, generator=torch.Generator().manual_seed(2)) * scale
    rows = torch.cat([control_dictionary("covariance", sample_of(x), sae, seed).W_dec for seed in range(60)])
    share = rows.square().mean(dim=0)
    assert np.corrcoef(share.numpy(), scale.square().numpy())[0, 1] > 0.97


def test_a_dictionary_of_the_true_atoms_explains_what_they_made():
    generator = torch.Generator().manual_seed(4)
    atoms = normalize(torch.randn(31, 17, generator=generator), dim=1)
    x = atoms[torch.randint(31, (501,), generator=generator)] * torch.rand(501, 1, generator=generator)
    ours = trained_dictionary(SparseAutoencoder(atoms.T.contiguous(), torch.zeros(31), atoms, torch.zeros(17), k=1))
    assert explained(ours, sample_of(x)) == pytest.approx(1, abs=1e-5)


def test_the_centre_comes_back_on(sae):
    centre = torch.randn(3, D_MODEL, generator=torch.Generator().manual_seed(5))
    x = torch.randn(40, D_MODEL, generator=torch.Generator().manual_seed(6))
    group = torch.arange(40) % 3
    centred = replace(sae, centre=centre)
    bare = trained_dictionary(centred)
    whole = with_centre(bare, centred)
    torch.testing.assert_close(
        whole.decode(whole.encode(x + centre[group], group), group) - centre[group], bare.decode(bare.encode(x)),
        rtol=1e-4, atol=1e-4,
    )  # fmt: skip


@pytest.mark.parametrize("rows", [1, 9])
def test_tokens_that_do_not_vary_have_nothing_to_explain(sae, rows):
    sample = sample_of(torch.full((rows, D_MODEL), 3.1))
    rounding = 1e-8 * torch.randn(sample.x.shape, generator=torch.Generator().manual_seed(4))
    assert np.isnan(explained(trained_dictionary(sae), sample))
    assert np.isnan(explained(trained_dictionary(sae), sample._replace(x=rounding, centre=sample.x)))


def test_components_are_those_of_all_tokens_and_isotropic_directions_know_none(sae):
    """Tokens along two axes, the first twice as far: components are these, random directions are not."""
    x = torch.zeros(400, D_MODEL)
    x[:, :2] = torch.randn(400, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([2.0, 1.0])
    sample = sample_of(x)
    found = component_dictionary(sample, sae)
    assert found.n_features == 2 * (FEATURES // 2)
    half = FEATURES // 2
    torch.testing.assert_close(found.W_dec[half:], -found.W_dec[:half])
    assert found.W_dec[0, 0].abs() > 0.95
    assert found.W_dec[1, 1].abs() > 0.95
    drawn = isotropic_dictionary(sample, sae, 3)
    assert drawn.W_dec.shape == (FEATURES, D_MODEL)
    torch.testing.assert_close(drawn.W_dec.norm(dim=1), torch.ones(FEATURES))
    assert float(drawn.W_dec[:, :2].square().sum(dim=1).mean()) < 4 / D_MODEL
    assert not torch.equal(drawn.W_dec, isotropic_dictionary(sample, sae, 4).W_dec)
    assert torch.equal(drawn.W_dec, isotropic_dictionary(sample, sae, 3).W_dec)
