"""Asking the model: inputs set, features turned, regulators raised together; then factors judged, and experiments
read."""

import time

from cellprism.errors import ConfigError, ModelError
from cellprism.regulation.inference import factor_rows, known_before
from cellprism.regulation.measured import over_regulators
from cellprism.regulation.pools import imbalance
from cellprism.regulation.probes import lacks_probe
from cellprism.studies.regulation.answers import (
    beside_chance,
    committees,
    one_factor,
    over_factors,
    pair_rows,
)
from cellprism.studies.regulation.effects import Effects, measured_effects, shards_of
from cellprism.studies.regulation.experiments import PERTURBED, beside_experiments, experiments_of
from cellprism.studies.regulation.plan import Plan, planned
from cellprism.studies.regulation.preset import FACTOR, preset
from cellprism.studies.regulation.settings import RegulationSettings
from cellprism.studies.regulation.tables import Design, Facts, Regulation
from cellprism.studies.workbench import Workbench

NO_EDGES = (
    "no edges were named, so that there is nothing to ask: cellprism regulation RUN --all --edges FILE, with a table "
    "of source and target such as CollecTRI"
)
OTHER_MODEL = "Make a run with one that does, such as pbmc2: cellprism train CELLS --out ANOTHER --model pbmc2"


def work(bench: Workbench, settings: RegulationSettings) -> Regulation:
    """Ask what the settings ask for.

    Raises:
        ConfigError: no edges were named, or the edges, a factor or a cell type that was named will not do.
        ModelError: the model cannot be asked.
    """
    if not settings.edges:
        raise ConfigError(NO_EDGES)
    if why := lacks_probe(bench.model):
        raise ModelError(f"{why} {OTHER_MODEL}")
    began, plan, seed = time.perf_counter(), planned(bench, settings), bench.config.seed
    if not plan.regulons:
        why = "; ".join(f"{name}: {reason}" for name, reason in list(plan.missing.items())[:5]) or "there are no edges"
        raise ConfigError(
            f"no factor has enough targets among the genes that the cells express ({why}); lower min_targets or "
            "detected, or name edges of other factors"
        )
    if settings.factors and plan.missing:
        bench.say("left out: " + "; ".join(f"{name} ({why})" for name, why in plan.missing.items()))
    bench.say(
        f"factors: {len(plan.regulons)}; {len(plan.panel.genes)} genes beside {len(plan.panel.context)} that are "
        f"shown, {sum(map(len, plan.types.values()))} cells of {len(plan.types)} types; a direction that is "
        f"{known_before(plan.regulons):.3f} from one half would show with 80 % power"
    )
    asked, unread = experiments_of(bench, settings, plan)
    shards = shards_of(bench, settings, plan)
    effects = measured_effects(bench, settings, plan, shards)
    measured = beside_experiments(bench, settings, plan, asked, shards, effects.penalty)
    pairs, doses = pair_rows(effects, plan)
    facts = Facts(
        overall=over_factors(effects, plan, seed),
        relabelled=beside_chance(effects, plan, settings, seed),
        one=one_factor(effects, plan, seed) if settings.factors else [],
        committees=committees(bench, settings, plan, effects) if settings.committees else None,
        measured=measured,
        regulators=over_regulators([row for row in measured if row.experiment.startswith(PERTURBED)], seed),
        unread=unread,
        design=_design(plan, settings, effects, time.perf_counter() - began),
    )
    rows = factor_rows(effects.model, plan.regulons, plan.panel.genes)
    published = preset(bench, plan, effects.without_edits, named=FACTOR in settings.factors)
    tables = {"factors": rows, "pairs": pairs, "doses": doses, "preset": published}
    shards.clear()
    return Regulation(facts, tables)


def _design(plan: Plan, settings: RegulationSettings, effects: Effects, seconds: float) -> Design:
    return Design(
        factors=plan.factors, missing=plan.missing, dropped=plan.edges.dropped,
        edges=sum(len(one.targets) for one in plan.regulons), genes=len(plan.panel.genes),
        context=len(plan.panel.context), types={kind: len(rows) for kind, rows in plan.types.items()},
        doses=list(settings.doses), rows=effects.rows, seconds=round(seconds, 1), without_edits=effects.without_edits,
        penalty=effects.penalty, imbalance=imbalance(plan.on_panel, plan.regulons, effects.doses[:, -1]),
    )  # fmt: skip
