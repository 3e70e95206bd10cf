"""Work of studies as workers of a cluster do it, which open the run themselves, but in this process."""

from workflow.tiny import bar

from cellprism.parallel.engine import SerialEngine
from cellprism.store.run import Run
from cellprism.studies.harvest import harvested
from cellprism.studies.workbench import Workbench
from cellprism.workflow.config import config_of
from cellprism.workflow.pipeline import _opening


class Elsewhere(SerialEngine):
    """Works as workers do."""

    elsewhere = True


class Backwards(Elsewhere):
    """The last shard first."""

    def _computed(self, work, shards, folder):
        return super()._computed(work, shards[::-1], folder)


def bench_of(run: Run, engine: SerialEngine | None = None) -> Workbench:
    """A run, for work here or elsewhere."""
    return Workbench(run, config_of(run), bar, engine=engine, opening=_opening, harvest=harvested)
