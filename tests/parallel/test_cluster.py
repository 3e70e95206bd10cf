"""The same verbs on two processes of this machine, and what a Slurm queue is sent; needs the extra ``cluster``."""

import numpy as np
import pytest

from cellprism.errors import CellprismError
from cellprism.parallel.cluster import engine_of, slurm_cluster
from cellprism.parallel.engine import SerialEngine
from cellprism.parallel.shards import Shard, ShardFolder
from parallel.tasks import killed_once, squares

pytest.importorskip("distributed", reason='needs Dask: pip install "cellprism[cluster]"')
pytestmark = pytest.mark.filterwarnings("default")  # Dask's own


def test_two_workers_lose_nothing_when_one_is_killed_and_name_a_poisoned_shard(tmp_path):
    def parts(*task):
        return [Shard(f"n-{a}", f"numbers {a} to {a + 9}", (a, a + 10, *task), 10) for a in range(0, 60, 10)]

    alone, together, poisoned = (ShardFolder(tmp_path / name, "a" * 64) for name in ("alone", "together", "poisoned"))
    (tmp_path / "mark").mkdir()
    (tmp_path / "mark" / "killed").touch()
    serial = SerialEngine().map(killed_once, parts(str(tmp_path / "mark")), alone)
    (tmp_path / "mark" / "killed").unlink()
    with engine_of("local:2") as engine:
        assert engine.workers == 2
        found = engine.map(killed_once, parts(str(tmp_path / "mark")), together)
        with pytest.raises(CellprismError, match="numbers 10 to 19 failed: ValueError: thirteen"):
            engine.map(squares, parts(), poisoned)
    assert (tmp_path / "mark" / "killed").exists()
    for one, other in zip(serial.gather(), found.gather(), strict=True):
        np.testing.assert_array_equal(one["squares"], other["squares"])
    assert [poisoned.done(shard.name) for shard in parts()] == [True, False, True, True, True, True]


def test_the_script_of_a_slurm_job(monkeypatch):
    pytest.importorskip("dask_jobqueue", reason='needs dask-jobqueue: pip install "cellprism[cluster]"')
    monkeypatch.setenv("PYTHONPATH", "/shared/code")
    with slurm_cluster(0) as jobs:
        script = jobs.job_script()
    for line in ("#SBATCH -n 1", "#SBATCH --cpus-per-task=4", "#SBATCH --mem=15G", "#SBATCH -t 04:00:00",
                 "export OMP_NUM_THREADS=4", "export PYTHONPATH=/shared/code"):  # fmt: skip
        assert line in script
    assert "--nthreads 1" in script
    assert "dask_worker" in script or "dask worker" in script.replace("-m distributed.cli.dask_worker", "dask worker")
