"""The same verbs on a Dask cluster: processes of this machine, a scheduler that is running, or jobs of a Slurm queue.

- A worker that is killed loses the shard it was at; the scheduler gives it to another one, three times at most.
- Workers of this machine have one thread each, so that N of them use N processors, and what they compute has the bits
  of one process with one thread.
- How a Slurm job looks (queue, account, memory, time) is said in dask-jobqueue's own configuration; only what is
  missing there is filled in.
"""

import os
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from cellprism.errors import ConfigError, InputError
from cellprism.parallel.engine import Engine, SerialEngine, Work, compute
from cellprism.parallel.shards import Shard, ShardFolder

EXPECTED = "expected local:N, tcp://HOST:PORT of a running scheduler, or slurm:JOBS"
SLURM = {"cores": 4, "memory": "16GB", "walltime": "04:00:00"}
"""What a Slurm job asks for where dask-jobqueue's configuration (jobqueue.yaml) says nothing of one's own."""
SILENT = (None, "00:30:00")
"""What that configuration holds where nobody has said anything."""
DASHBOARD = "127.0.0.1:8787"
START_WITHIN = 120  # seconds for the first worker of this machine
CLOSE_WITHIN = 20  # seconds
ENVIRON = "distributed.nanny.pre-spawn-environ"
"""Where Dask's configuration says what the environment of its workers holds."""
TRIMMED = "MALLOC_TRIM_THRESHOLD_"
"""Has workers of Dask give memory back at once, and so ask for it anew for every tensor: a pass took 1.7 times as
long."""


class DaskEngine(Engine):
    """Maps on the workers of a Dask client."""

    elsewhere = True

    def __init__(self, client: Any, workers: int):
        self.client, self.workers = client, workers

    def _computed(
        self, work: Work, shards: Sequence[Shard], folder: ShardFolder
    ) -> Iterator[tuple[Shard, BaseException | None]]:
        from distributed import KilledWorker, as_completed  # pyright: ignore[reportMissingImports]

        futures = {
            self.client.submit(compute, work, shard.task, folder.path(shard.name), pure=False): shard
            for shard in shards
        }
        try:
            for future in as_completed(futures, loop=self.client.loop):
                error = future.exception()
                if isinstance(error, KilledWorker):
                    error = InputError("its workers were killed, again and again: give them more memory, or take fewer")
                yield futures.pop(future), error
        finally:
            self.client.cancel(list(futures))


@contextmanager
def engine_of(cluster: str, dashboard: bool = False) -> Iterator[Engine]:
    """The engine that a setting names, for as long as it is needed.

    Args:
        cluster: empty for this process alone; ``local:N`` for N processes of this machine; ``tcp://HOST:PORT`` for a
            Dask scheduler that is running; ``slurm`` or ``slurm:JOBS`` for jobs that end with the work.
        dashboard: have Dask's dashboard on this machine's own address; needs bokeh.

    Raises:
        ConfigError: it names nothing known, or Dask is not installed.
        InputError: the scheduler does not answer, or no worker comes up.
    """
    check_cluster(cluster)
    if not cluster:
        yield SerialEngine()
        return
    kind, size = _parsed(cluster)
    from distributed import Client  # pyright: ignore[reportMissingImports]

    with _opened(kind, cluster, size, dashboard) as address:
        try:
            client = Client(address, timeout=30, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise InputError(f"no Dask scheduler answers at {cluster} ({error}); start one: dask scheduler") from error
        with client:
            if kind == "local":
                client.wait_for_workers(1, timeout=START_WITHIN)
            yield DaskEngine(client, size or max(1, len(client.nthreads())))


def check_cluster(cluster: str) -> None:
    """Refuse a setting that ``engine_of`` could do nothing with, before any work is begun.

    Raises:
        ConfigError: it names nothing known, or Dask is not installed.
    """
    if cluster:
        _refuse_without_dask(_parsed(cluster)[0])


def _parsed(cluster: str) -> tuple[str, int]:
    """Kind and number of workers; 0 where a running scheduler decides.

    Raises:
        ConfigError: it is none of the three kinds.
    """
    if re.fullmatch(r"(tcp|tls)://\S+:\d+", cluster):
        return "running", 0
    found = re.fullmatch(r"(local|slurm)(?::(\d+))?", cluster)
    number = int(found[2] or 0) if found else 0
    if found is None or (found[2] and not number) or (found[1] == "local" and not number):
        raise ConfigError(f"--cluster {cluster!r}: {EXPECTED}")
    return found[1], number or 1


def _refuse_without_dask(kind: str) -> None:
    try:
        import distributed  # noqa: F401 # pyright: ignore[reportMissingImports]

        if kind == "slurm":
            _slurm_cluster_kind()
    except ModuleNotFoundError as error:
        raise ConfigError(
            f'--cluster needs {error.name}, which is not installed: pip install "cellprism[cluster]"'
        ) from error


@contextmanager
def _opened(kind: str, cluster: str, size: int, dashboard: bool) -> Iterator[Any]:
    """What a client connects to: an address, or a cluster that is closed in the end."""
    if kind == "running":
        yield cluster
        return
    if kind == "slurm":
        with slurm_cluster(size, dashboard) as jobs:
            yield jobs
        return
    import dask  # pyright: ignore[reportMissingImports]
    from distributed import LocalCluster  # pyright: ignore[reportMissingImports]

    # memory_limit 0: what is planned is said before; a limit of Dask's would kill workers of large models
    with dask.config.set({f"{ENVIRON}.{TRIMMED}": None}):
        here = LocalCluster(
            n_workers=size, threads_per_worker=1, processes=True, host="127.0.0.1", memory_limit=0,
            dashboard_address=DASHBOARD if dashboard else None, worker_dashboard_address=None,
        )  # fmt: skip
    try:
        yield here
    finally:
        with suppress(TimeoutError):  # a worker that was killed may never answer; all end with this process
            here.close(timeout=CLOSE_WITHIN)


def slurm_cluster(jobs: int, dashboard: bool = False) -> Any:
    """Jobs of a Slurm queue, one worker each, with the environment that this process has; sent off when made.

    Returns:
        A ``dask_jobqueue.SLURMCluster``; ``job_script()`` is the text that ``sbatch`` is given.
    """
    import dask  # pyright: ignore[reportMissingImports]

    kind = _slurm_cluster_kind()
    asked = {key: value for key, value in SLURM.items() if dask.config.get(f"jobqueue.slurm.{key}", None) in SILENT}
    cores = int(asked.get("cores") or dask.config.get("jobqueue.slurm.cores"))
    threads = [f"export {name}={cores}" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")]
    setting = ENVIRON.upper().replace(".", "__").replace("-", "_")
    kept = f"export DASK_{setting}='{{\"{TRIMMED}\": None}}'"
    path = [f"export PYTHONPATH={os.environ['PYTHONPATH']}"] if os.environ.get("PYTHONPATH") else []
    return kind(
        n_workers=jobs, processes=1, job_script_prologue=[*threads, kept, *path],
        worker_extra_args=["--nthreads", "1", "--no-dashboard"],
        scheduler_options={"dashboard": dashboard, "dashboard_address": DASHBOARD}, **asked,
    )  # fmt: skip


def _slurm_cluster_kind() -> Any:
    """The class of dask-jobqueue, whose import has Ctrl-C end the process at once: here a step is finished first."""
    handler = signal.getsignal(signal.SIGINT)
    from dask_jobqueue import SLURMCluster  # pyright: ignore[reportMissingImports]

    signal.signal(signal.SIGINT, handler)
    return SLURMCluster
