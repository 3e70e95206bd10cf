"""The answers that planted cells carry, in slots that an ``.h5ad`` file keeps.

``obsm["planted_activity"]``: activity [cell program]. ``varm["planted_programs"]``: rise of a gene at activity 1
[gene program]. ``uns["planted"]``: names of programs and types, type x program, relations of programs, edges with
sign and weight, settings and seed.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Float

from cellprism.errors import CellsError
from cellprism.simulate.cell_settings import PlantedSettings
from cellprism.simulate.plan import Plan

SLOT, ACTIVITY, PROGRAMS = "planted", "planted_activity", "planted_programs"


@dataclass(frozen=True)
class Answers:
    """What planted cells are known to hold."""

    programs: Sequence[str]
    types: Sequence[str]
    weights: pd.DataFrame
    """genes x programs: rise of a gene at activity 1; 0 for genes outside."""
    activity: pd.DataFrame
    """cells x programs."""
    type_program: pd.DataFrame
    """types x programs: 1 where a type uses a program."""
    relations: pd.DataFrame
    """program, other, relation (``overlaps``, ``inside``)."""
    edges: pd.DataFrame
    """source, target (symbols), weight, sign."""
    settings: PlantedSettings
    seed: int

    def genes_of(self, program: str) -> list[str]:
        """Genes of a program."""
        return list(self.weights.index[self.weights[program] > 0])

    def collection(self) -> dict[str, list[str]]:
        """All programs as gene sets."""
        return {program: self.genes_of(program) for program in self.programs}

    def differing(self, source: str, target: str) -> dict[str, int]:
        """Programs that only one of two types uses: 1 where the target does, -1 where the source does.

        Raises:
            CellsError: no such type.
        """
        for name in (source, target):
            if name not in self.type_program.index:
                raise CellsError("the planted cells", [f"no type {name!r}; there are {', '.join(self.types)}"])
        gap = self.type_program.loc[target] - self.type_program.loc[source]
        return {str(program): int(value) for program, value in gap.items() if value}


def with_answers(
    adata: AnnData, plan: Plan, activity: Float[np.ndarray, "cell program"], settings: PlantedSettings, seed: int
) -> AnnData:
    """The cells with their answers in place."""
    symbols = np.array(plan.genes.symbol)
    names = [f"program{i}" for i in range(settings.programs)]
    edges = plan.edges.assign(source=symbols[plan.edges["source"]], target=symbols[plan.edges["target"]])
    relations = plan.relations.assign(**{c: [f"program{i}" for i in plan.relations[c]] for c in ("program", "other")})
    adata.obsm[ACTIVITY] = activity.astype(np.float32)
    adata.varm[PROGRAMS] = plan.programs.T.copy()
    adata.uns[SLOT] = {
        "programs": np.array(names, dtype=object),
        "types": np.array(adata.obs["cell_type"].cat.categories, dtype=object),
        "type_program": plan.type_program,
        "relations": relations.set_axis(relations.index.astype(str)),
        "edges": edges.set_axis(edges.index.astype(str)),
        "settings": json.dumps(asdict(settings)),
        "seed": seed,
    }
    return adata


def answers_of(adata: AnnData) -> Answers:
    """The answers that planted cells carry.

    Raises:
        CellsError: these cells carry none, as real ones do and those that ``read_cells`` returns.
    """
    if SLOT not in adata.uns or ACTIVITY not in adata.obsm or PROGRAMS not in adata.varm:
        lacks = f"no planted answers (uns[{SLOT!r}], obsm[{ACTIVITY!r}], varm[{PROGRAMS!r}])"
        raise CellsError("the AnnData", [f"{lacks}; use planted cells as they were made or written"])
    slot = adata.uns[SLOT]
    programs, types = (pd.Index(np.asarray(slot[name]), dtype=str) for name in ("programs", "types"))
    return Answers(
        programs=programs.tolist(),
        types=types.tolist(),
        weights=pd.DataFrame(np.asarray(adata.varm[PROGRAMS]), index=adata.var_names, columns=programs),
        activity=pd.DataFrame(np.asarray(adata.obsm[ACTIVITY]), index=adata.obs_names, columns=programs),
        type_program=pd.DataFrame(np.asarray(slot["type_program"]), index=types, columns=programs),
        relations=slot["relations"],
        edges=slot["edges"],
        settings=PlantedSettings(**json.loads(slot["settings"])),
        seed=int(slot["seed"]),
    )


def without_answers(adata: AnnData) -> AnnData:
    """A copy of the cells that carries no answers."""
    bare = adata.copy()
    for slots, name in ((bare.uns, SLOT), (bare.obsm, ACTIVITY), (bare.varm, PROGRAMS)):
        if name in slots:
            del slots[name]
    return bare
