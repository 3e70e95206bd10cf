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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from cellprism.errors import ConfigError
from cellprism.regulation.coexpression import ridge_effects
from cellprism.regulation.edges import Edges
from cellprism.regulation.measured import FEWEST, RankAgreement, agreement
from cellprism.regulation.pools import GeneFacts
from cellprism.regulation.probes import Probe, input_doses, input_effects, shown_cells
from cellprism.store.tables import read_table
from cellprism.studies.regulation.effects import ROWS
from cellprism.studies.regulation.plan import Plan, known_edges
from cellprism.studies.regulation.settings import RegulationSettings
from cellprism.studies.regulation.shards import Shards
from cellprism.studies.regulation.tables import COEXPRESSION, MODEL, RIDGE, UNTRAINED
from cellprism.studies.workbench import Workbench
from cellprism.types import CellModel, Reinitialises

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


def beside_experiments(
    bench: Workbench, settings: RegulationSettings, plan: Plan, shards: Shards
) -> tuple[list[RankAgreement], dict[str, str]]:
    """Every experiment that was named beside the model and its controls; and why others are not read."""
    asked, unread = _asked(bench, settings, plan)
    found: list[RankAgreement] = []
    factors = set(plan.edges.table["source"])
    is_factor = np.array([gene in factors for gene in plan.facts.genes])
    with bench.bar("beside experiments", len(asked)) as advance:
        for number, one in enumerate(asked):
            effects = _columns(bench, settings, plan, one, shards)
            level, seed = plan.facts.level, bench.config.seed
            found += agreement(one.name, one.measured, effects, level, settings.draws, seed)
            if one.into:
                alone = np.where(is_factor, one.measured, np.nan)
                found += agreement(f"{one.name}, factors", alone, effects, level, settings.draws, seed)
            advance(number + 1)
    return found, unread


def _asked(bench: Workbench, settings: RegulationSettings, plan: Plan) -> tuple[list[Asked], dict[str, str]]:
    asked, unread = [], {}
    if settings.screen:
        edges = known_edges(bench, settings.screen)
        for gene, rows in edges.table.groupby("target"):
            name = edges.screens.get(str(gene), str(gene))
            if why := _unread(plan, str(gene)):
                unread[name] = why
                continue
            measured = _in_order(plan, rows["source"], rows["effect"])
            asked.append(Asked(f"screen {name}", str(gene), measured, _cells_for(plan, name), True))
    if settings.perturbations:
        asked += _perturbed(known_edges(bench, settings.perturbations), plan, unread)
    if settings.signature:
        table, factor = read_signature(settings.signature), plan.factors[0]
        measured = _in_order(plan, table["gene"], table["log2_fold_change"])
        asked.append(Asked(f"signature, {factor} raised", factor, measured, _cells_for(plan, ""), False))
    return asked, unread


def _perturbed(edges: Edges, plan: Plan, unread: dict[str, str]) -> Iterator[Asked]:
    for regulator, rows in edges.table.groupby("source"):
        name = f"perturbed {regulator}"
        if why := _unread(plan, str(regulator)):
            unread[name] = why
            continue
        measured = _in_order(plan, rows["target"], rows["effect"])
        if (~np.isnan(measured)).sum() < FEWEST:
            unread[name] = f"{int((~np.isnan(measured)).sum())} of its genes are in the model and the cells"
            continue
        yield Asked(name, str(regulator), measured, _cells_for(plan, "CD4"), False)


def read_signature(path: str) -> pd.DataFrame:
    """gene, log2_fold_change of a signature.

    Raises:
        ConfigError: it is not there, or has other columns.
    """
    place = Path(path).expanduser()
    if not place.is_file():
        raise ConfigError(f"there is no file {place} with a signature; expected columns gene and log2_fold_change")
    table = read_table(place) if place.name.endswith(".parquet") else pd.read_csv(place)
    if not {"gene", "log2_fold_change"} <= set(table.columns):
        raise ConfigError(f"{place} has the columns {', '.join(table.columns[:8])}; expected gene and log2_fold_change")
    return table.drop_duplicates("gene")


