"""The published question: features at TBX21's token turned by themselves and its targets read, and the other way round.

Genes and strengths are those of Yanovsky and Chernomoretz 2026. Where TBX21 is asked about by name, all of its targets
that the cells express are read, else the six genes that were published.
"""

from typing import Any

import numpy as np
import pandas as pd

from cellprism.regulation.probes import Probe, folds_of, shown_cells
from cellprism.regulation.token_edits import feature_doses
from cellprism.studies.regulation.effects import ROWS, features_of
from cellprism.studies.regulation.plan import Plan
from cellprism.studies.regulation.tables import COLUMNS, PUBLISHED, TARGET
from cellprism.studies.workbench import Workbench

ALPHAS = (-15.0, -5.0, -2.0, 2.0, 5.0, 15.0)
FACTOR = "TBX21"
CELLS = 24


def preset(bench: Workbench, plan: Plan, without_edits: str, named: bool) -> pd.DataFrame:
    """Rows of the table ``preset``; none where TBX21 was not asked about or no feature can be turned at a token.

    Args:
        bench: the run.
        plan: what is asked.
        without_edits: why no feature can be turned; empty where one can.
        named: whether TBX21 was asked about by name, so that all of its targets are read.
    """
    groups = {gene: group for gene, group in PUBLISHED.items() if gene in plan.facts.genes}
    if FACTOR not in plan.factors or without_edits or not groups:
        return pd.DataFrame(columns=pd.Index(list(COLUMNS["preset"]))).astype({"effect": float, "alpha": float})
    groups |= {gene: TARGET for gene in plan.edges.targets(FACTOR)["target"] if named and gene not in groups}
    names = list(dict.fromkeys([FACTOR, *groups, *plan.panel.genes, *plan.panel.context]))
    batch = shown_cells(bench.model, plan.cells[_cells_with(plan, FACTOR)].copy(), names)
    probe = Probe(bench.model, batch, names, names, folds_of(names, bench.config.seed), ROWS)
    factor, genes, features = names.index(FACTOR), list(groups), features_of(bench)
    places = [names.index(gene) for gene in genes]
    rows: list[dict[str, Any]] = []
    with bench.bar("turning features one by one", len(genes) + 1) as advance:
        for row in feature_doses(probe, features, ALPHAS, factor, places):
            gene = names[int(row["read"])]
            rows.append({**row, "gene": gene, "group": groups[gene], "way": "forward"})
        for number, (gene, place) in enumerate(zip(genes, places, strict=True)):
            advance(number + 1)
            found = feature_doses(probe, features, ALPHAS, place, [factor])
            rows += [{**row, "gene": gene, "group": groups[gene], "way": "reverse"} for row in found]
    return pd.DataFrame(rows, columns=pd.Index(list(COLUMNS["preset"])))


def _cells_with(plan: Plan, gene: str) -> np.ndarray:
    """Cells of the types at hand in which a gene is seen, at most ``CELLS``, filled up with others."""
    place = plan.facts.genes.get_indexer(pd.Index([gene]))[0]
    seen = np.asarray(plan.facts.expression[:, [place]].toarray()).ravel() > 0
    own = np.concatenate(list(plan.types.values()))
    labels = plan.cells.obs["cell_type"].astype(str).to_numpy() if "cell_type" in plan.cells.obs else None
    inside = seen if labels is None else seen & np.isin(labels, list(plan.types))
    return np.sort(np.union1d(np.flatnonzero(inside)[:CELLS], own))
