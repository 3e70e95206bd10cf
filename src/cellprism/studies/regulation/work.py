"""Asking the model: inputs set, features turned, regulators raised together; then factors judged, and experiments
read."""

import time
from typing import Any

import numpy as np
import pandas as pd

from cellprism.regulation.inference import factor_rows
from cellprism.regulation.probes import Probe, folds_of, lacks_probe, shown_cells
from cellprism.regulation.token_edits import feature_doses
from cellprism.studies.regulation.answers import (
    beside_chance,
    committees,
    one_factor,
    over_factors,
    pair_rows,
)
from cellprism.studies.regulation.effects import ROWS, Effects, features_of, measured_effects, shards_of
from cellprism.studies.regulation.experiments import beside_experiments
from cellprism.studies.regulation.plan import Plan, planned
from cellprism.studies.regulation.settings import RegulationSettings
from cellprism.studies.regulation.tables import COLUMNS, Design, Facts, Regulation
from cellprism.studies.workbench import Workbench

ALPHAS = (-15.0, -5.0, -2.0, 2.0, 5.0, 15.0)
PRESET_FACTOR = "TBX21"
PRESET = {
    "CXCR3": "target",
    "IFNG": "target",
    "TNF": "target",
    "CCL5": "no target",
    "KPNA2": "no target",
    "OASL": "no target",
}
"""Genes of Yanovsky and Chernomoretz 2026, with the same strengths."""
PRESET_CELLS = 24
NO_EDGES = (
    "no edges were named, so that there was nothing to ask: cellprism regulation RUN --edges FILE, with a table of "
    "source and target such as CollecTRI"
)


def work(bench: Workbench, settings: RegulationSettings) -> Regulation:
    """Ask what the settings ask for; where that cannot be, say why.

    Raises:
        ConfigError: the edges, a factor or a cell type that was named will not do.
    """
    if absent := ("" if settings.edges else NO_EDGES) or lacks_probe(bench.model):
        bench.say(f"nothing to ask: {absent}")
        return Regulation(Facts(absent))
    began, plan, seed = time.perf_counter(), planned(bench, settings), bench.config.seed
    if not plan.regulons:
        why = "; ".join(f"{name}: {reason}" for name, reason in list(plan.missing.items())[:5]) or "there are no edges"
        return Regulation(Facts(f"no factor has enough targets among the genes that the cells express ({why})"))
    bench.say(
        f"{len(plan.regulons)} factors, {len(plan.panel.genes)} genes beside {len(plan.panel.context)} that are shown, "
        f"{sum(map(len, plan.types.values()))} cells of {len(plan.types)} types"
    )
    shards = shards_of(bench, settings, plan)
    effects = measured_effects(bench, settings, plan, shards)
    measured, unread = beside_experiments(bench, settings, plan, shards, effects.penalty)
    pairs, doses = pair_rows(effects, plan)
    facts = Facts(
        overall=over_factors(effects, plan, seed),
        relabelled=beside_chance(effects, plan, settings, seed),
        one=one_factor(effects, plan, seed) if settings.factors else [],
        committees=committees(bench, settings, plan, effects) if settings.committees else None,
        measured=measured,
        unread=unread,
        design=_design(plan, settings, effects, time.perf_counter() - began),
    )
    rows = factor_rows(effects.model, plan.regulons, plan.panel.genes)
    tables = {"factors": rows, "pairs": pairs, "doses": doses, "preset": preset(bench, plan, effects)}
    shards.clear()
    return Regulation(facts, tables)


def _design(plan: Plan, settings: RegulationSettings, effects: Effects, seconds: float) -> Design:
    return Design(
        factors=plan.factors, missing=plan.missing, dropped=plan.edges.dropped,
        edges=sum(len(one.targets) for one in plan.regulons), genes=len(plan.panel.genes),
        context=len(plan.panel.context), types={kind: len(rows) for kind, rows in plan.types.items()},
        doses=list(settings.doses), rows=effects.rows, seconds=round(seconds, 1), without_edits=effects.without_edits,
        penalty=effects.penalty,
    )  # fmt: skip


def preset(bench: Workbench, plan: Plan, effects: Effects) -> pd.DataFrame:
    """The published question: every feature that fires at TBX21's token turned by itself and its targets read, and the
    other way round; empty where TBX21 was not asked about or no feature can be turned at a token."""
    genes = [gene for gene in PRESET if gene in plan.facts.genes]
    if PRESET_FACTOR not in plan.factors or effects.without_edits or not genes:
        return pd.DataFrame(columns=pd.Index(COLUMNS["preset"])).astype({"effect": float, "alpha": float})
    rows: list[dict[str, Any]] = []
    names = list(dict.fromkeys([PRESET_FACTOR, *genes, *plan.panel.genes, *plan.panel.context]))
    some = _cells_with(plan, PRESET_FACTOR)
    batch = shown_cells(bench.model, plan.cells[some].copy(), names)
    probe = Probe(bench.model, batch, names, names, folds_of(names, bench.config.seed), ROWS)
    factor, features = names.index(PRESET_FACTOR), features_of(bench)
    for gene in genes:
        place = names.index(gene)
        for way, source, read in (("forward", factor, place), ("reverse", place, factor)):
            found = feature_doses(probe, features, ALPHAS, source, read)
            rows += [{"gene": gene, "group": PRESET[gene], "way": way, **row} for row in found]
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS["preset"]))


def _cells_with(plan: Plan, gene: str) -> np.ndarray:
    """Cells of the types at hand in which a gene is seen, at most ``PRESET_CELLS``, filled up with others."""
    place = plan.facts.genes.get_indexer(pd.Index([gene]))[0]
    seen = np.asarray(plan.facts.expression[:, [place]].toarray()).ravel() > 0
    own = np.concatenate(list(plan.types.values()))
    labels = plan.cells.obs["cell_type"].astype(str).to_numpy() if "cell_type" in plan.cells.obs else None
    inside = seen if labels is None else seen & np.isin(labels, list(plan.types))
    return np.sort(np.union1d(np.flatnonzero(inside)[:PRESET_CELLS], own))
