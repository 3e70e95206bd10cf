"""Tables of effects on the panel: the model's by probe and cell type, and those of what it stands beside."""

from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from anndata import AnnData
from jaxtyping import Float

from cellprism.parallel.shards import Arrays, Shard
from cellprism.regulation.coexpression import chosen_penalty, ridge_effects
from cellprism.regulation.probes import Probe, folds_of, input_doses, input_effects, shown_cells
from cellprism.regulation.token_edits import EDITS, Features, edit_effects, lacks_edits
from cellprism.steering.intervene import encode_site
from cellprism.steering.reading import reads_at
from cellprism.studies.mapping import mapped
from cellprism.studies.regulation.plan import Plan, planned
from cellprism.studies.regulation.settings import RegulationSettings
from cellprism.studies.regulation.tables import COEXPRESSION, DELETION, DOSE, EVERY, RIDGE
from cellprism.studies.shards import Shards
from cellprism.studies.workbench import Workbench
from cellprism.types import CellModel, Reinitialises

ROWS = 16  # a pass
PASSED = "rows"  # how many went through the model
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


@dataclass(frozen=True, eq=False)
class Asking:
    """What asking one cell takes."""

    bench: Workbench
    settings: RegulationSettings
    plan: Plan
    doses: Float[np.ndarray, "gene dose"]
    networks: int
    """How many untrained models are asked too; none of a model that has no untrained twin."""
    without_edits: str
    """Why no feature can be turned at a token; empty where one can."""


@dataclass(frozen=True)
class Ask:
    """One cell and what is asked in it."""

    row: int
    way: str
    """``model`` or ``untrained``: inputs set; ``features``: features turned."""
    network: int = 0
    """Which untrained model."""


def asking(bench: Workbench) -> Asking:
    """What asking the cells of a run takes."""
    settings: RegulationSettings = bench.settings("regulation")
    return asking_of(bench, settings, planned(bench, settings))


def asking_of(bench: Workbench, settings: RegulationSettings, plan: Plan) -> Asking:
    """The same, of a plan that is made."""
    model = bench.model
    doses = input_doses(model, plan.cells, plan.panel.genes, settings.doses, ROWS)
    networks = settings.untrained if isinstance(model, Reinitialises) else 0
    return Asking(bench, settings, plan, doses, networks, lacks_edits(model.n_layers, bench.config.layer))


def asked(state: Asking, task: Ask) -> Arrays:
    """The tables of one cell."""
    bench, cell = state.bench, state.plan.cells[[task.row]]
    if task.way == "features":
        probe = _probe(bench.model, bench, state.plan, cell)
        visible = reads_at(bench.model, "") == "visible"
        tables = edit_effects(probe, features_of(bench), state.settings.strength, visible)
        return {name: table.astype(np.float32) for name, table in tables.items()}
    model = bench.model
    if task.way == "untrained":
        assert isinstance(model, Reinitialises), "untrained ones are asked only where there are some"
        model = model.reinitialised(bench.config.seed + task.network)
    passes = []
    found = input_effects(_probe(model, bench, state.plan, cell), state.doses, passes.append)
    rows = np.array([sum(passes)])
    return {DOSE: found.dose.astype(np.float32), DELETION: found.deletion.astype(np.float32), PASSED: rows}


def measured_effects(bench: Workbench, settings: RegulationSettings, plan: Plan, shards: Shards) -> Effects:
    """All tables; cell by cell, each kept as it is done."""
    genes, state = plan.panel.genes, asking_of(bench, settings, plan)
    parts = _parts(bench, state)
    found = mapped(bench, "setting inputs", list(parts), shards, state, asking, asked)
    by_kind: dict[str, list[Arrays]] = {kind: [] for kind in plan.types}
    untrained: list[Arrays] = []
    rows = 0
    for part, arrays in zip(parts, found.gather(), strict=True):
        rows += int(arrays.pop(PASSED, np.zeros(1)).sum())
        (untrained if part.task.way == "untrained" else by_kind[parts[part]]).append(arrays)
    probes = [DOSE, DELETION, *(() if state.without_edits else EDITS)]
    tables = {
        (probe, kind): _mean([one[probe] for one in each if probe in one])
        for kind, each in by_kind.items() for probe in probes
    }  # fmt: skip
    judged: dict[tuple[str, str], Table] = {}
    for (probe, kind), table in tables.items():
        judged[probe, kind] = table[-1] if probe == DOSE else table
    for probe in probes:
        judged[probe, EVERY] = _mean([judged[probe, kind] for kind in plan.types])
    expression = plan.on_panel.expression.toarray()
    penalty = chosen_penalty(expression, np.random.default_rng([bench.config.seed, 59]))
    ridge = ridge_effects(expression, settings.doses[-1], penalty)
    pairs = np.where(np.eye(len(genes), dtype=bool), np.nan, plan.on_panel.correlation)
    beside = {RIDGE: ridge, COEXPRESSION: pairs}
    by_dose = _mean([tables[DOSE, kind] for kind in plan.types])
    return Effects(
        judged, beside, [one[DOSE][-1] for one in untrained], by_dose, state.doses, settings.doses, rows, penalty,
        state.without_edits,
    )  # fmt: skip


def _turn(plan: Plan, number: int) -> int:
    """The cell that a network reads: of each type by turns."""
    kinds = list(plan.types.values())
    rows = kinds[number % len(kinds)]
    return int(rows[number // len(kinds) % len(rows)])


def _parts(bench: Workbench, state: Asking) -> dict[Shard, str]:
    """Everything that is asked, with the cell type that it is asked in; each untrained model in one cell."""
    names, trained = state.plan.cells.obs_names, bench.run.state["steps"]["train"]["identity"][:16]
    found: dict[Shard, str] = {}
    for kind, rows in state.plan.types.items():
        for row in map(int, rows):
            found[Shard(f"model-{row}", f"inputs set in cell {names[row]}", Ask(row, "model"))] = kind
            if not state.without_edits:
                words = f"features turned in cell {names[row]}"
                found[Shard(f"features-{trained}-{row}", words, Ask(row, "features"))] = kind
    for network in range(state.networks):
        row = _turn(state.plan, network)
        words = f"inputs of untrained model {network + 1} set in cell {names[row]}"
        found[Shard(f"untrained-{network}", words, Ask(row, "untrained", network))] = ""
    return found


def shards_of(bench: Workbench, settings: RegulationSettings, plan: Plan) -> Shards:
    """Where the parts of the measurement are kept. What only reads the model outlives another autoencoder."""
    needed = {"cells": bench.run.state["steps"]["cells"]["identity"]}
    asked_for = {key: asdict(settings)[key] for key in ("doses", "strength")}
    panel = {"genes": plan.panel.genes, "context": plan.panel.context}
    return Shards(bench.folder_of("regulation"), {**needed, **asked_for, **panel, "seed": bench.config.seed})


def features_of(bench: Workbench) -> Features:
    """Those of the run's autoencoder, at its site."""
    return Features(bench.config.layer, partial(encode_site, bench.sae), bench.sae.W_dec.detach())


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
