"""Processes that ``torchrun`` starts train together, and only one of them writes and talks."""

import subprocess
import sys

import pytest
import torch

from cellprism.cli.app import call
from cellprism.sae.files import load_sae
from cellprism.store.atomic import read_json
from cellprism.workflow.config import write_config
from workflow.tiny import N_FEATURES, config_of

pytestmark = pytest.mark.slow

PROGRAM = "import sys; from cellprism.cli.app import main; main(sys.argv[1:])"


def torchrun(program, arguments: list[str]) -> subprocess.CompletedProcess:
    """Two processes of the command line."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(program)]
    return subprocess.run([*launch, *arguments], capture_output=True, text=True, timeout=300, check=False)


def training(asked, folder) -> list[str]:
    words = ["train", asked["cells"], "--out", str(folder), "--model", asked["model"], "--layer", "0", "--device=cpu"]
    return [*words, *(f"--set=train.{key}={value}" for key, value in asked["train"].items())]


def test_two_processes_make_the_run_that_one_makes(asked, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    together, alone = tmp_path / "together", tmp_path / "alone"
    done = torchrun(program, training(asked, together))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("train: done in") == 1
    assert done.stderr.count("autoencoder in") == 1
    assert call(training(asked, alone)) == 0
    saes = [load_sae(folder / "sae" / "L0") for folder in (together, alone)]
    assert saes[0].n_features == N_FEATURES
    torch.testing.assert_close(saes[0].W_dec, saes[1].W_dec, rtol=1e-3, atol=1e-4)
    records = [read_json(folder / "run.json") for folder in (together, alone)]
    assert records[0]["steps"].keys() == records[1]["steps"].keys() == {"cells", "train"}
    again = torchrun(program, training(asked, together))
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("train: already done") == 1


def test_a_whole_run_is_done_by_the_first_of_them(asked, tmp_path):
    program, settings = tmp_path / "program.py", tmp_path / "config.toml"
    program.write_text(PROGRAM)
    settings.write_text(write_config(config_of(asked)))
    done = torchrun(program, ["run", str(settings), "--out", str(tmp_path / "run"), "--device=cpu"])
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("contrast: done in") == done.stderr.count("claims in") == 1
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_mistake_ends_all_processes(asked, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = torchrun(program, [*training(asked, tmp_path / "run"), "--labels=cel_type"])
    assert done.returncode != 0
    assert done.stderr.count("did you mean 'cell_type'?") == 1
