"""Every page in a real browser, from a disk and from a server; live steering beside Python's exact edit; chance."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from sklearn.decomposition import PCA
from studies.conftest import HOSTILE
from workflow.tiny import bar

import cellprism as cp
from atlas.reading import shard, unpacked
from cellprism.atlas.make import make_atlas
from cellprism.atlas.serve import server_of
from cellprism.atlas.steering import Steering
from cellprism.store.run import Run
from cellprism.studies.workbench import Workbench
from cellprism.workflow.config import config_of, make_config
from cellprism.workflow.pipeline import start_run

SIZES = {"wide": (1440, 900), "narrow": (390, 844)}
PAGES = (
    "overview", "features", "feature/12", "feature/5", "gene/{gene}", "gene/NO-SUCH", "genes", "term/{term}", "terms",
    "types", "type/{type}", "recipe/latent", "compare/12/3", "beside", "beside/12/3",
    "lists/mine?features=3,12", "about", "steer", "nowhere",
)  # fmt: skip


class Opened:
    """An atlas in a tab, with what it said and asked for on the way."""

    def __init__(self, browser, address: str, size: str = "wide", scheme: str = "light"):
        width, height = SIZES[size]
        self.page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        self.address, self.said, self.asked = address, [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def show(self, where: str) -> None:
        self.page.goto(f"{self.address}#/{where}")
        name = where.split("?")[0].split("/")[0]
        self.page.wait_for_selector(f'body[data-ready="{name}"]', timeout=60_000)

    def quiet(self) -> None:
        """Nothing was said, nothing asked of another place, nothing is wider than the page."""
        assert self.said == []
        root = self.address.removesuffix("index.html")
        assert [url for url in self.asked if not url.startswith((root, "blob:", "data:"))] == []
        assert self.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def steered(opened: Opened, where: str) -> dict:
    """What the page answers, in the order of its genes."""
    opened.show(where)
    opened.page.wait_for_function("document.body.dataset.steered", timeout=60_000)
    return opened.page.evaluate(
        "(({genes, baseline, steered, embedding}) => ({genes, baseline: [...baseline], steered: [...steered],"
        " embedding: [...embedding]}))(window.cellprismSteered)"
    )


def difference_from_python(run: Path, site: Path, answer: dict, cell: int, strengths: dict[int, float]) -> float:
    """The largest difference of the page's answer from ``cp.steer``."""
    bench = Workbench(Run(run), config_of(Run(run)), bar, device="cpu")
    row = shard(site, "live/model")["cells"][cell]["row"]
    out = cp.steer(bench.model, bench.sae, bench.cells[[row]].copy(), bench.config.layer, strengths)
    place = out.var_names.get_indexer(answer["genes"])
    parts = [np.abs(np.asarray(out.layers[name])[0, place] - answer[name]).max() for name in ("baseline", "steered")]
    assert np.abs(out.layers["steered"] - out.layers["baseline"]).max() > 1e-3  # the edit does something
    return max(*parts, np.abs(out.obsm["embedding_steered"][0] - answer["embedding"]).max())


def test_a_page_from_disk_steers_as_python_does_at_hidden_genes(browser, tiny, finished):
    site, _ = tiny
    assert shard(site, "live/model")["folds"] == 4
    opened = Opened(browser, (site / "index.html").as_uri())
    fires = busiest(site, 2)
    strengths = {fires[0]: 5.0, fires[1]: 0.0, fires[2]: -2.5}
    answer = steered(opened, "steer?cell=2&" + "&".join(f"f{f}={v}" for f, v in strengths.items()))
    assert difference_from_python(finished, site, answer, 2, strengths) < 1e-4
    for where in ("overview", f"feature/{fires[0]}"):
        opened.show(where)
    opened.quiet()


def test_what_chance_gives_in_a_lasso(browser, tiny):
    """In cells dealt out at random p is uniform; a planted feature is found; features that are merely smooth over the
    map beat random cells nearly always, and regions of the map no more often than they should."""
    opened = Opened(browser, (tiny[0] / "index.html").as_uri())
    opened.show("about")
    found = opened.page.evaluate("""() => {
      const { chance, difference, seeded, totals } = window.cellprism.maths;
      const [n, f] = [400, 120], random = seeded(5);
      const x = Float32Array.from({ length: n }, random), y = Float32Array.from({ length: n }, random);
      const noise = Uint8Array.from({ length: n * f }, () => 255 * random());
      const phases = Array.from({ length: f }, () => [1 + 5 * random(), 1 + 5 * random(), 7 * random()]);
      const smooth = Uint8Array.from({ length: n * f }, (_, i) => {
        const [c, k] = [Math.floor(i / f), i % f], [a, b, p] = phases[k];
        return 128 + 120 * Math.sin(a * x[c] + b * y[c] + p);
      });
      const rows = Uint32Array.from({ length: n }, (_, i) => i).filter((i) => x[i] < 0.4 && y[i] < 0.4);
      const planted = noise.slice();
      for (const r of rows) planted[r * f] = 200 + 55 * random();
      const ask = (values) => {
        const all = totals(values, f), c = chance(values, f, rows, all, x, y, seeded(7));
        return { p: [...c.p], limit: c.limit, d: [...difference(values, f, rows, all).d], regions: [...c.regions] };
      };
      return { noise: ask(noise), planted: ask(planted), smooth: ask(smooth) };
    }""")
    p = np.array(found["noise"]["p"])
    assert abs(p.mean() - 0.5) < 0.1
    assert (p < 0.05).mean() < 0.12
    assert np.abs(found["planted"]["d"][0]) > found["planted"]["limit"]
    assert np.argmin(found["planted"]["p"]) == 0
    smooth, regions = np.array(found["smooth"]["p"]), np.array(found["smooth"]["regions"])
    assert (smooth < 0.05).mean() > 0.8
    assert (regions < 0.05).mean() < 0.25


