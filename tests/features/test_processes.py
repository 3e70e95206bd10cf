"""Two processes that train together give what one gives."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen

import pytest
import torch

from cellprism.features.train import train_sae
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
