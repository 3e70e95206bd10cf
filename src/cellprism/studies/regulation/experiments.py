"""The model's effects beside what experiments measured: a screen, perturbed regulators, a signature.

Notable choices

- A screen reads one gene, and every gene of the model that it holds is raised, in cells of the type that the screen was
  made in where its name says one. Genes are raised some at a time, each some shown beside the same context, so that a
  pass stays small.
- Measured edges are read regulator by regulator, over the genes that were measured for it; a signature over all genes.
- Beside the model stand, from the same cells, correlation with the gene, ridge regression and the untrained model.
- A gene that too few cells express is not read.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from cellprism.equations.recovery import correlations
from cellprism.errors import ConfigError
from cellprism.parallel.shards import Arrays, Shard
from cellprism.regulation.coexpression import ridge_effects
from cellprism.regulation.edges import Edges, refuse_strangers, table_of
from cellprism.regulation.measured import FEWEST, RankAgreement, agreement
from cellprism.regulation.probes import Probe, input_doses, input_effects, shown_cells
from cellprism.store.run import digest
from cellprism.studies.mapping import mapped
from cellprism.studies.regulation.effects import ROWS
from cellprism.studies.regulation.plan import Plan, known_edges, planned, spelling_of
from cellprism.studies.regulation.settings import RegulationSettings
from cellprism.studies.regulation.tables import COEXPRESSION, MODEL, RIDGE, UNTRAINED
from cellprism.studies.shards import Shards
from cellprism.studies.workbench import Workbench
from cellprism.types import CellModel, Reinitialises

PERTURBED = "perturbed "  # begins the name of a Perturb-seq experiment
SOME = 100  # genes raised, or read, in one pass beside the context
Column = Float[np.ndarray, " gene"]


@dataclass(frozen=True)
class Asked:
    """One experiment: its name, what it measured of each gene, and which way the model is read."""

    name: str
    gene: str
    """The gene that is read (a screen) or raised (all else)."""
    measured: Column
    """Effect of raising, by the model's genes in the order of the cells; NaN where not measured."""
    rows: np.ndarray
    """Cells that are probed."""
    into: bool
    """Whether the gene is read while others are raised."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What reading the models beside experiments takes."""

    plan: Plan
    asked: list[Asked]
    models: dict[str, CellModel]
    doses: Float[np.ndarray, "gene dose"]
    """Input value of each gene at the dose that is judged."""


def reading(bench: Workbench) -> Reading:
    """What reading the models of a run takes."""
    settings: RegulationSettings = bench.settings("regulation")
    plan = planned(bench, settings)
    return reading_of(bench, settings, plan, experiments_of(bench, settings, plan)[0])


def reading_of(bench: Workbench, settings: RegulationSettings, plan: Plan, asked: list[Asked]) -> Reading:
    """The same, of experiments that are read."""
    models: dict[str, CellModel] = {MODEL: bench.model}
    if isinstance(bench.model, Reinitialises):
        models[UNTRAINED] = bench.model.reinitialised(bench.config.seed)
    doses = input_doses(bench.model, plan.cells, list(plan.facts.genes), (settings.doses[-1],), ROWS)
    return Reading(plan, asked, models, doses)


def beside_experiments(
    bench: Workbench,
    settings: RegulationSettings,
    plan: Plan,
    asked: list[Asked],
    shards: Shards,
    penalty: float,
) -> list[RankAgreement]:
    """Every experiment beside the model and its controls."""
    found: list[RankAgreement] = []
    if not asked:
        return found
    state = reading_of(bench, settings, plan, asked)
    parts = [
        Shard(f"{_name(one)}-{source.split()[0]}", f"{one.name}, {source}", (number, source))
        for number, one in enumerate(asked) for source in state.models
    ]  # fmt: skip
    results = mapped(bench, "beside experiments", parts, shards, state, reading, model_effects)
    said: list[dict[str, Column]] = [{} for _ in asked]
    for part, arrays in zip(parts, results.gather(), strict=True):
        number, source = part.task
        said[number][source] = arrays["effect"]
    factors = set(plan.edges.table["source"])
    is_factor = np.array([gene in factors for gene in plan.facts.genes])
    level, seed = plan.facts.level, bench.config.seed
    expression = np.asarray(plan.facts.expression.toarray())
    ridge = ridge_effects(expression, settings.doses[-1], penalty)
    for one, by_model in zip(asked, said, strict=True):
        effects = by_model | _by_cells(plan, one, expression, ridge)
        found += agreement(one.name, one.measured, effects, level, settings.draws, seed)
        if one.into:
            alone = np.where(is_factor, one.measured, np.nan)
            found += agreement(f"{one.name}, factors", alone, effects, level, settings.draws, seed)
    return found


def _name(one: Asked) -> str:
    """A name that stands for what is read: the experiment, its genes and its cells."""
    plain = "".join(c if c.isalnum() else "-" for c in one.name)
    return f"{plain}-{digest([np.flatnonzero(~np.isnan(one.measured)).tolist(), one.rows.tolist(), one.into])[:12]}"