def test_what_chance_gives_for_chosen_features(browser, tiny):
    """Features at random are strong in no kind of cells beyond chance; those planted in one kind are, there alone."""
    opened = Opened(browser, (tiny[0] / "index.html").as_uri())
    opened.show("about")
    found = opened.page.evaluate("""() => {
      const { kindChance, kindMeans, seeded, totals } = window.cellprism.maths;
      const [n, f, kinds] = [400, 120, 5], random = seeded(5);
      const x = Float32Array.from({ length: f }, random), y = Float32Array.from({ length: f }, random);
      const kind = Uint16Array.from({ length: n }, (_, i) => i % kinds);
      const some = Array.from({ length: 9 }, (_, i) => i * 7);
      const ask = (rise) => {
        const values = Uint8Array.from({ length: n * f }, (_, i) => {
          const [c, k] = [Math.floor(i / f), i % f];
          return 150 * random() + (rise && kind[c] === 2 && some.includes(k) ? 60 : 0);
        });
        const means = kindMeans(values, f, kind, kinds, totals(values, f));
        return kindChance(means, f, some, x, y, random);
      };
      const null_ = Array.from({ length: 40 }, () => [...ask(false).p]).flat(), planted = ask(true);
      return { null_, p: [...planted.p], seen: [...planted.seen] };
    }""")
    assert (np.array(found["null_"]) < 0.05).mean() < 0.09
    assert abs(np.mean(found["null_"]) - 0.5) < 0.08
    assert np.argmax(found["seen"]) == 2
    assert found["p"][2] == min(found["p"]) <= 0.005


@contextmanager
def served(site: Path, steering: Steering | None = None) -> Iterator[str]:
    with server_of(site) as server:
        server.steering = steering
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", ["file", "http"])
@pytest.mark.parametrize("name", ["tiny", "whole", "hostile"])
def test_every_page_is_drawn_and_says_nothing(name, way, size, browser, request):
    site = request.getfixturevalue(name)[0]
    terms = shard(site, "terms/0")
    found = {"gene": shard(site, "genes/0")[3]["gene"], "term": terms[1]["term"]}
    found["type"] = shard(site, "index")["type_names"][0]
    names = {key: quote(value, safe="") for key, value in found.items()}
    with served(site) as http:
        opened = Opened(browser, http if way == "http" else (site / "index.html").as_uri(), size, "dark")
        for where in PAGES:
            opened.show(where.format(**names))
            assert len(opened.page.locator("main").inner_text()) > 20, where
            opened.quiet()
        assert opened.page.locator("main img, main script").count() == 0
        opened.page.close()


@pytest.mark.slow
def test_one_finds_by_name_sorts_filters_and_keeps(browser, whole, hostile):
    opened = Opened(browser, (whole[0] / "index.html").as_uri())
    page = opened.page
    opened.show("features?filter=padj<0.001 fires>0.02&sort=-fires")
    shown = page.locator(".rows tbody tr:not(.space)")
    assert 0 < shown.count() < 127
    page.get_by_role("combobox", name="search").fill("MS4A1")
    assert page.locator("#hits li").first.inner_text().startswith("gene")
    page.keyboard.press("Enter")
    page.wait_for_selector('body[data-ready="gene"]')
    assert page.locator("h1").inner_text() == "MS4A1"
    opened.show("overview")
    page.get_by_role("button", name="drag draws a line around points").first.click()
    box = page.locator("canvas").first.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(middle[0] - 150, middle[1] - 150)
    page.mouse.down()
    for dx, dy in [(0, -150), (150, -150), (160, 0), (150, 150), (0, 160), (-150, 150), (-160, 0), (-150, -140)]:
        page.mouse.move(middle[0] + dx, middle[1] + dy, steps=4)
    page.mouse.up()
    page.get_by_text("draws of as many cells at random").wait_for(timeout=30_000)
    assert "lasso=" in page.url
    again = Opened(browser, page.url.split("#")[0])
    again.page.goto(page.url)
    again.page.get_by_text("draws of as many cells at random").wait_for(timeout=30_000)
    opened.show("lists/mine?features=3,12")
    assert page.locator(".rows tbody tr:not(.space)").count() == 2
    opened.quiet()
    bad = Opened(browser, (hostile[0] / "index.html").as_uri())
    bad.show("feature/12")
    assert HOSTILE[:20] in bad.page.locator("main").inner_text()


