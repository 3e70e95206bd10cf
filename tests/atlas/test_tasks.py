"""Ten things that people want of an atlas, each done in a real browser: the answer is found, in so many clicks."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from workflow.tiny import bar

import cellprism as cp
from atlas.reading import shard, unpacked
from atlas.test_browser import Opened
from cellprism.atlas.make import make_atlas
from cellprism.studies.files import read_h5ad
from cellprism.workflow.config import make_config
from cellprism.workflow.pipeline import start_run

pytestmark = pytest.mark.slow


class Reader:
    """Somebody at an atlas opened from disk, whose clicks and words are counted."""

    def __init__(self, browser, site: Path):
        self.opened = Opened(browser, (site / "index.html").as_uri())
        self.page = self.opened.page
        self.start()

    def start(self) -> None:
        """Open the first page anew, with nothing done yet."""
        self.opened.show("overview")
        self.clicks = self.words = 0

    def type(self, words: str, shown: str) -> None:
        """Look for words, and take the first that is found."""
        self.page.get_by_role("combobox", name="search").fill(words)
        self.page.keyboard.press("Enter")
        self.words += 1
        self.arrives(shown)

    def click(self, name: str, shown: str = "") -> None:
        """Click a link, a button or what unfolds."""
        self.page.locator("a, button, summary").filter(has_text=name).first.click()
        self.clicks += 1
        if shown:
            self.arrives(shown)

    def arrives(self, page: str) -> None:
        self.page.wait_for_selector(f'body[data-ready="{page}"]', timeout=60_000)

    @property
    def text(self) -> str:
        return self.page.locator("main").inner_text()

    @property
    def cost(self) -> tuple[int, int]:
        return self.clicks, self.words


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A short run of the bundled cells, which bring a map of their own."""
    folder = tmp_path_factory.mktemp("tasks")
    cells = cp.read_cells("bundled:pbmc68k")[::3].copy()
    draw = np.random.default_rng(0)
    cells.obsm["X_umap"] = draw.normal(size=(cells.n_obs, 2)).astype(np.float32)
    cells.write_h5ad(folder / "cells.h5ad")
    asked = {
        "cells": str(folder / "cells.h5ad"), "model": "pbmc2", "labels": "cell_type",
        "train": {"k": 4, "epochs": 1, "expansion": 2},
    }  # fmt: skip
    start_run(make_config(asked, ["programs.replicates=1"]), folder / "run", bar, print, ["cells", "train", "programs"])
    return folder / "run"


@pytest.fixture(scope="module")
def site(run) -> Path:
    make_atlas(run, run.parent / "site", bar, beside=run)
    return run.parent / "site"


@pytest.fixture
def reader(browser, site) -> Iterator[Reader]:
    reader = Reader(browser, site)
    yield reader
    reader.opened.quiet()
    reader.page.close()


def test_1_find_the_feature_of_b_cells(reader):
    reader.click("Features", "features")
    reader.page.get_by_role("searchbox", name="filter features").fill("B cell identity")
    rows = reader.page.locator(".rows tbody tr:not(.space)")
    assert rows.count()
    assert all("B cell identity" in row for row in rows.all_inner_texts())
    assert "CD19+ B" in rows.first.inner_text()
    assert reader.cost == (1, 0)


def test_2_which_features_move_a_gene(reader, site):
    reader.type("CD74", "gene")
    assert reader.page.locator("h1").inner_text() == "CD74"
    index = shard(site, "index")
    block, place = divmod(unpacked(index["genes"]).index("CD74"), index["block"])
    fires = shard(site, f"genes/{block}")[place]["fires"]
    assert f"{fires[0][0]} " in reader.text
    assert "cellprism do screen" in reader.text  # the screen of all was not made, and is said to be missing
    assert reader.cost == (0, 1)


def test_3_is_feature_12_stable(reader):
    reader.type("12", "feature")
    assert "cellprism do stability" in reader.text
    assert reader.cost == (0, 1)


def test_4_in_which_cells_is_it_strongest(reader, run):
    reader.type("12", "feature")
    reader.click("strongest cells")
    cells = read_h5ad(run / "programs" / "cells.h5ad")
    strongest = str(cells.to_df().iloc[:, 12].idxmax())
    assert strongest in reader.text
    assert reader.cost == (1, 1)


def test_5_export_its_figure(reader):
    reader.type("12", "feature")
    with reader.page.expect_download() as saved:
        reader.click("SVG")
    assert Path(saved.value.path()).read_text().lstrip().startswith("<svg")
    assert reader.cost == (1, 1)


def test_6_steer_it_to_3(reader, run, site):
    values = unpacked(shard(site, "live/model")["fires"])
    feature = int(np.argmax(values.reshape(len(shard(site, "live/model")["cells"]), -1)[0]))
    reader.type(str(feature), "feature")
    reader.click("steer it", "steer")
    reader.page.locator(f'input[data-feature="{feature}"]').evaluate(
        "e => { e.value = 3; e.dispatchEvent(new Event('input')); }"
    )
    reader.page.wait_for_selector(f'body[data-steered="[[{feature},3]]"]', timeout=60_000)
    assert reader.page.evaluate("window.cellprismSteered.steered.some((v, g) => v !== cellprismSteered.baseline[g])")
    assert f"f{feature}=3" in reader.page.url
    assert reader.cost == (1, 1)


def test_7_compare_two_donors(reader):
    reader.click("Beside run", "beside")
    assert "100\u00a0%" in reader.text  # of features match beyond chance: the other is the same run
    assert reader.cost == (1, 0)


def test_8_send_a_colleague_what_you_see(reader, browser, site):
    reader.type("12", "feature")
    theirs = Opened(browser, reader.page.url.split("#")[0])
    theirs.page.goto(reader.page.url)
    theirs.page.wait_for_selector('body[data-ready="feature"]', timeout=60_000)
    assert theirs.page.locator("h1").inner_text() == reader.page.locator("h1").inner_text()
    assert json.loads((site / "features" / "12.json").read_text())["feature"] == 12
    theirs.page.close()


def test_9_activations_on_your_own_map(reader):
    reader.type("12", "feature")
    assert "your own map, obsm['X_umap']" in reader.text
    assert reader.cost == (0, 1)


def test_10_offline_from_a_disk(reader):
    for where in ("Features", "Genes", "Terms", "Cell types", "Compare", "Lists", "About"):
        reader.click(where)
    assert reader.page.url.startswith("file:")  # nothing else was asked for: the fixture asks
