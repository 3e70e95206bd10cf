"""Trading the inner state against expression: a front for every autoencoder and donor, and what it says."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from torch.utils.flop_counter import FlopCounterMode

from cellprism.cells.read import read_cells
from cellprism.equations.units import unit_mean
from cellprism.errors import ConfigError
from cellprism.report.frames import numbers
from cellprism.steering.contrast.agreement import TypeValues, gap_agreement
from cellprism.steering.model_output import lacks_expression
from cellprism.steering.nulls import plain
from cellprism.steering.pareto.cosines import LEFT_IN, TAKEN_OUT
from cellprism.steering.pareto.points import response
from cellprism.steering.pareto.pooled import ALL, FINAL
from cellprism.store.tables import read_table
from cellprism.studies.pareto.aimed import aimed_at
from cellprism.studies.pareto.asked import LEAST, PROGRAMS, Asked, Trading, all_asked, followed, types_of
from cellprism.studies.pareto.beside import beside_rows, beyond_permuted
from cellprism.studies.pareto.cosine_rows import cosine_table, neutral_rows, path_rows
from cellprism.studies.pareto.explained import annotated_share, gene_rows, likeness, recipe_rows, recruited
from cellprism.studies.pareto.judges import Outside, measured_response, outside_judges
from cellprism.studies.pareto.plane import plane_rows
from cellprism.studies.pareto.settings import ParetoSettings
from cellprism.studies.pareto.tables import (
    GENE_COLUMNS,
    RECIPE_COLUMNS,
    Gaps,
    Likeness,
    Pareto,
    Recruited,
    Response,
    Spread,
    Summary,
)
from cellprism.studies.pareto.unit import Front, Unit
from cellprism.studies.programs.tables import signed_term
from cellprism.studies.shards import Shards, shards_of
from cellprism.studies.steer.work import cannot_steer
from cellprism.studies.workbench import Workbench


def work(bench: Workbench, settings: ParetoSettings) -> Pareto:
    """Follow every path; where there is no expression to trade, or no types are named, say so."""
    source, target = types_of(bench, settings)
    why = cannot_steer(bench) or lacks_expression(bench.model)
    if not source:
        why = "no cell types are named; give pareto.source and pareto.target, or those of [contrast]"
    if why:
        bench.say(f"nothing to trade: {why}")
        return Pareto(absent=why)
    shards = shards_of_front(bench, settings)
    trading = Trading(bench, settings, list(all_asked(bench, settings)))
    cosines: list[dict[str, Any]] = []
    fronts = followed(trading, shards, f"{source} to {target}, both objectives")
    units = [trading.unit(place) for place in range(len(fronts))]
    for unit in units:
        with bench.bar(f"gradients, {unit.name}", len(unit.problem.latent.cells)) as advance:
            cosines += shards.rows(f"cosines-{unit.name}", lambda unit=unit, advance=advance: neutral_rows(
                unit, settings, bench.config.seed, advance
            ))  # fmt: skip
    unit, front = units[0], fronts[0]
    with bench.bar("gradients along the paths", None) as advance:
        cosines += shards.rows("cosines-path", lambda: path_rows(
            unit, settings, front, bench.config.seed, advance
        ))  # fmt: skip
    outside = _outside(bench, settings, unit, trading.asked[0], (source, target))
    ways = pd.DataFrame([outside.ways(after) for after in front.after["test"]], index=front.rows.index)
    fronts[0] = front = replace(front, rows=pd.concat([front.rows, ways], axis=1))
    with bench.bar("other edits", None) as advance:
        beside = beside_rows(
            unit, settings, front, outside, shards, bench.config.seed, lambda name: advance(0, name)
        )  # fmt: skip
    programs = _programs(bench)
    with bench.bar("features left out", None) as advance:
        recipes = shards.rows("recipes", lambda: recipe_rows(unit, front, programs, advance))
    found = {
        "front": pd.concat([f.rows for f in fronts], ignore_index=True), "cosines": cosine_table(cosines),
        "beside": pd.DataFrame(beside), "recipes": pd.DataFrame(recipes, columns=pd.Index(list(RECIPE_COLUMNS))),
        "genes": pd.DataFrame(gene_rows(unit, front), columns=pd.Index(list(GENE_COLUMNS))),
        "plane": plane_rows(unit, front, bench.config.seed),
    }  # fmt: skip
    with bench.bar("longer searches and the way back", None):
        longer = shards.rows("longer", lambda: list(map(asdict, recruited(
            unit, settings, front, found["recipes"]
        ))))  # fmt: skip
        alike = shards.rows("alike", lambda: list(map(asdict, likeness(
            unit, settings, front, bench.config.seed
        ))))  # fmt: skip
        summary = _summary(bench, settings, (source, target), units, fronts, found, outside)
        summary = replace(
            summary, recruited=[Recruited(**row) for row in longer], likeness=[Likeness(**row) for row in alike]
        )  # fmt: skip
    shards.clear()
    return Pareto("", summary, found)


def _outside(bench: Workbench, settings: ParetoSettings, unit: Unit, one: Asked, types: tuple[str, str]) -> Outside:
    """The judges of the first unit: a linear model, cells of the donors that it was not made from, and gated cells."""
    table = _table(settings.judge, "judge") if settings.judge else None
    elsewhere: dict[str, AnnData] = {}
    if settings.donor:
        rest = (bench.cells.obs[settings.donor].astype(str) != one.donor).to_numpy()
        kinds = bench.cells.obs["cell_type"].astype(str).to_numpy()
        if all(int((rest & (kinds == kind)).sum()) >= LEAST for kind in types):
            elsewhere["other donors"] = bench.cells[rest].copy()
    if settings.gated:
        elsewhere["gated cells"] = read_cells(settings.gated, model=bench.model, labels="cell_type")
    return outside_judges(unit, table, settings.toward, settings.against, settings.named, elsewhere, types)


def _table(path: str, key: str) -> pd.DataFrame:
    """A parquet table with a row a gene, by gene."""
    if not Path(path).is_file():
        raise ConfigError(f"pareto.{key} is {path!r}: no such file; give a parquet table, a row a gene")
    table = read_table(Path(path))
    table = table.set_index("gene") if "gene" in table.columns else table
    return table.loc[~table.index.duplicated()]


def _responses(settings: ParetoSettings, unit: Unit, front: Front, seed: int) -> list[Response]:
    """How the changes of genes by the chosen recipes go with a measured response."""
    if not settings.measured:
        return []
    table = _table(settings.measured, "measured")
    if "log2_fold_change" not in table.columns:
        raise ConfigError(f"pareto.measured is {settings.measured!r}, which has no column log2_fold_change")
    before, target = unit.judge["test"].before, unit.judge["test"].target
    changes = {
        f"the recipe for {'both' if k == 'both' else k}": front.after["test"][p] for k, p in front.places.items()
    }
    changes["the predicted gap between the two types"] = target
    return [
        measured_response(response(before, after), unit.cache.genes, table, name, settings.search.resamples, seed)
        for name, after in changes.items()
    ]  # fmt: skip


def _programs(bench: Workbench) -> dict[int, str]:
    """The program of each feature that matches one; none where the run has none."""
    if PROGRAMS not in bench.run.state["steps"]:
        return {}
    features = bench.results(PROGRAMS).features
    matched = features.loc[features["best_padj"] < bench.settings(PROGRAMS).alpha]
    named = zip(matched["feature"], matched["best_term"], matched["sign"], strict=True)
    return {int(f): signed_term(str(term), str(sign)) for f, term, sign in named}


def shards_of_front(bench: Workbench, settings: ParetoSettings) -> Shards:
    """Where the parts of a trade lie until it is done."""
    files, types = (settings.judge, settings.gated), types_of(bench, settings)
    return shards_of(bench, "pareto", ("cells", "train", "programs"), settings, files, types=types)


def _summary(
    bench: Workbench, settings: ParetoSettings, types: tuple[str, str], units: list[Unit], fronts: list[Front],
    found: dict[str, pd.DataFrame], outside: Outside,
) -> Summary:  # fmt: skip
    unit, front, search = units[0], fronts[0], settings.search
    beside: list[Any] = found["beside"].to_dict("records")
    last = found["front"].groupby(["unit", "weight"], sort=False)["evaluations"].max()
    evaluations = int(last.sum())
    return Summary(
        *types, settings.edit, settings.weighting, settings.learnable, unit.parts.sizes(),
        int((unit.judge["test"].base.weight > 0).sum()), unit.cache.n_features, int(unit.free.sum()), unit.cache.read,
        unit.cache.folds, [u.name for u in units], evaluations, len(unit.problem.latent.cells),
        _operations(unit) * evaluations, aimed_at(front.rows, front.places, settings),
        beyond_permuted(beside), predicted_gaps(unit, search.resamples),
        _spreads(units, fronts, found["cosines"]), outside.judges,
        _responses(settings, unit, front, bench.config.seed), [], [],
        annotated_share(unit, front, _programs(bench), bench.config.seed),
    )  # fmt: skip


def _operations(unit: Unit) -> float:
    """Multiplications and additions of one gradient of both objectives: a pass forwards, and twice as many back."""
    counter, still = FlopCounterMode(display=False), unit.cache.W_dec.new_ones(unit.cache.n_features)
    with counter:
        for problem in (unit.problem.latent, unit.problem.expression):
            problem.loss(still)
    return 3.0 * counter.get_total_flops()


def predicted_gaps(unit: Unit, resamples: int) -> Gaps | None:
    """Whether predicted gaps follow the counts' on test cells."""
    used, parts = np.flatnonzero(unit.judge["test"].base.weight), unit.parts.test
    if not used.size:
        return None
    sides = [
        TypeValues(unit.cache.baseline.values[rows][:, used], unit.cache.observed[rows][:, used].toarray())
        for rows in (parts.source, parts.target)
    ]
    row = gap_agreement(sides[0], sides[1], resamples, 0)
    return Gaps(row["correlation"], row["low"], row["high"], row["genes"])