@pytest.fixture(scope="module")
def pbmc2(tmp_path_factory) -> tuple[Path, Path]:
    """A short run of the bundled model, which answers at visible genes and has a rate for each, and its atlas."""
    run, site = tmp_path_factory.mktemp("pbmc2") / "run", tmp_path_factory.mktemp("pbmc2") / "site"
    config = make_config(
        {"cells": "bundled:pbmc68k", "model": "pbmc2", "train": {"k": 4, "epochs": 1}}, ["programs.replicates=1"]
    )
    start_run(config, run, bar, lambda text: None, ["cells", "train", "programs"])
    make_atlas(run, site, bar)
    return run, site


@pytest.mark.slow
def test_the_bundled_model_is_steered_as_in_python_within_a_second(browser, pbmc2):
    run, site = pbmc2
    opened = Opened(browser, (site / "index.html").as_uri())
    fires = busiest(site, 1)
    answer = steered(opened, f"steer?cell=1&f{fires[0]}=5&f{fires[1]}=-3")
    assert difference_from_python(run, site, answer, 1, {fires[0]: 5.0, fires[1]: -3.0}) < 1e-4
    assert int(opened.page.evaluate("document.body.dataset.steeredTook")) < 3000  # a third of a second on an idle core
    opened.quiet()


@pytest.fixture(scope="module")
def latent(tmp_path_factory) -> tuple[Path, Path, Steering]:
    """A short run of an embedding with a decoder, which the page cannot run, and its atlas as ``view`` makes it."""
    folder = tmp_path_factory.mktemp("latent")
    cells = cp.read_cells("bundled:pbmc68k")
    logs = np.log1p(cells.X.toarray() / cells.obs["total_counts"].to_numpy()[:, None] * 1e4)
    cells.obsm["X_pca"] = PCA(12, random_state=0).fit_transform(logs)
    cells.obsm["X_umap"] = cells.obsm["X_pca"][:, 3:5]
    cells.write_h5ad(folder / "cells.h5ad")
    config = make_config({
        "cells": str(folder / "cells.h5ad"), "model": "obsm:X_pca+ridge", "labels": "cell_type", "layer": 0,
        "train": {"k": 4, "epochs": 20, "n_features": 48},
    }, ["programs.replicates=1"])  # fmt: skip
    start_run(config, folder / "run", bar, lambda text: None, ["cells", "train", "programs"])
    made = make_atlas(folder / "run", folder / "site", bar, served=True)
    assert made.steering is not None
    return folder / "run", folder / "site", made.steering


@pytest.mark.slow
def test_a_model_that_the_page_cannot_run_is_steered_by_the_server(browser, latent):
    run, site, steering = latent
    assert shard(site, "cells")["method"] == "your own map, obsm['X_umap']"
    best = int(np.argmax(unpacked(shard(site, "live/model")["fires"]).reshape(-1, 48)[3] > 0))
    with served(site, steering) as http:
        opened = Opened(browser, http)
        answer = steered(opened, f"steer?cell=3&f{best}=6")
        assert difference_from_python(run, site, answer, 3, {best: 6.0}) < 1e-4
        assert "Python steers it" in opened.page.locator("main").inner_text()
        for where in ("overview", f"feature/{best}"):
            opened.show(where)
        opened.quiet()
        steering.rows = steering.rows[:3]  # a cell that is no more there: said in the page
        opened.page.goto(f"{http}#/steer?cell=5")
        opened.page.reload()
        opened.page.wait_for_selector("body[data-wrong]", timeout=60_000)
        assert "there is no cell 5" in opened.page.locator("main").inner_text()
    stranger = browser.new_page()
    with served(site, steering) as http:
        stranger.goto("about:blank")
        asked = "url => fetch(url, {method: 'POST', body: '{}'}).then(a => a.text(), error => String(error))"
        assert stranger.evaluate(asked, f"{http}steer") == "TypeError: Failed to fetch"


def busiest(site: Path, cell: int) -> list[int]:
    """The three features that fire at most genes of a cell."""
    model = shard(site, "live/model")
    count = unpacked(model["fires"]).reshape(len(model["cells"]), -1)[cell]
    return np.argsort(-count.astype(int), kind="stable")[:3].tolist()
