import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from sae.together import together

from cellprism.errors import ConfigError, DamagedError, RunError
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.features.tokens.mixed_batches import CellStream
from cellprism.features.tokens.stored_tokens import INDEX, STRETCH, StoredTokens, store_identity, write_store
from cellprism.store.run import Run
from features.conftest import GENES, LAYER, make_cells, make_model
from features.tokens.test_cell_tokens import BYTES, Counting, whole
from features.tokens.test_mixed_batches import _mixing, _random_mixing

SEED = 5
MEMORY = 80 * GENES * BYTES  # shards of at most forty cells, that is four or five of them


def make_source(n_cells: int = 131, policy: str = "present", memory: int = MEMORY, layers=(LAYER,)) -> CellTokens:
    return CellTokens(Counting(make_model(True)), make_cells(n_cells), layers, policy, memory * len(layers))


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    write_store(make_source(layers=(LAYER, 0)), folder, SEED)
    return folder


@pytest.fixture
def source() -> CellTokens:
    return make_source(layers=(LAYER, 0))


def _open(folder: Path, source: CellTokens, memory: int = 1 << 30) -> StoredTokens:
    return StoredTokens(folder, store_identity(source, SEED), memory)


@pytest.mark.parametrize("memory", [1 << 30, 3000 * BYTES], ids=["kept", "read again"])
def test_a_store_holds_every_token_in_bfloat16(written, source, memory):
    ours, theirs = whole(_open(written, source, memory).in_order()), whole(source.in_order())
    assert [x.dtype for x in ours.x] == [torch.bfloat16] * 2
    order = np.lexsort((ours.gene.numpy(), ours.cell.numpy()))
    expected = np.lexsort((theirs.gene.numpy(), theirs.cell.numpy()))
    assert torch.equal(ours.cell[order], theirs.cell[expected])
    assert torch.equal(ours.gene[order], theirs.gene[expected])
    for x, full in zip(ours.x, theirs.x, strict=True):
        torch.testing.assert_close(x[order].float(), full[expected], rtol=2**-8, atol=1e-3)


def test_every_shard_and_every_stretch_mixes_cells(written, source):
    index = json.loads((written / INDEX).read_text())
    assert len(index["shards"]) == index["planned"] > 2
    assert all(entry["cells"] > 25 for entry in index["shards"].values())
    stretches = [p for p in _open(written, source, 3000 * BYTES).in_order() if len(p.gene) == STRETCH]
    assert min(len(p.cell.unique()) for p in stretches) > 25


@pytest.mark.parametrize("memory", [1 << 30, 3000 * BYTES], ids=["kept", "in windows"])
def test_a_stream_from_a_store_has_every_token_and_starts_anywhere(written, source, memory):
    def stream() -> CellStream:
        return CellStream(_open(written, source, memory), [(LAYER, None), (0, None)], 97, SEED)

    first = stream()
    steps = first.n_steps(1)
    batches = [b for b, _ in zip(first.tokens_from(0), range(steps), strict=False)]
    keys = sorted(zip(*(torch.cat([getattr(b, n) for b in batches]).tolist() for n in ("cell", "gene")), strict=True))
    everything = whole(source.in_order())
    assert keys == sorted(zip(everything.cell.tolist(), everything.gene.tolist(), strict=True))
    again = next(stream().tokens_from(steps - 2))
    assert all(torch.equal(a, b) for a, b in zip(again.tensors(), batches[-2].tensors(), strict=True))
    share, distinct = _mixing(batches)
    expected_share, expected_distinct = _random_mixing(source.counts, 97, 501)
    assert share < 1.3 * expected_share
    assert distinct > 0.8 * expected_distinct


def test_the_model_runs_once_and_never_again(tmp_path):
    source = make_source()
    write_store(source, tmp_path, SEED)
    assert source.model.cells == 131
    write_store(source, tmp_path, SEED)
    stream = CellStream(_open(tmp_path, source, 3000 * BYTES), [(LAYER, None)], 97, SEED)
    for _ in zip(stream.from_step(0), range(stream.n_steps(2)), strict=False):
        pass
    assert source.model.cells == 131


def test_a_weighted_draw_is_stored(tmp_path):
    source = make_source(policy="weighted")
    write_store(source, tmp_path, SEED)
    store = _open(tmp_path, source)
    drawn = whole(store.in_order())
    assert len(drawn.gene) == source.counts.sum()
    pairs = torch.stack([drawn.cell, drawn.gene]).unique(dim=1)
    assert pairs.shape[1] < len(drawn.gene)
    assert next(store.in_order()).times is None


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from cellprism.features.tokens import stored_tokens
    from features.tokens.test_stored_tokens import SEED, make_source

    write, count = stored_tokens.write_json, 0
    def writing(path, value):
        global count
        count += 1
        if count == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        write(path, value)
    stored_tokens.write_json = writing
    stored_tokens.write_store(make_source(), Path(sys.argv[1]), SEED)
