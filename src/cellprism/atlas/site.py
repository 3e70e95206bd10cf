"""A run folder as a static site: every shard, the bundle, the page that loads them, and the run's report beside it."""

import html
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellprism.atlas.beside import write_beside
from cellprism.atlas.cell_map import CellMap
from cellprism.atlas.cells import write_cells
from cellprism.atlas.feature_pages import FeaturePages
from cellprism.atlas.feature_table import feature_table
from cellprism.atlas.gene_pages import BLOCK, write_genes, write_terms
from cellprism.atlas.recipes import write_recipes
from cellprism.atlas.shards import MARK, SiteWriter, packed, packed_text, plain
from cellprism.atlas.tables import RunTables
from cellprism.ontology.collection import Collection
from cellprism.report.frames import records, where
from cellprism.report.page import render_page
from cellprism.store.run import Run
from cellprism.workflow.feature_card import FeatureCards
from cellprism.workflow.publish import PAGE, check_unaltered, gathered

ASSETS = ("atlas.js", "atlas.css")
INDEX = "index.html"


def run_tables(folder: Path) -> RunTables:
    """The tables of a run folder, looked through before they are believed.

    Raises:
        RunError: no run there, or no programs yet.
        DamagedError: a file is missing, or is no longer what its step wrote.
    """
    check_unaltered(Run.existing(folder))
    return RunTables(folder, FeatureCards(folder))


Live = Callable[[SiteWriter, CellMap | None], str]
"""Writes what live steering needs, and returns why there is none."""


@dataclass(frozen=True)
class Asked:
    """What an atlas is to hold beside the run's own tables."""

    live: Live
    """Writes what needs the model."""
    beside: RunTables | None = None
    """Another run, to be compared with this one."""
    own_map: str = ""
    """Name in ``obsm`` of the user's own map of the cells; empty: ``X_umap`` where their file has it."""
    collection: Collection | None = None
    """Gene sets of the run's programs; None where they are not at hand any more."""


def write_shards(site: SiteWriter, tables: RunTables, asked: Asked) -> None:
    """Write everything, and the page itself."""
    where = write_cells(site, tables, asked.own_map)
    site.without_live = asked.live(site, where)
    write_genes(site, tables)
    write_terms(site, tables, asked.collection)
    recipes = write_recipes(site, tables)
    FeaturePages(tables).write(site, range(tables.n_features))
    write_types(site, tables)
    other = write_beside(site, tables, asked.beside) if asked.beside else None
    site.shard("index", {
        **index_of(tables, recipes, where is not None), "live": site.without_live, "beside": other,
    })  # fmt: skip
    write_report_copy(site, tables)
    write_page(site, tables.context.name)


def write_report_copy(site: SiteWriter, tables: RunTables) -> None:
    """The run's report, which leads back to the atlas."""
    claims, sections, findings = gathered(Run(tables.folder), tables.context)
    site.text(PAGE, render_page(tables.context, sections, claims, findings, INDEX))


def index_of(tables: RunTables, recipes: list[dict[str, str]], cells: bool) -> dict[str, Any]:
    """What the first view needs: the run in words, the table of features, names of genes, terms and types."""
    context, found = tables.context, tables.programs
    model, types = context.model, found.specificity
    nulls = chance_lists(found.nulls)
    return plain({
        "run": context.name, "version": version("cellprism"), "made": time.strftime("%Y-%m-%d"),
        "model": model and {
            "name": model.name, "revision": model.revision, "licence": model.licence, "predicts": model.predicts,
            "tokens": model.tokens, "limits": model.limits, "data": model.data,
        },
        "place": context.place, "unit": context.words.unit, "tokens": context.words.tokens,
        "source": context.cells.source if context.cells else "",
        "n": {
            "cells": context.cells.n_cells if context.cells else 0, "genes": len(tables.gene_names),
            "features": tables.n_features,
        },
        "types": dict(types.types) if types else {},
        "type_names": [str(name) for name in found.types.columns if name != "feature"],
        "alpha": found.rates["alpha"], "collection": found.rates["collection"],
        "nulls": [[str(r.null), r.mean, r.low, r.high] for r in records(nulls)],
        "observed": float(nulls["observed"].iloc[0]) if len(nulls) else None,
        "columns": feature_table(tables), "block": BLOCK, "has_cells": cells, "recipes": recipes,
        "genes": packed_text(tables.gene_names), "terms": packed_text(tables.term_names),
        "absent": tables.cards.card(0).absent if tables.n_features else {},
    })  # fmt: skip


def chance_lists(nulls: pd.DataFrame) -> pd.DataFrame:
    """What lists made by chance match: null, mean, low, high, observed; no rows where that was not measured."""
    columns = ["null", "mean", "low", "high", "observed"]
    if not {"measure", *columns} <= set(nulls.columns):
        return pd.DataFrame(columns=pd.Index(columns))
    return where(nulls, nulls["measure"] == "annotated_rate")


def write_types(site: SiteWriter, tables: RunTables) -> None:
    """Write the shard ``types``: of each cell type, how far every feature lies from the mean cell."""
    types = tables.programs.types
    names = [name for name in types.columns if name != "feature"]
    site.shard("types", {"z": [packed(types[name].to_numpy(np.float32)) for name in names]})


def write_page(site: SiteWriter, name: str) -> None:
    """Write ``index.html``, the bundle, and the mark that says whose folder it is.

    A page with a token may ask its own server, and nothing else; one without asks nothing.
    """
    assets = files("cellprism.atlas") / "assets"
    for asset in ASSETS:
        site.text(f"assets/{asset}", (assets / asset).read_text("utf-8"))
    page = (assets / "index.html").read_text("utf-8")
    token = site.steering.token if site.steering else ""
    words = {"name": name, "connect": "'self'" if token else "'none'", "token": token}
    for word, value in words.items():
        page = page.replace(f"{{{{{word}}}}}", html.escape(value, quote=word != "connect"))
    site.text(INDEX, page)
    site.json(MARK.removesuffix(".json"), {"atlas": 1, "run": name, "cellprism": version("cellprism")})
