"""Two processes that train together give what one gives."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen

import pytest
import torch
from sae.together import together

from cellprism.features.train import train_sae
from cellprism.sae.distributed import is_first
from cellprism.sae.files import load_sae
from features.conftest import LAYER, make_cells, make_model
from features.test_train import CENTRED

WORKER = """
import sys
from dataclasses import replace
import torch
import torch.distributed as dist
from cellprism.features.train import train_sae
from features.conftest import LAYER, make_cells, make_model
from features.test_train import CENTRED

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
train_sae(make_model(True), make_cells(), LAYER, replace(CENTRED, store=True), out=folder)
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_share_each_batch(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    workers = [
        Popen([sys.executable, "-c", WORKER, str(rank), str(tmp_path)], env=environment, stdout=PIPE, stderr=STDOUT)
        for rank in range(2)
    ]
    said = [worker.communicate(timeout=120)[0].decode() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(said)
    (tmp_path / "alone").mkdir()
    alone = train_sae(make_model(True), make_cells(), LAYER, replace(CENTRED, store=True), out=tmp_path / "alone")
    together = load_sae(tmp_path / "sae" / "L1")
    for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
        torch.testing.assert_close(getattr(together, name), getattr(alone, name), rtol=1e-3, atol=1e-4)
    assert together.metadata["measures"]["tokens"] == alone.metadata["measures"]["tokens"]


def train(folder: Path, store: bool, stop: int = 0) -> str:
    """Train, or stop after a step as by Ctrl-C."""

    def progress(step: int, _: object) -> None:
        if step == stop and is_first():
            os.kill(os.getpid(), signal.SIGINT)

    train_sae(make_model(True), make_cells(), LAYER, replace(CENTRED, store=store), out=folder, progress=progress)
    return "finished"


@pytest.mark.slow
@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_another_number_of_processes_finishes_what_was_begun(tmp_path, before, after, store):
    """Batches of cells are numbered, and each process takes its share of those that are left."""
    begun, alone = tmp_path / "begun", tmp_path / "alone"
    for folder in (begun, alone):
        folder.mkdir()
    for said in together(train, begun, store, 3, world=before):
        assert said.startswith("KeyboardInterrupt: stopped after step 3 of ")
    assert together(train, begun, store, world=after) == ["finished"] * after
    assert together(train, alone, store, world=1) == ["finished"]
    found, expected = (load_sae(folder / "sae" / "L1") for folder in (begun, alone))
    for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-3, atol=1e-4)
