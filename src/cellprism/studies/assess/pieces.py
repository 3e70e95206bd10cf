"""The questions that are put to the model, each by itself: in this process, or on a worker that opens the run."""

from dataclasses import asdict, dataclass
from typing import Any

from cellprism.cells.noise import noise_cells
from cellprism.parallel.shards import Arrays, as_json
from cellprism.studies.assess.counts import hidden_counts
from cellprism.studies.assess.hidden import hidden_genes
from cellprism.studies.assess.reading import cell_types_read
from cellprism.studies.assess.settings import AssessSettings
from cellprism.studies.assess.split import Split, split_of
from cellprism.studies.workbench import Workbench
from cellprism.types import CellModel, PredictsShares

GENES, NOISE, COUNTS, TYPES = "hidden genes", "hidden genes of noise", "hidden counts", "cell types"
NOISE_MASKS = 1


@dataclass(frozen=True, eq=False)
class Asking:
    """What every question needs."""

    model: CellModel
    split: Split
    settings: AssessSettings
    layer: int
    seed: int
    size: int
    """Cells a pass."""


def asking(bench: Workbench) -> Asking:
    """From a run."""
    settings, seed = bench.settings("assess"), bench.config.seed
    split = split_of(bench.cells, settings, seed)
    return Asking(bench.model, split, settings, bench.config.layer, seed, bench.cells_a_pass())


def answered(ask: Asking, question: str) -> Arrays:
    """The answer to one question, as JSON; null where there is none."""
    split, settings, rest = ask.split, ask.settings, (ask.seed, ask.size)
    found: Any = None
    if question == GENES:
        found = hidden_genes(ask.model, split, settings, *rest, settings.masks)
    elif question == NOISE:
        pure = Split(noise_cells(split.cells, ask.seed), split.fit, split.asked, split.test, None)
        found = hidden_genes(ask.model, pure, settings, *rest, NOISE_MASKS)
    elif question == COUNTS:
        assert isinstance(ask.model, PredictsShares), "asked of such models alone"
        found = hidden_counts(ask.model, split, *rest)
    else:
        found = cell_types_read(ask.model, split, ask.layer, *rest)
    plain = {name: asdict(one) for name, one in found.items()} if isinstance(found, dict) else found and asdict(found)
    return as_json(plain)
