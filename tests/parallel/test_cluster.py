"""The same work on two processes of this machine, and what a Slurm queue is sent; needs the extra ``cluster``.

Dask lies beside the environment (``make``): in it, every import of anndata would load ``dask.array``.
"""

import json
import re
import shutil
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import anndata
import numpy as np
import pytest
import scipy.sparse as sp
from workflow.tiny import bar, finished_run, inputs

import cellprism as cp
from cellprism.errors import CellprismError
from cellprism.parallel.cluster import engine_of, slurm_cluster
from cellprism.parallel.engine import SerialEngine
from cellprism.parallel.shards import Shard, ShardFolder
from cellprism.store.run import Run
from cellprism.store.tables import read_table
from cellprism.workflow.pipeline import continue_run
from parallel.tasks import killed_once, squares

pytestmark = pytest.mark.filterwarnings("default")  # warnings of Dask's own


@pytest.fixture(scope="module", autouse=True)
def dask():
    """Dask, from the environment or from beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(Path(sys.prefix) / "cluster")])
        pytest.importorskip("distributed", reason='needs Dask: pip install "cellprism[cluster]"')
        yield


@pytest.fixture(scope="module")
def two(dask):
    """Two processes of this machine."""
    with engine_of("local:2") as engine:
        yield engine


def test_two_workers_lose_nothing_when_one_is_killed_and_name_a_poisoned_shard(two, tmp_path):
    def parts(*task):
        return [Shard(f"n-{a}", f"numbers {a} to {a + 9}", (a, a + 10, *task), 10) for a in range(0, 60, 10)]

    alone, together, poisoned = (ShardFolder(tmp_path / name, "a" * 64) for name in ("alone", "together", "poisoned"))
    (tmp_path / "mark").mkdir()
    (tmp_path / "mark" / "killed").touch()
    serial = SerialEngine().map(killed_once, parts(str(tmp_path / "mark")), alone)
    (tmp_path / "mark" / "killed").unlink()
    assert two.workers == 2
    found = two.map(killed_once, parts(str(tmp_path / "mark")), together)
    with pytest.raises(CellprismError, match="numbers 10 to 19 failed: ValueError: thirteen"):
        two.map(squares, parts(), poisoned)
    assert (tmp_path / "mark" / "killed").exists()
    for one, other in zip(serial.gather(), found.gather(), strict=True):
        np.testing.assert_array_equal(one["squares"], other["squares"])
    assert [poisoned.done(shard.name) for shard in parts()] == [True, False, True, True, True, True]


@pytest.mark.slow
def test_encoding_and_studies_have_the_bits_of_one_process(two, tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.setattr("cellprism.dictionary.sharded.CELLS_A_SHARD", 8)
    monkeypatch.setattr("cellprism.workflow.encode.CELLS_A_SHARD", 8)
    session = tmp_path_factory.getbasetemp()
    alone, scheduler = finished_run(session), two.client.scheduler.address
    cells = inputs(session)["cells"]
    features = cp.encode(cells, alone), cp.encode(cells, alone, cluster=scheduler)
    np.testing.assert_array_equal(features[0].X.toarray(), features[1].X.toarray())
    run = Run(Path(shutil.copytree(alone, tmp_path / "run")))
    for study in ("assess", "fit", "programs", "steer", "screen", "regulation", "contrast", "pareto"):
        before = [path.relative_to(alone) for path in sorted((alone / study).rglob("*"))]
        run.forget(study)
        continue_run(run.folder, study, None, bar, lambda text: None, cluster=scheduler)
        assert [path.relative_to(run.folder) for path in sorted((run.folder / study).rglob("*"))] == before
        for path in before:
            same(alone / path, run.folder / path)


def without_times(value):
    """Plain values without what differs between two times that the same is done."""
    if isinstance(value, dict):
        return {key: without_times(one) for key, one in value.items() if "second" not in key and key != "costs"}
    return [without_times(one) for one in value] if isinstance(value, list) else value


def same(one, other):
    """Two files of results with the same values, but for times."""
    if one.suffix == ".parquet":
        assert read_table(one).equals(read_table(other)), one
    elif one.suffix == ".h5ad":
        x, y = (sp.csr_matrix(anndata.read_h5ad(path).X) for path in (one, other))
        assert (x != y).nnz == 0, one
    elif one.suffix == ".json":
        said, again = (without_times(json.loads(path.read_text())) for path in (one, other))
        assert said == again, one


def test_the_script_of_a_slurm_job(monkeypatch):
    if find_spec("dask_jobqueue") is None:
        pytest.skip('needs dask-jobqueue: pip install "cellprism[cluster]"')
    monkeypatch.setenv("PYTHONPATH", "/shared/code")
    before = signal.getsignal(signal.SIGINT)
    with slurm_cluster(0) as jobs:
        script = jobs.job_script()
    assert signal.getsignal(signal.SIGINT) is before, "a step is still finished at Ctrl-C"
    for line in ("#SBATCH -n 1", "#SBATCH --cpus-per-task=4", "#SBATCH --mem=15G", "#SBATCH -t 04:00:00",
                 "export OMP_NUM_THREADS=4", "export PYTHONPATH=/shared/code"):  # fmt: skip
        assert line in script
    assert "--nthreads 1" in script
    import dask

    name, value = re.search(r"export (DASK_\w+)='(.*)'", script).groups()
    config = dask.config.merge(dask.config.config, dask.config.collect_env({name: value}))
    environ = dask.config.get("distributed.nanny.pre-spawn-environ", config=config)
    assert environ["MALLOC_TRIM_THRESHOLD_"] is None, "its workers keep memory for the next pass"
    assert environ["OMP_NUM_THREADS"] == 1
    assert "dask_worker" in script or "dask worker" in script.replace("-m distributed.cli.dask_worker", "dask worker")
