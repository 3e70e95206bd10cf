"""How large an atlas of many features and cells is, how long it takes to make, and how quickly it answers in Chromium.

python benchmarks/bench_atlas.py RUN SITE [--features 5120] [--cells 100000] [--genes 3000] [--pages 200]

Makes a run folder with random features whose truth does not matter, makes its atlas, and measures in a real browser:
bytes of the first view and of a feature, and milliseconds until the page has drawn after each thing that one does. Only
the first ``--pages`` features get a page, from which the seconds for all follow.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from made_with import made_with

from cellprism.atlas.cells import write_cells
from cellprism.atlas.feature_pages import FeaturePages
from cellprism.atlas.gene_pages import write_genes, write_terms
from cellprism.atlas.make import FIRST, NOT_ASKED
from cellprism.atlas.shards import making_site
from cellprism.atlas.site import index_of, run_tables, write_page, write_types
from cellprism.report.context import CellFacts
from cellprism.store.atomic import write_json
from cellprism.store.run import Run
from cellprism.studies.programs import tables
from cellprism.studies.programs.over_seeds import excess_of
from cellprism.studies.programs.tables import FEATURE_COLUMNS, Programs, Seeds
from cellprism.studies.programs.work import list_table

LAYER, LIST, TERMS, A_FEATURE = 12, 40, 400, 15
CHROMIUM = "/usr/bin/chromium"


def large_run(folder: Path, features: int, cells: int, genes: int, seed: int = 0) -> Path:
    """Write a run folder with the steps ``cells``, ``train`` and ``programs`` alone."""
    rng = np.random.default_rng(seed)
    kinds = np.array([f"type {i}" for i in range(12)])[np.minimum(rng.geometric(0.25, cells) - 1, 11)]
    types = {str(kind): int(n) for kind, n in pd.Series(kinds).value_counts().items()}
    write_json(folder / "cells.json", asdict(CellFacts("made up", cells, genes, types)))
    write_json(folder / "model.json", {
        "name": "none", "revision": "0", "licence": "none", "n_layers": 18, "d_model": 640, "n_genes": genes,
        "tokens": "genes", "predicts": "expression", "card": {},
    })  # fmt: skip
    write_json(folder / "sae" / f"L{LAYER}" / "cfg.json", {"architecture": "topk", "d_in": 640, "d_sae": features})
    run = Run(folder)
    run.finish("cells", "made up", [folder / "cells.json", folder / "model.json"])
    run.finish("train", "made up", [folder / "sae" / f"L{LAYER}" / "cfg.json"], layer=LAYER, seed=seed)
    run.finish("programs", "made up", tables.write(folder / "programs", large_programs(features, kinds, genes, rng)))
    return folder


def large_programs(features: int, kinds: np.ndarray, genes: int, rng: np.random.Generator) -> Programs:
    """Features that each know one type, with lists of random genes."""
    names = np.array([f"GENE{i}" for i in range(genes)])
    activation = _activation(features, kinds, rng)
    lists = {str(f): tuple(names[rng.choice(genes, LIST, replace=False)]) for f in range(features)}
    terms = np.array([f"made-up process {i}" for i in range(TERMS)])
    levels = sorted(set(kinds))
    table = pd.DataFrame({
        "feature": range(features), "firing_rate": rng.beta(1, 60, features),
        "participation_ratio": rng.gamma(4, 8, features),
        "set_size": LIST, "top_genes": [", ".join(lists[str(f)][:20]) for f in range(features)],
        "best_term": terms[rng.integers(TERMS, size=features)], "best_padj": 10 ** -rng.uniform(0, 12, features),
        "n_terms": rng.integers(0, 9, features), "gene_share": rng.random(features),
        "state_share": rng.random(features),
        "top_cell_type": [levels[f % len(levels)] for f in range(features)], "auroc": rng.uniform(0.5, 1, features),
        "type_share": rng.random(features), "type_padj": rng.random(features),
        "own_genes_r": rng.uniform(-1, 1, features),
        "sign": rng.choice(["high", "low"], features), "high_in": "", "low_in": "",
    })  # fmt: skip
    assert set(FEATURE_COLUMNS) <= set(table)
    enrichment = pd.DataFrame({
        "feature": np.repeat(np.arange(features), A_FEATURE).astype(str),
        "term": np.concatenate([terms[rng.choice(TERMS, A_FEATURE, replace=False)] for _ in range(features)]),
        "represented_by": "", "overlap": 3, "set_size": LIST, "term_size": 20, "background_size": genes,
        "pvalue": rng.random(features * A_FEATURE), "padj": rng.random(features * A_FEATURE),
    })  # fmt: skip
    of_genes = rng.gamma(0.3, size=(features, genes)).astype(np.float32)
    matrix = AnnData(of_genes, layers={"frac": of_genes / of_genes.max(), "max": 2 * of_genes})
    matrix.obs_names, matrix.var_names = [str(f) for f in range(features)], names
    obs = pd.DataFrame({"cell_type": pd.Categorical(kinds), "depth": rng.lognormal(8, 0.4, len(kinds))})
    of_cells = AnnData(activation, obs=obs.set_index(np.array([f"CELL-{i}" for i in range(len(kinds))])))
    rates = {
        "rows": [], "family": "all-terms", "alpha": 0.05, "collection": "made up", "n_terms": TERMS,
        "background_size": genes,
    }  # fmt: skip
    nulls = pd.DataFrame(
        {"null": ["uniform"], "measure": ["annotated_rate"], "observed": 0.4, "mean": 0.01, "low": 0.0, "high": 0.02}
    )
    contrast = pd.DataFrame({kind: rng.normal(size=features) for kind in levels})
    return Programs(
        table, list_table(lists), enrichment, nulls, pd.concat([table[["feature"]], contrast], axis=1), None, None,
        Seeds([0, 1], [excess_of("tokens", [0.5, 0.5], [0.4, 0.4], features)]), sought=[], rates=rates, sources={},
        matrices=(matrix, of_cells),
    )  # fmt: skip


def _activation(features: int, kinds: np.ndarray, rng: np.random.Generator, density: float = 0.03) -> sp.csr_matrix:
    n = len(kinds)
    _, codes = np.unique(kinds, return_inverse=True)
    count = max(2, int(n * density))
    columns = []
    for feature in range(features):
        weight = rng.random(n) + 4 * (codes == feature % (codes.max() + 1))
        rows = np.argpartition(-weight, count)[:count]
        columns.append(np.sort(rows))
    data = rng.gamma(1.5, 0.1, count * features).astype(np.float32)
    pointer = np.arange(features + 1) * count
    return sp.csr_matrix(sp.csc_matrix((data, np.concatenate(columns), pointer), shape=(n, features)))


def made(run: Path, out: Path, pages: int) -> dict[str, Any]:
    """Make the atlas with some features' pages; its sizes, and the seconds that all would take."""
    began = time.perf_counter()
    with making_site(out) as site:
        tables = run_tables(run)
        write_cells(site, tables)
        write_genes(site, tables)
        write_terms(site, tables, None)
        write_types(site, tables)
        site.shard("index", {**index_of(tables, [], True), "live": NOT_ASKED})
        write_page(site, "large")
        rest = time.perf_counter() - began
        writer = FeaturePages(tables)
        began = time.perf_counter()
        writer.write(site, range(pages))
        a_page = (time.perf_counter() - began) / pages
        sizes = site.sizes
    of_pages = [size for name, size in sizes.items() if name.startswith("data/features/")]
    return {
        "bytes_of_first_view": sum(sizes.get(name, 0) for name in FIRST), "bytes_of_index": sizes["data/index.js"],
        "bytes_of_sketch": sizes["data/sketch.js"], "largest_feature": max(of_pages),
        "largest_genes": max(size for name, size in sizes.items() if name.startswith("data/genes/")),
        "seconds_without_pages": round(rest), "seconds_a_page": round(a_page, 4),
    }  # fmt: skip


