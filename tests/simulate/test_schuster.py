import anndata
import numpy as np
import pytest
import torch

from cellprism.errors import ConfigError, DamagedError, InputError
from cellprism.simulate.large_file import read_blocks, write_large
from cellprism.simulate.schuster_large import BLOCK, LargeSettings, LargeSimulation
from cellprism.simulate.schuster_small import OPEN, RATE, small_world

TINY = LargeSettings(cells=BLOCK + 301, genes=211, programs=23, types=7, seed=3)


@pytest.fixture(scope="module")
def small():
    return small_world(20_011, seed=5)


@pytest.fixture(scope="module")
def large():
    return LargeSimulation(TINY)


def values(world):
    return {variable.name: variable.values for variable in world.hidden}


def test_the_small_data_are_what_their_hidden_variables_say(small):
    hidden = values(small)
    for sample in range(17):  # a plain loop over arrows
        for gene in range(5):
            total = sum(
                hidden["activity"][sample, r] * hidden["accessibility"][sample, r] * small.fixed["regulation"][r, gene]
                for r in range(3)
            )
            assert small.data[sample, gene] == total
    assert {v.name: v.distance for v in small.hidden} == {"tf": 1, "activity": 2, "accessibility": 2}


def test_the_small_rates_are_those_of_the_paper(small):
    hidden, n = values(small), len(small.data)
    assert hidden["accessibility"].mean(axis=0) == pytest.approx(OPEN, abs=4 * 0.5 / n**0.5)
    assert hidden["activity"].mean(axis=0) == pytest.approx(RATE, abs=4 * (RATE / n) ** 0.5)


def test_counts_noise_keeps_the_mean_and_adds_poisson_variance(small):
    noisy = small_world(20_011, seed=5, noise=True)
    assert np.array_equal(values(noisy)["tf"], values(small)["tf"])
    left = (noisy.data - small.data).double()
    assert left.mean(dim=0).abs().max() < 4 * (small.data.mean(dim=0).max() / len(left)) ** 0.5
    ratio = left.square().mean(dim=0) / small.data.double().mean(dim=0)
    assert ratio.numpy() == pytest.approx(1, abs=0.2)  # four standard errors of the rarest gene


def test_the_large_data_are_what_their_hidden_variables_say(large):
    world = large.world()
    hidden = values(world)
    kind, covariate = hidden["type"].argmax(axis=1), hidden["covariate"].argmax(axis=1)
    for cell in (0, 17, BLOCK - 1, BLOCK, TINY.cells - 1):
        y = np.zeros(TINY.genes)
        for program in range(TINY.programs):
            assert hidden["x1"][cell, program] == hidden["x0"][cell, program] + hidden["shift"][cell, program]
            on = large.type_program[kind[cell], program]
            assert hidden["mask"][cell, program] == on
            assert hidden["x2"][cell, program] == hidden["x1"][cell, program] * on
            y += hidden["x2"][cell, program] * large.programs[program]
        assert world.data[cell].numpy() == pytest.approx(y, rel=1e-5, abs=1e-4)
    centred = hidden["shift"] - covariate[:, None]
    assert centred.std() == pytest.approx(TINY.shift_spread, rel=0.03)
    assert hidden["x0"].mean(axis=0) == pytest.approx(large.rates, rel=0.15)
    assert large.programs.mean() == pytest.approx(0.1, abs=4 * 0.3 / large.programs.size**0.5)


def test_every_hidden_variable_knows_its_distance_from_the_data(large):
    distance = {v.name: v.distance for v in large.world().hidden}
    assert distance == {"x2": 1, "x1": 2, "mask": 2, "x0": 3, "shift": 3, "type": 3, "covariate": 4}


def test_the_same_seed_gives_the_same_cells_and_a_block_needs_none_before_it(large):
    first, second = large.blocks()
    again = LargeSimulation(TINY)
    assert torch.equal(list(again.blocks())[1].y, second.y)
    assert torch.equal(next(again.blocks(BLOCK)).y, second.y)
    assert not torch.equal(first.y[: len(second.y)], second.y)
    fewer = LargeSimulation(LargeSettings(cells=301, genes=211, programs=23, types=7, seed=3))
    assert np.array_equal(next(fewer.blocks()).type, first.type[:301])
    other = LargeSimulation(LargeSettings(cells=301, genes=211, programs=23, types=7, seed=4))
    assert not np.array_equal(other.programs, large.programs)


def test_the_file_holds_the_same_data_and_answers_block_by_block(large, tmp_path):
    path = tmp_path / "large.h5ad"
    write_large(large, path)
    blocks = list(read_blocks(path, 257))
    assert max(map(len, blocks)) == 257
    world = large.world()
    assert torch.equal(torch.cat(blocks), world.data)
    adata, hidden = anndata.read_h5ad(path), values(world)
    assert np.array_equal(adata.X, world.data.numpy())
    for name in ("x0", "x1", "x2", "mask"):
        assert np.array_equal(adata.obsm[name], hidden[name])
    for name in ("type", "covariate"):
        assert np.array_equal(adata.obs[name], hidden[name].argmax(axis=1))
    assert np.array_equal(adata.varm["programs"], large.programs.T)


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        next(read_blocks(tmp_path / "none.h5ad"))
    broken = tmp_path / "broken.h5ad"
    broken.write_bytes(b"no")
    with pytest.raises(DamagedError, match="holds no simulated data"):
        next(read_blocks(broken))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cells": 0}, "cells is 0: expected at least 1"),
        ({"member_share": 1.5}, "member_share is 1.5: expected a share above 0 and up to 1"),
        ({"shift_spread": -1.0}, "shift_spread is -1.0: expected 0 or more"),
    ],
)
def test_impossible_sizes_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        LargeSettings(**change)


def test_a_small_world_needs_samples():
    with pytest.raises(ConfigError, match="samples is 0: expected at least 1"):
        small_world(0)
