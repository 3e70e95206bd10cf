"""Tables of effects on the panel: the model's by probe and cell type, and those of what it stands beside."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from anndata import AnnData
from jaxtyping import Float

from cellprism.regulation.coexpression import chosen_penalty, ridge_effects
from cellprism.regulation.probes import Probe, folds_of, input_doses, input_effects, shown_cells
from cellprism.regulation.token_edits import EDITS, Features, edit_effects, lacks_edits
from cellprism.steering.intervene import encode_site
from cellprism.steering.reading import reads_at
from cellprism.studies.regulation.plan import Plan
from cellprism.studies.regulation.settings import RegulationSettings
from cellprism.studies.regulation.tables import COEXPRESSION, DELETION, DOSE, EVERY, RIDGE
from cellprism.studies.shards import Arrays, Shards
from cellprism.studies.workbench import Workbench
from cellprism.types import CellModel, Reinitialises

ROWS = 16  # a pass
Table = Float[np.ndarray, "gene gene"]


@dataclass(frozen=True, eq=False)
class Effects:
    """What raising one gene of the panel (row) does to another (column)."""

    model: dict[tuple[str, str], Table]
    """(probe, cell type)."""
    beside: dict[str, Table]
    """By source: ridge regression, correlation."""
    untrained: list[Table]
    """Doses in networks with fresh random weights, each in one cell."""
    by_dose: Float[np.ndarray, "dose gene gene"]
    """The model's, mean over types."""
    doses: Float[np.ndarray, "gene dose"]
    """Input values."""
    quantiles: tuple[float, ...]
    """What these are, dose by dose."""
    rows: int
    penalty: float
    without_edits: str = ""


def measured_effects(bench: Workbench, settings: RegulationSettings, plan: Plan, shards: Shards) -> Effects:
    """All tables; cell by cell, each kept as it is done."""
    genes, model = plan.panel.genes, bench.model
    doses = input_doses(model, plan.cells, genes, settings.doses, ROWS)
    cells = [(kind, int(row)) for kind, rows in plan.types.items() for row in rows]
    without = lacks_edits(model.n_layers, bench.config.layer)
    trained = "" if without else bench.run.state["steps"]["train"]["identity"][:16]
    parts: dict[str, list[Arrays]] = {kind: [] for kind in plan.types}
    untrained: list[Table] = []
    networks = settings.untrained if isinstance(model, Reinitialises) else 0
    total, done = (len(cells) + networks) * len(genes) * 2, 0
    with bench.bar("setting inputs", total) as advance:

        def step(rows: int) -> None:
            nonlocal done
            done += rows
            advance(min(done, total))

        for kind, row in cells:
            cell = plan.cells[[row]]
            found = shards.kept(f"model-{row}", _doses_in(model, bench, plan, cell, doses, step))
            if not without:
                found |= shards.kept(f"features-{trained}-{row}", _edits_in(bench, settings, plan, cell))
            parts[kind].append(found)
        for number in range(networks):
            fresh, cell = model.reinitialised(bench.config.seed + number), plan.cells[[_turn(plan, number)]]
            make = _doses_in(fresh, bench, plan, cell, doses, step)
            untrained.append(shards.kept(f"untrained-{number}", make)[DOSE][-1])
    tables = {(probe, kind): _mean([one[probe] for one in each]) for kind, each in parts.items() for probe in each[0]}
    judged: dict[tuple[str, str], Table] = {}
    for (probe, kind), table in tables.items():
        judged[probe, kind] = table[-1] if probe == DOSE else table
    for probe in [DOSE, DELETION, *(() if without else EDITS)]:
        judged[probe, EVERY] = _mean([judged[probe, kind] for kind in plan.types])
    expression = plan.on_panel.expression.toarray()
    penalty = chosen_penalty(expression, np.random.default_rng([bench.config.seed, 59]))
    ridge = ridge_effects(expression, settings.doses[-1], penalty)
    pairs = np.where(np.eye(len(genes), dtype=bool), np.nan, plan.on_panel.correlation)
    beside = {RIDGE: ridge, COEXPRESSION: pairs}
    by_dose = _mean([tables[DOSE, kind] for kind in plan.types])
    return Effects(judged, beside, untrained, by_dose, doses, settings.doses, done, penalty, without)


def _turn(plan: Plan, number: int) -> int:
    """The cell that a network reads: of each type by turns."""
    kinds = list(plan.types.values())
    rows = kinds[number % len(kinds)]
    return int(rows[number // len(kinds) % len(rows)])


def shards_of(bench: Workbench, settings: RegulationSettings, plan: Plan) -> Shards:
    """Where the parts of the measurement are kept. What only reads the model outlives another autoencoder."""
    needed = {"cells": bench.run.state["steps"]["cells"]["identity"]}
    asked = {key: asdict(settings)[key] for key in ("doses", "strength")}
    panel = {"genes": plan.panel.genes, "context": plan.panel.context}
    return Shards(bench.folder_of("regulation"), {**needed, **asked, **panel, "seed": bench.config.seed})


def features_of(bench: Workbench) -> Features:
    """Those of the run's autoencoder, at its site."""
    return Features(bench.config.layer, partial(encode_site, bench.sae), bench.sae.W_dec.detach())


def _doses_in(
    model: CellModel,
    bench: Workbench,
    plan: Plan,
    cell: AnnData,
    doses: Float[np.ndarray, "gene dose"],
    step: Callable[[int], None],
) -> Callable[[], Arrays]:
    """Makes the tables of doses and deletions in one cell."""

    def make() -> Arrays:
        found = input_effects(_probe(model, bench, plan, cell), doses, step)
        return {DOSE: found.dose.astype(np.float32), DELETION: found.deletion.astype(np.float32)}

    return make


def _edits_in(bench: Workbench, settings: RegulationSettings, plan: Plan, cell: AnnData) -> Callable[[], Arrays]:
    """Makes the tables of features turned at one token, in one cell."""

    def make() -> Arrays:
        visible = reads_at(bench.model, "") == "visible"
        probe = _probe(bench.model, bench, plan, cell)
        found = edit_effects(probe, features_of(bench), settings.strength, visible)
        return {name: table.astype(np.float32) for name, table in found.items()}

    return make


def _probe(model: CellModel, bench: Workbench, plan: Plan, cell: AnnData) -> Probe:
    genes = plan.panel.genes
    batch = shown_cells(model, cell, [*genes, *plan.panel.context])
    return Probe(model, batch, genes, genes, folds_of(genes, bench.config.seed), ROWS)


def _mean(tables: list[np.ndarray]) -> np.ndarray:
    """Mean of tables, each entry over those that have it."""
    stack = np.stack(tables).astype(np.float64)
    there = ~np.isnan(stack)
    count = there.sum(axis=0)
    return np.divide(np.where(there, stack, 0).sum(axis=0), count, out=np.full(count.shape, np.nan), where=count > 0)
