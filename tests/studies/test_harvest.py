"""The inner state made shard by shard, as workers of a cluster make it: the bits of one process, also after a stop."""

import shutil
from contextlib import contextmanager, nullcontext
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from workflow.tiny import bar

from cellprism.errors import CellprismError
from cellprism.features.tokens.cell_tokens import Reading
from cellprism.store.run import Run
from cellprism.studies import harvest
from cellprism.studies.harvest import forget, some_cells
from cellprism.studies.programs import chance
from cellprism.studies.programs.chance import chance_rates
from cellprism.studies.programs.gene_lists import list_background
from cellprism.studies.programs.tables import lists_of, read_genes
from cellprism.workflow.pipeline import continue_run
from studies.elsewhere import Elsewhere, bench_of


@pytest.fixture
def opened(finished, tmp_path):
    """Opens one run, for work here or elsewhere; its cells go through the model five at a time."""
    run = Run(shutil.copytree(finished, tmp_path / "run"))
    plans = run.state["passes"]
    run.update(passes={layer: {**plan, "cells": 5} for layer, plan in plans.items()})
    return partial(bench_of, run)


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(harvest, "SHARD", 1)


def tensors(bench):
    return [*bench.tokens.read(np.arange(bench.cells.n_obs)).x, bench.tokens.read(np.arange(bench.cells.n_obs)).gene]


@pytest.mark.parametrize("memory", [1 << 31, 1])
def test_cells_read_elsewhere_have_the_bits_of_one_process(opened, small_shards, monkeypatch, memory):
    alone, elsewhere = opened(), opened(Elsewhere())
    for bench in (alone, elsewhere):
        bench.tokens.memory = memory
        assert bench.tokens.batch_size == 5
    shards = []
    monkeypatch.setattr(harvest, "some_cells", lambda state, task: shards.append(task) or some_cells(state, task))
    for one, other in zip(tensors(alone), tensors(elsewhere), strict=True):
        assert torch.equal(one, other)
    assert shards == [[start, min(start + 5, 37)] for start in range(0, 37, 5)]
    forget(elsewhere)
    assert not (elsewhere.folder / ".shards").exists()


def test_workers_read_the_files_of_the_harvest_and_run_the_model_only_without_these(
    opened, small_shards, monkeypatch, tmp_path
):
    main, passes = opened(Elsewhere()), []
    whole, asked = list(main.tokens.in_passes()), Reading.passes
    monkeypatch.setattr(Reading, "passes", lambda self, rows: passes.append(1) or asked(self, rows))
    open_it, words = main.opening(tmp_path)
    for files in (True, False):
        worker = open_it(*words)
        for one, other in zip(whole, worker.tokens.in_passes(), strict=True):
            assert all(map(torch.equal, one.tensors(), other.tensors()))
        assert worker.tokens.capacity == 0, "a worker keeps no copy"
        assert bool(passes) is not files
        forget(main)


def test_files_of_a_harvest_go_with_the_command_and_stay_where_it_failed(opened, small_shards, monkeypatch):
    run = opened().run
    local = partial(continue_run, run.folder, "fit", None, bar, lambda text: None)
    monkeypatch.setattr("cellprism.workflow.pipeline.engine_of", lambda *how: nullcontext(Elsewhere()))
    run.forget("fit")
    with monkeypatch.context() as patch:
        patch.setattr("cellprism.studies.fit.work.beside", None)
        with pytest.raises(TypeError):
            local()
    assert len(list(run.folder.rglob(".shards/*/*.safetensors"))) == 8
    local()
    assert not (run.folder / ".shards").exists()


def test_a_state_that_fits_nowhere_is_made_by_workers_for_every_step_some_shards_at_a_time(
    opened, small_shards, monkeypatch
):
    monkeypatch.setattr(harvest.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 10, 5_000))
    monkeypatch.setattr(harvest, "A_WORKER", 3)
    alone, elsewhere = opened(), opened(Elsewhere())
    for bench in (alone, elsewhere):
        bench.tokens.memory = 1
        assert not bench.tokens.fits
        assert not bench.tokens.on_disk
    passes, files = list(alone.tokens.in_passes()), []
    for _ in range(2):
        for one, other in zip(passes, elsewhere.tokens.in_passes(), strict=True):
            files.append(len(list(elsewhere.folder.rglob(".shards/*/*.safetensors"))))
            assert all(map(torch.equal, one.tensors(), other.tensors()))
    assert files == [3, 2, 1, 3, 2, 1, 2, 1] * 2
    assert not (elsewhere.folder / ".shards").exists()


def test_reading_the_inner_state_says_how_far_it_is(opened):
    bench, told = opened(), []

    @contextmanager
    def telling(title, total):
        yield lambda done, words="": told.append((title, total, done))

    bench.bar = telling
    bench.tokens.read(np.arange(37))
    assert told == [(harvest.TITLE, 37, done) for done in (*range(5, 37, 5), 37)]


def test_a_harvest_that_stopped_goes_on(opened, small_shards, monkeypatch):
    done = []

    def failing(state, task):
        if task[0] == 15 and len(done) < 30:
            raise ValueError("no power")
        done.append(task[0])
        return some_cells(state, task)

    monkeypatch.setattr(harvest, "some_cells", failing)
    with pytest.raises(CellprismError, match=r"cells 16 to 20 failed: ValueError: no power"):
        tensors(opened(Elsewhere()))
    before = list(done)
    assert 15 not in before
    done.extend([-1] * 30)
    found = tensors(opened(Elsewhere()))
    assert done[len(before) + 30 :] == [15]
    assert all(torch.equal(one, other) for one, other in zip(found, tensors(opened()), strict=True))


def test_lists_by_chance_do_not_depend_on_who_draws_them(opened, monkeypatch):
    monkeypatch.setattr(chance, "REPLICATES", 3)
    alone, elsewhere = opened(), opened(Elsewhere())
    lists = lists_of(alone.results("programs"))
    settings = alone.settings("programs")
    background = list_background(read_genes(alone.folder_of("programs")), alone.cells, settings.gene_filter)
    nulls = ("uniform", "gene_use", "coexpression")
    one, other = (chance_rates(bench, lists, nulls, settings, background) for bench in (alone, elsewhere))
    pd.testing.assert_frame_equal(one.summary, other.summary)
    pd.testing.assert_frame_equal(one.replicates, other.replicates)
    assert not (elsewhere.folder_of("programs") / ".shards").exists()