def _spreads(units: list[Unit], fronts: list[Front], cosines: pd.DataFrame) -> list[Spread]:
    """What every unit says, and how far units differ."""
    found = []
    for words, kind, column in (
        ("gain in the inner state of the recipe for it alone", "latent", "latent_gain"),
        ("gain in expression of the recipe for it alone", "expression", "expression_gain"),
        ("gain in the inner state of the recipe for expression", "expression", "latent_gain"),
        ("gain in expression of the recipe for the inner state", "latent", "expression_gain"),
        ("gain in the inner state of the small recipe for both", "both", "latent_gain"),
        ("gain in expression of the small recipe for both", "both", "expression_gain"),
    ):
        found.append(_spread(words, [float(f.rows[column].iloc[f.places[kind]]) for f in fronts]))
    for common in (LEFT_IN, TAKEN_OUT):
        rows = cosines.loc[
            (cosines["at"] == "neutral") & (cosines["place"] == FINAL) & (cosines["pooling"] == ALL)
            & (cosines["common"] == common)
        ].drop_duplicates("unit")  # fmt: skip
        values = numbers(rows, "cosine").tolist()
        found.append(_spread(f"cosine of the gradients, common mode {common}", values))
    return found


def _spread(words: str, values: list[float]) -> Spread:
    known = np.array([v for v in values if np.isfinite(v)])
    mean = unit_mean(known) if known.size else None
    return Spread(words, [plain(v) for v in values], mean.mean if mean else None, mean.interval if mean else None)
