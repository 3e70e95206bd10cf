"""What is asked of a run: which edges, factors, genes and cells; known before anything is measured."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from cellprism.enrich.labels import UNLABELLED
from cellprism.errors import ConfigError
from cellprism.regulation.edges import Edges, in_cells, read_edges, refuse_strangers
from cellprism.regulation.pools import GeneFacts, Panel, Regulon, coexpressed, panel_of, regulons_on
from cellprism.regulation.probes import totalled
from cellprism.studies.regulation.settings import RegulationSettings
from cellprism.studies.workbench import Workbench

ALL = "all cells"
ALIKE = 0.85  # of a misspelt name


@dataclass(frozen=True, eq=False)
class Plan:
    """The question."""

    cells: AnnData
    """All cells of the run, with their totals."""
    facts: GeneFacts
    """Of all genes."""
    expressed: pd.Index
    edges: Edges
    panel: Panel
    on_panel: GeneFacts
    regulons: list[Regulon]
    """On the panel."""
    unlinked: list[Regulon]
    """The same factors with co-expressed genes that are not their targets."""
    missing: dict[str, str]
    """Factors that were left out, and why."""
    types: dict[str, np.ndarray]
    """Rows of the cells that are probed, by type."""

    @property
    def factors(self) -> list[str]:
        """Those that are asked about."""
        return [self.panel.genes[one.factor] for one in self.regulons]


def planned(bench: Workbench, settings: RegulationSettings) -> Plan:
    """The question of a run.

    Raises:
        ConfigError: the edges cannot be read, or a cell type or a factor that was named is not there.
    """
    cells = totalled(bench.cells)
    facts = GeneFacts.of(cells)
    expressed = facts.genes[facts.detected >= max(settings.detected, 1 / cells.n_obs)]
    edges = known_edges(bench, settings.edges)
    refuse_strangers([*edges.table["source"], *edges.table["target"]], facts.genes, settings.edges)
    named, edges = edges.counts(), in_cells(edges, facts.genes, expressed)
    factors, missing = _factors(edges, named, settings, facts)
    panel = panel_of(facts, edges, factors, settings.genes, settings.context, settings.matches, expressed)
    missing |= {name: "no room on the panel; ask for more genes" for name in factors if name not in panel.factors}
    on_panel = facts.of_genes(panel.genes)
    regulons, few = regulons_on(on_panel, edges, panel.factors, settings.min_targets, settings.matches)
    unlinked = [coexpressed(on_panel, one, settings.matches) for one in regulons]
    types = chosen_cells(cells, settings.types, settings.cells, bench.config.seed)
    return Plan(cells, facts, expressed, edges, panel, on_panel, regulons, unlinked, missing | few, types)


def known_edges(bench: Workbench, path: str) -> Edges:
    """Edges of a file in the model's spelling."""
    return read_edges(path, spelling_of(bench))


def spelling_of(bench: Workbench) -> dict[str, str]:
    """Other names of the model's genes, and their Ensembl ids, with the symbol that each stands for."""
    table: Any = bench.model.gene_table
    if table is None:
        return {}
    return {name: table.symbol[place] for name, place in table.by_ensembl.items()} | dict(table.alias)


def _factors(
    edges: Edges, named: dict[str, int], settings: RegulationSettings, facts: GeneFacts
) -> tuple[list[str], dict[str, str]]:
    """Factors with enough expressed targets, those with most first; and why others that were named are left out.

    Args:
        edges: those in the cells.
        named: targets of each factor in the whole table.
        settings: who is asked for.
        facts: of all genes.

    Raises:
        ConfigError: of those that were named none is left.
    """
    counts, fewest = edges.counts(), settings.min_targets
    enough = [name for name, n in counts.items() if n >= fewest]
    if not settings.factors:
        return enough, {}
    asked = list(dict.fromkeys(settings.factors))
    left = [name for name in asked if name in enough]
    missing = {name: _why_not(name, counts, named, settings, facts) for name in asked if name not in left}
    if not left:
        why = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
        instead = f"try {', '.join(enough[:5])}, or " if enough else ""
        raise ConfigError(f"no factor is left to ask about ({why}); {instead}lower min_targets or detected")
    return left, missing


def _why_not(
    name: str, counts: dict[str, int], named: dict[str, int], settings: RegulationSettings, facts: GeneFacts
) -> str:
    """Why a factor that was named cannot be asked about."""
    place = int(facts.genes.get_indexer(pd.Index([name]))[0])
    if place < 0:
        close = get_close_matches(name.upper(), set(named) & set(facts.genes), 1, ALIKE)
        return f"not in the model or the cells{f'; did you mean {close[0]}?' if close else ''}"
    share = float(facts.detected[place])
    if share < settings.detected or not share:
        return f"expressed in {share:.2%} of the cells, and {settings.detected:.2%} are needed (detected)"
    if name not in named:
        return f"{settings.edges} has no edge from it"
    return (
        f"{counts.get(name, 0)} of its {named[name]} targets are expressed, and {settings.min_targets} are needed "
        "(min_targets)"
    )


def chosen_cells(cells: AnnData, types: tuple[str, ...], count: int, seed: int) -> dict[str, np.ndarray]:
    """Rows of some cells of each type, drawn at random: of the types named, else of the three most frequent; all cells
    are one type where there are no labels.

    Raises:
        ConfigError: a type that was named is not there.
    """
    labels = np.full(cells.n_obs, UNLABELLED)
    if "cell_type" in cells.obs:
        labels = np.asarray(cells.obs["cell_type"].astype(str))
    found, counts = np.unique(labels[labels != UNLABELLED], return_counts=True)
    known = [str(found[i]) for i in np.argsort(-counts, kind="stable")]
    if missing := [name for name in types if name not in known]:
        raise ConfigError(f"types names {missing[0]!r}, which no cell has; the cells have {', '.join(known)}")
    rng = np.random.default_rng([seed, 53])
    if not known:
        return {ALL: np.sort(rng.permutation(cells.n_obs)[:count])}
    return {name: np.sort(rng.permutation(np.flatnonzero(labels == name))[:count]) for name in types or known[:3]}