def _unread(plan: Plan, gene: str) -> str:
    if gene not in plan.facts.genes:
        return f"{gene} is not in the model or the cells"
    if gene not in plan.expressed:
        share = plan.facts.detected[plan.facts.genes.get_loc(gene)]
        return f"{gene} is seen in {share:.2%} of the cells"
    return ""


def _in_order(plan: Plan, genes: "pd.Series[str]", values: "pd.Series[float]") -> Column:
    """Values of the expressed genes in the order of the cells' genes; NaN elsewhere."""
    by_gene = pd.Series(values.to_numpy(dtype=float), index=genes.to_numpy())
    found = by_gene[~by_gene.index.duplicated()].reindex(plan.facts.genes).to_numpy(dtype=float, copy=True)
    found[~plan.facts.genes.isin(plan.expressed)] = np.nan
    return found


def _cells_for(plan: Plan, name: str) -> np.ndarray:
    """Cells of the probed types that an experiment's name speaks of, such as CD8; of all where it names none."""
    words = re.findall(r"CD\d+", name)
    some = [rows for kind, rows in plan.types.items() if any(word in kind for word in words)]
    return np.concatenate(some or list(plan.types.values()))


def _columns(
    bench: Workbench, settings: RegulationSettings, plan: Plan, one: Asked, shards: Shards
) -> Mapping[str, Column]:
    """What each source says of every gene: raised while the gene is read, or read while it is raised."""
    model, seed = bench.model, bench.config.seed
    models = {MODEL: model}
    if isinstance(model, Reinitialises):
        models[UNTRAINED] = model.reinitialised(seed)
    found = {}
    name = "".join(c if c.isalnum() else "-" for c in one.name)
    for source, each in models.items():
        rows = one.rows if source == MODEL else one.rows[: max(1, len(one.rows) // 2)]
        make = lambda each=each, rows=rows: {"effect": _effects(each, settings, plan, one, rows)}  # noqa: E731
        found[source] = shards.done(f"{name}-{source.split()[0]}", make)["effect"]
    place = int(plan.facts.genes.get_loc(one.gene))
    dense = _dense_of(plan.facts)
    column = dense[:, place] - dense[:, place].mean()
    spread = np.linalg.norm(dense - dense.mean(axis=0), axis=0) * np.linalg.norm(column)
    found[COEXPRESSION] = np.divide(
        (dense - dense.mean(axis=0)).T @ column, spread, out=np.zeros(len(spread)), where=spread > 0
    )
    ridge = _ridge_of(plan.facts, settings.doses[-1], seed)
    found[RIDGE] = ridge[:, place] if one.into else ridge[place]
    for values in found.values():
        values[place] = np.nan
    return found


def _effects(model: CellModel, settings: RegulationSettings, plan: Plan, one: Asked, rows: np.ndarray) -> Column:
    """The model's effects, some genes at a time."""
    wanted = np.flatnonzero(~np.isnan(one.measured) & (plan.facts.genes != one.gene))
    names, found = plan.facts.genes, np.full(len(plan.facts.genes), np.nan)
    dose = settings.doses[-1:]
    for some in np.array_split(wanted, -(-len(wanted) // SOME)):
        genes = [str(name) for name in names[some]]
        context = [g for g in plan.panel.context if g not in set(genes) and g != one.gene]
        sources, reads = (genes, [one.gene]) if one.into else ([one.gene], genes)
        batch = shown_cells(model, plan.cells[rows].copy(), [*genes, one.gene, *context])
        probe = Probe(model, batch, sources, reads, np.zeros(len(reads), dtype=int), ROWS)
        effects = input_effects(probe, input_doses(model, plan.cells, sources, dose, ROWS)).dose[0]
        found[some] = effects[:, 0] if one.into else effects[0]
    return found


def _dense_of(facts: GeneFacts) -> Float[np.ndarray, "cell gene"]:
    return np.asarray(facts.expression.toarray())


def _ridge_of(facts: GeneFacts, quantile: float, seed: int) -> Float[np.ndarray, "gene gene"]:
    return ridge_effects(_dense_of(facts), quantile, np.random.default_rng([seed, 59]))[0]


def experiments_of(settings: RegulationSettings) -> Sequence[str]:
    """Files of experiments that were named."""
    return [path for path in (settings.screen, settings.perturbations, settings.signature) if path]