STEPS = """async (name) => {
  const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const canvas = document.querySelector("canvas"), box = canvas && canvas.getBoundingClientRect();
  const fire = (kind, x, y) => canvas.dispatchEvent(
    new PointerEvent(kind, { clientX: box.left + x, clientY: box.top + y, pointerId: 1, bubbles: true }));
  const type = (where, text) => {
    const field = document.querySelector(where);
    field.value = text;
    field.dispatchEvent(new Event("input"));
  };
  await frame();
  const began = performance.now();
  if (name === "zoom") canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "+" }));
  if (name === "pan") canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft" }));
  if (name === "hover") fire("pointermove", box.width / 2, box.height / 2);
  if (name === "sort") document.querySelectorAll(".rows th button")[4].click();
  if (name === "filter") type(".table input", "padj<0.01 process");
  if (name === "scroll") { const r = document.querySelector(".rows"); r.scrollTop = r.scrollHeight / 2; }
  if (name === "search") type(".search input", "GENE29");
  const handled = performance.now() - began;
  await frame();
  return [handled, performance.now() - began];
}"""


def measured(site: Path) -> dict[str, Any]:
    """Milliseconds of what one does: until it is handled, and until the frame after it is drawn."""
    from playwright.sync_api import sync_playwright

    found: dict[str, Any] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        address = (site / "index.html").as_uri()

        def opened(where: str, name: str) -> None:
            began = time.perf_counter()
            page.goto(f"{address}#/{where}")
            page.wait_for_selector(f'body[data-ready="{where.split("/")[0]}"]', timeout=120_000)
            found[name] = round(1000 * (time.perf_counter() - began))

        opened("overview", "first view")
        for step in ("zoom", "pan", "hover", "search"):
            found[step] = [round(v, 1) for v in page.evaluate(STEPS, step)]
        opened("features", "table of features")
        for step in ("sort", "filter", "scroll"):
            found[step] = [round(v, 1) for v in page.evaluate(STEPS, step)]
        opened("feature/17", "a feature")
        opened("gene/GENE17", "a gene")
        began = time.perf_counter()
        page.goto(f"{address}#/overview?lasso=0.2,0.2,0.7,0.2,0.7,0.7,0.2,0.7")
        page.wait_for_selector(".below[data-took]", timeout=120_000)
        found["lasso, from a link"] = round(1000 * (time.perf_counter() - began))
        found["lasso, difference alone"] = float(page.evaluate("document.querySelector('.below').dataset.took"))
        page.get_by_text("draws of as many cells at random").wait_for(timeout=120_000)
        found["lasso, with chance"] = round(1000 * (time.perf_counter() - began))
        browser.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("site", type=Path)
    for name, default in (("features", 5120), ("cells", 100_000), ("genes", 3000), ("pages", 200)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if not (given.run / "run.json").is_file():
        large_run(given.run, given.features, given.cells, given.genes)
    if not (given.site / "index.html").is_file():
        sizes = {"features": given.features, "cells": given.cells, "genes": given.genes}
        result = sizes | made(given.run, given.site, given.pages)
        write_json(given.site / "made.json", result)
    result = json.loads((given.site / "made.json").read_text())
    result |= {"milliseconds": measured(given.site), **made_with()}
    print(json.dumps(result, indent=1))
    if given.out:
        write_json(given.out, result)


if __name__ == "__main__":
    main()