def experiments_of(bench: Workbench, settings: RegulationSettings, plan: Plan) -> tuple[list[Asked], dict[str, str]]:
    """Experiments that the settings name, and why some are not read; known before anything is measured.

    Raises:
        ConfigError: a file will not do.
    """
    asked, unread = [], {}
    if settings.screen:
        edges = known_edges(bench, settings.screen)
        refuse_strangers(edges.table["source"], plan.facts.genes, settings.screen)
        for gene, rows in edges.table.groupby("target"):
            name = edges.screens.get(str(gene), str(gene))
            if why := _unread(plan, str(gene)):
                unread[name] = why
                continue
            measured = _in_order(plan, rows["source"], rows["effect"])
            asked.append(Asked(f"screen {name}", str(gene), measured, _cells_for(plan, name), True))
    if settings.perturbations:
        edges = known_edges(bench, settings.perturbations)
        refuse_strangers(edges.table["target"], plan.facts.genes, settings.perturbations)
        asked += _perturbed(edges, plan, unread)
    if settings.signature:
        table, raised = read_signature(settings.signature, spelling_of(bench)), settings.raised
        refuse_strangers(table["gene"], plan.facts.genes, settings.signature)
        if why := _unread(plan, raised):
            unread["signature"] = why
        else:
            measured = _in_order(plan, table["gene"], table["log2_fold_change"])
            asked.append(Asked(f"signature, {raised} raised", raised, measured, _cells_for(plan, ""), False))
    return asked, unread


def _perturbed(edges: Edges, plan: Plan, unread: dict[str, str]) -> Iterator[Asked]:
    for regulator, rows in edges.table.groupby("source"):
        name = f"{PERTURBED}{regulator}"
        if why := _unread(plan, str(regulator)):
            unread[name] = why
            continue
        measured = _in_order(plan, rows["target"], rows["effect"])
        if (~np.isnan(measured)).sum() < FEWEST:
            unread[name] = f"{int((~np.isnan(measured)).sum())} of its genes are in the model and the cells"
            continue
        yield Asked(name, str(regulator), measured, _cells_for(plan, "CD4"), False)


def read_signature(path: str, spelling: Mapping[str, str]) -> pd.DataFrame:
    """gene, log2_fold_change of a signature; genes without a number, and those named again, are left out.

    Raises:
        ConfigError: it is not there, or not readable, or has other columns.
    """
    table = table_of(Path(path).expanduser(), "a signature", "gene and log2_fold_change")
    if not {"gene", "log2_fold_change"} <= set(table.columns):
        raise ConfigError(f"{path} has the columns {', '.join(table.columns[:8])}; expected gene and log2_fold_change")
    gene = table["gene"].astype(str).str.strip()
    change: Any = pd.to_numeric(table["log2_fold_change"], errors="coerce")
    read = pd.DataFrame({"gene": [spelling.get(name, name) for name in gene], "log2_fold_change": change})
    return read.dropna().drop_duplicates("gene")


def _unread(plan: Plan, gene: str) -> str:
    if gene not in plan.facts.genes:
        return f"{gene} is not in the model or the cells"
    if gene not in plan.expressed:
        share = plan.facts.detected[plan.facts.genes.get_indexer(pd.Index([gene]))[0]]
        return f"{gene} is seen in {share:.2%} of the cells"
    return ""


def _in_order(plan: Plan, genes: Any, values: Any) -> Column:
    """Values of the expressed genes in the order of the cells' genes; NaN elsewhere."""
    by_gene = dict(zip(np.asarray(genes, dtype=str), np.asarray(values, dtype=float), strict=True))
    expressed = set(plan.expressed)
    return np.array([by_gene.get(gene, np.nan) if gene in expressed else np.nan for gene in plan.facts.genes])


def _cells_for(plan: Plan, name: str) -> np.ndarray:
    """Cells of the probed types that an experiment's name speaks of, such as CD8; of all where it names none."""
    words = re.findall(r"CD\d+", name)
    some = [rows for kind, rows in plan.types.items() if any(word in kind for word in words)]
    return np.concatenate(some or list(plan.types.values()))


def _by_cells(
    plan: Plan, one: Asked, expression: Float[np.ndarray, "cell gene"], ridge: Float[np.ndarray, "gene gene"]
) -> dict[str, Column]:
    """What the cells themselves say of every gene: by correlation, and by ridge regression."""
    place = int(plan.facts.genes.get_indexer(pd.Index([one.gene]))[0])
    found = {
        COEXPRESSION: correlations(expression, expression[:, [place]])[:, 0],
        RIDGE: (ridge[:, place] if one.into else ridge[place]).copy(),
    }
    for values in found.values():
        values[place] = np.nan
    return found


def model_effects(state: Reading, task: tuple[int, str]) -> Arrays:
    """What one model says of every gene: raised while the gene is read, or read while it is raised; some genes at a
    time, in fewer cells for the untrained one."""
    (number, source), plan, doses = task, state.plan, state.doses
    one, model = state.asked[number], state.models[source]
    rows = one.rows if source == MODEL else one.rows[: max(1, len(one.rows) // 2)]
    names, found = plan.facts.genes, np.full(len(plan.facts.genes), np.nan)
    wanted = np.flatnonzero(~np.isnan(one.measured) & (names != one.gene))
    cells, own = plan.cells[rows].copy(), doses[names == one.gene]
    for some in np.array_split(wanted, -(-len(wanted) // SOME)):
        genes = [str(name) for name in names[some]]
        context = [g for g in plan.panel.context if g not in set(genes) and g != one.gene]
        sources, reads = (genes, [one.gene]) if one.into else ([one.gene], genes)
        batch = shown_cells(model, cells, [*genes, one.gene, *context])
        probe = Probe(model, batch, sources, reads, np.zeros(len(reads), dtype=int), ROWS)
        effects = input_effects(probe, doses[some] if one.into else own).dose[0]
        found[some] = effects[:, 0] if one.into else effects[0]
    return {"effect": found}