"""


def _run(code: str, *arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_a_writer_that_was_killed_goes_on_with_the_next_shard(tmp_path):
    killed, other = tmp_path / "killed", tmp_path / "whole"
    assert _run(KILLED, str(killed)).returncode == -signal.SIGKILL
    source = make_source()
    planned = json.loads((killed / INDEX).read_text())["planned"]
    assert len(json.loads((killed / INDEX).read_text())["shards"]) == 2
    with pytest.raises(RunError, match=f"2 of {planned} shards: writing was interrupted"):
        _open(killed, source)
    write_store(source, killed, SEED)
    write_store(make_source(), other, SEED)
    assert source.model.cells < 131
    assert (killed / INDEX).read_bytes() == (other / INDEX).read_bytes()  # with every shard's hash


FULL = """
    import resource, sys
    from pathlib import Path
    from cellprism.errors import CellprismError
    from cellprism.features.tokens.stored_tokens import write_store
    from features.tokens.test_stored_tokens import SEED, make_source

    folder = Path(sys.argv[1])
    write_store(make_source(), folder, SEED)
    sizes = {p.name: p.stat().st_size for p in folder.glob("shard-*")}
    (folder / "shard-00001.safetensors").unlink()
    resource.setrlimit(resource.RLIMIT_FSIZE, (min(sizes.values()) // 2,) * 2)
    try:
        write_store(make_source(), folder, SEED)
    except CellprismError as error:
        print(error)
"""


def test_processes_that_train_together_write_the_store_of_one(tmp_path):
    apart, alone = tmp_path / "apart", tmp_path / "alone"
    write_store(make_source(), alone, SEED)
    shutil.copytree(alone, apart)
    index = json.loads((apart / INDEX).read_text())
    names = sorted(index["shards"])
    (apart / f"{names[0].removesuffix('.safetensors')}.json").write_text(json.dumps(index["shards"].pop(names[0])))
    for name in names[1:]:  # what another process made of it is taken in, the rest is made
        (apart / name).unlink()
    (apart / INDEX).write_text(json.dumps(index))
    assert together(_written, apart) == [None, None]
    assert {p.name: p.read_bytes() for p in apart.iterdir()} == {p.name: p.read_bytes() for p in alone.iterdir()}


def _written(folder):
    write_store(make_source(), folder, SEED)


def test_a_shard_that_cannot_be_written_leaves_nothing_and_says_so(tmp_path):
    done = _run(FULL, str(tmp_path))
    assert "shard-00001.safetensors could not be written" in done.stdout, done.stderr
    assert "the shards before it are kept: make room" in done.stdout
    source = make_source()
    planned = json.loads((tmp_path / INDEX).read_text())["planned"]
    assert len(list(tmp_path.glob("*shard-*"))) == planned - 1
    with pytest.raises(DamagedError, match="shard-00001.safetensors is missing or altered; remove it and run again"):
        _open(tmp_path, source)
    write_store(source, tmp_path, SEED)
    assert _open(tmp_path, source).counts.sum() == source.counts.sum()


def test_too_little_room_is_said_before_anything_is_written(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 12_345})
    monkeypatch.setattr("cellprism.features.tokens.stored_tokens.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(RunError, match=r"take 0.0 GB more in .*, where 0.0 GB are free; make room"):
        write_store(make_source(), tmp_path, SEED)
    assert not list(tmp_path.glob("*shard-*"))


def test_an_altered_shard_is_refused_and_written_anew_once_removed(tmp_path):
    source = make_source()
    write_store(source, tmp_path, SEED)
    path = tmp_path / "shard-00002.safetensors"
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedError, match="shard-00002.safetensors is missing or altered"):
        _open(tmp_path, source)
    path.unlink()
    write_store(source, tmp_path, SEED)
    assert _open(tmp_path, source).counts.sum() == source.counts.sum()


@pytest.mark.parametrize("content", ["{", "[]", '{"identity": "x"}'], ids=["cut short", "a list", "incomplete"])
def test_a_damaged_index_is_said(tmp_path, source, content):
    (tmp_path / INDEX).write_text(content)
    with pytest.raises(DamagedError, match=INDEX):
        _open(tmp_path, source)


def test_a_store_of_something_else_is_refused(written):
    for other in (
        make_source(127, layers=(LAYER, 0)),
        make_source(policy="expressed", layers=(LAYER, 0)),
        make_source(),
    ):
        with pytest.raises(
            RunError, match="holds residuals of another model, other layers, cells, token policy or seed"
        ):
            _open(written, other)
        with pytest.raises(RunError, match="holds residuals of another model"):
            write_store(other, written, SEED)


def test_a_store_that_was_begun_with_another_memory_is_not_mixed_up(tmp_path):
    write_store(make_source(), tmp_path, SEED)
    index = json.loads((tmp_path / INDEX).read_text())
    index["shards"].popitem()
    (tmp_path / INDEX).write_text(json.dumps(index))
    with pytest.raises(RunError, match="was begun with another memory setting"):
        write_store(make_source(memory=2 * MEMORY), tmp_path, SEED)


def test_a_finished_store_may_be_read_with_any_memory(written):
    source = make_source(memory=3 * MEMORY, layers=(LAYER, 0))
    write_store(source, written, SEED)
    assert source.model.cells == 0
    assert _open(written, source, 3000 * BYTES).counts.sum() == source.counts.sum()


def test_a_folder_without_a_store_or_in_use_is_refused(tmp_path, source):
    with pytest.raises(RunError, match="is not a store of residuals: it has no index.json"):
        _open(tmp_path, source)
    with Run(tmp_path).locked(), pytest.raises(RunError, match="another process is working on"):
        write_store(source, tmp_path, SEED)


def test_memory_must_hold_cells_enough_for_a_shard(tmp_path):
    with pytest.raises(ConfigError, match="at least 8 cells at a time"):
        write_store(make_source(memory=15 * GENES * BYTES), tmp_path, SEED)
