"""Lists made by chance beside a family of lists: drawn and scored in this process, or on a cluster, some at a time.

A replicate is drawn from a seed of its own, so that who draws it makes no difference. Workers read the family from a
file beside their results; all else they take from the run.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cellprism.enrich.nulls import ChanceLists, NullRates, Score, null_rates
from cellprism.ontology.collection import record_of
from cellprism.parallel.shards import Arrays, Shard
from cellprism.store.atomic import read_json, write_json
from cellprism.studies.mapping import mapped
from cellprism.studies.programs.settings import ProgramsSettings
from cellprism.studies.shards import shards_of
from cellprism.studies.workbench import Workbench

TITLE = "scoring random lists"
REPLICATES = 20  # of a shard
LISTS = "lists.json"


@dataclass(frozen=True)
class Family:
    """A family of lists and what is drawn beside it."""

    lists: dict[str, list[str]]
    background: list[str]
    nulls: list[str]


def chance_rates(
    bench: Workbench,
    lists: Mapping[str, Iterable[str]],
    nulls: Sequence[str],
    settings: ProgramsSettings,
    background: Sequence[str],
) -> NullRates:
    """The lists beside families of as many and as long ones, of each null, made by chance."""
    family = Family({name: list(some) for name, some in lists.items()}, list(background), list(nulls))

    def by_workers(chance: ChanceLists, asked: Sequence[tuple[str, int]]) -> Iterator[Score]:
        sets = record_of(bench.collection(settings.collection))
        folder = shards_of(bench, "programs", ("cells",), settings, family=asdict(family), sets=sets)
        write_json(folder.folder / LISTS, asdict(family))
        parts = [
            Shard(f"{at:05}", f"random lists {at + 1:,} to {at + len(some):,}", some, len(some))
            for at in range(0, len(asked), REPLICATES) for some in [list(asked[at : at + REPLICATES])]
        ]  # fmt: skip
        prepare = ChanceOnDisk(str((folder.folder / LISTS).resolve()))
        for found in mapped(bench, TITLE, parts, folder, chance, prepare, scored, "families").gather():
            counts = zip(found["distinct_terms"].tolist(), found["covered_genes"].tolist(), strict=True)
            yield from (Score(some, *of) for some, of in zip(found["annotated"], counts, strict=True))
        folder.clear()

    return null_rates(
        lists, bench.collection(settings.collection), background, bench.cells, nulls=nulls,
        replicates=settings.replicates, seed=bench.config.seed, family=settings.family, alpha=settings.alpha,
        min_term_size=settings.min_term_size, scores=by_workers if bench.engine.elsewhere else None,
        modules=bench.modules,
    )  # fmt: skip


@dataclass(frozen=True)
class ChanceOnDisk:
    """Makes what draws lists on a worker."""

    path: str
    """Of the family."""

    def __call__(self, bench: Workbench) -> ChanceLists:
        """From the run and the family's file."""
        family, settings = Family(**read_json(Path(self.path))), bench.settings("programs")
        return ChanceLists(
            family.lists, bench.collection(settings.collection), family.background, bench.cells, family.nulls,
            bench.config.seed, settings.family, settings.alpha, settings.min_term_size, bench.modules,
        )  # fmt: skip


def scored(chance: ChanceLists, task: Any) -> Arrays:
    """The scores of the families of a shard."""
    found = list(chance.scores([(str(null), int(replicate)) for null, replicate in task]))
    return {
        "annotated": np.array([score.annotated for score in found]),
        "distinct_terms": np.array([score.distinct_terms for score in found]),
        "covered_genes": np.array([score.covered_genes for score in found]),
    }
