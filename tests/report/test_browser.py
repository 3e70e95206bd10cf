"""The page in a real browser: what it draws, asks for and answers. Skipped, with the reason, where there is
none."""

import shutil
from pathlib import Path

import pytest

from cellprism.report.theme import IN_THE_DARK, OURS
from cellprism.store.run import Run
from cellprism.studies.study import studies
from cellprism.workflow.publish import write_report

WIDE, NARROW = (1440, 900), (390, 844)


@pytest.fixture(scope="module")
def reports(whole_run, hostile_run, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    runs = {"whole": whole_run, "hostile": hostile_run, "every": whole_run}
    copies = {name: Path(shutil.copytree(run, folder / name)) for name, run in runs.items()}
    for name, study in studies().items():
        if not study.every_run:
            Run(copies["every"]).forget(name)
    return {name: write_report(copy) for name, copy in copies.items()}


class Opened:
    """A page that has drawn everything, with what it said and asked for on the way."""

    def __init__(self, browser, report: Path, size: tuple[int, int], scheme: str = "light", place: str = ""):
        self.page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(report.as_uri() + place)
        self.page.wait_for_selector("body[data-ready]", timeout=60_000)

    def open_all(self):
        """Open every part of the appendix, and wait for its figures."""
        self.page.evaluate("document.querySelectorAll('details.part').forEach(part => { part.open = true; })")
        self.page.wait_for_function(
            "Array.from(document.querySelectorAll('.plot')).every(plot => plot.dataset.drawn)", timeout=60_000
        )
        return self

    def rows(self, table: str) -> int:
        return self.page.locator(f"#table-{table} tbody tr:visible").count()


@pytest.fixture(scope="module")
def wide(browser, reports) -> Opened:
    return Opened(browser, reports["whole"], WIDE).open_all()


@pytest.fixture(scope="module")
def narrow(browser, reports) -> Opened:
    return Opened(browser, reports["whole"], NARROW, "dark").open_all()


@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_the_page_says_nothing_and_asks_for_nothing_but_itself(size, request, reports):
    opened = request.getfixturevalue(size)
    assert opened.said == []
    assert opened.asked == [reports["whole"].as_uri()]


@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_every_figure_is_drawn(size, request):
    page = request.getfixturevalue(size).page
    plots = page.locator(".plot")
    assert plots.count() == 67
    for i in range(plots.count()):
        plot = plots.nth(i)
        assert plot.locator("svg.main-svg").count() > 0, plot.get_attribute("id")
        assert plot.locator("g.trace, g.violinlayer path, g.heatmaplayer image").count() > 0, plot.get_attribute("id")


@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_nothing_sticks_out_at_the_side(size, request):
    page = request.getfixturevalue(size).page
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.evaluate(
        "Array.from(document.querySelectorAll('.plot svg.main-svg')).every(s => "
        "s.getBoundingClientRect().right <= innerWidth)"
    )


CONTRAST = """() => {
  const channel = v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const rgb = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0.99) return c; } return [255, 255, 255]; };
  const found = [], walk = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  for (let n = walk.nextNode(); n; n = walk.nextNode()) {
    const e = n.parentElement;
    if (!n.textContent.trim() || e.closest('svg,script,.plot,[hidden]') || !e.getClientRects().length) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) found.push(e.className + ': ' + n.textContent.trim().slice(0, 40));
  }
  return found; }"""
"""Texts whose contrast with their ground is less than 4.5 to 1, the limit of WCAG 2, level AA."""


@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_text_stands_out_from_its_ground(size, request):
    assert request.getfixturevalue(size).page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_only_boxes_of_tables_scroll_sideways_and_the_keyboard_reaches_them(size, request):
    page = request.getfixturevalue(size).page
    wide = (
        "Array.from(document.querySelectorAll('main *')).filter(e => e.scrollWidth > e.clientWidth + 1 && "
        "['auto', 'scroll'].includes(getComputedStyle(e).overflowX))"
    )
    assert page.evaluate(f"{wide}.every(e => e.matches('.scroll, pre') && e.tabIndex === 0)")


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_a_permalink_opens_its_part_and_lands_in_sight(browser, reports, size):
    places = ["claim-features-stable", "stability", "gap-latent", "all-feature", "feature-7"]
    opened = Opened(browser, reports["whole"], size, place=f"#{places[0]}")
    for place in places:
        opened.page.evaluate("place => { location.hash = place; }", place)
        opened.page.wait_for_timeout(200)
        seen = opened.page.evaluate(
            "id => { const e = document.getElementById(id), box = e.getBoundingClientRect();"
            " const hit = document.elementFromPoint(box.left + Math.min(40, box.width / 2), Math.max(box.top, 0) + 12);"
            " return [box.top >= 0, box.top < innerHeight - 40, e.contains(hit)]; }",
            place,
        )
        assert seen == [True, True, True], (place, seen)
    opened.page.close()


def test_the_findings_are_one_screen(browser, reports):
    opened = Opened(browser, reports["every"], WIDE)
    end = opened.page.evaluate("document.getElementById('summary').getBoundingClientRect().bottom")
    assert end <= WIDE[1]
    assert opened.page.locator(".findings li").count() >= 6
    opened.page.close()


def test_on_paper_every_part_is_open_and_figures_fit(browser, reports):
    opened = Opened(browser, reports["every"], WIDE)
    page = opened.page
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 690, "height": 980})
    assert page.evaluate(
        "Array.from(document.querySelectorAll('details.part')).every(part => part.open !== part.matches('.long'))"
    )
    assert not page.locator("nav").is_visible()
    assert page.evaluate(
        "Array.from(document.querySelectorAll('.plot svg.main-svg')).every(s => "
        "s.getBoundingClientRect().right <= innerWidth + 1 && s.getBoundingClientRect().height > 50)"
    )
    page.close()


def test_colours_follow_the_readers_scheme(wide, narrow):
    ground = "getComputedStyle(document.body).backgroundColor"
    assert wide.page.evaluate(ground) != narrow.page.evaluate(ground)
    colour = "document.querySelector('#dose-12 .legend button:last-child path').getAttribute('stroke')"
    assert wide.page.evaluate(colour) == OURS
    assert narrow.page.evaluate(colour) == IN_THE_DARK[OURS]


def test_claims_are_filtered_by_words_and_by_verdict(wide):
    page, everything = wide.page, wide.rows("claims")
    form = page.locator('[data-filters="claims"]')
    form.locator('input[type="search"]').fill("CD8B latent recipe")
    assert 0 < wide.rows("claims") < everything
    shown = page.locator("#table-claims tbody tr:visible").all_inner_texts()
    assert all("cd8b" in text.lower() and "recipe" in text.lower() for text in shown)
    assert f"of {everything} rows" in form.locator("output").inner_text()
    form.locator('input[type="search"]').fill("")
    form.locator('select[name="verdict"]').select_option("at chance")
    assert set(page.locator("#table-claims tbody tr:visible .badge").all_inner_texts()) == {"at chance"}
    form.locator('select[name="verdict"]').select_option("")
    assert wide.rows("claims") == everything


def test_features_are_sorted_by_number_both_ways_from_the_keyboard(wide):
    page = wide.page
    header = page.locator("#table-feature th button", has_text="Fires at")
    rates = "Array.from(document.querySelectorAll('#table-feature tbody tr'), r => Number(r.cells[7].dataset.value))"
    header.focus()
    page.keyboard.press("Enter")
    assert header.locator("..").get_attribute("aria-sort") == "ascending"
    assert page.evaluate(rates) == sorted(page.evaluate(rates))
    page.keyboard.press("Enter")
    assert header.locator("..").get_attribute("aria-sort") == "descending"
    assert page.evaluate(rates) == sorted(page.evaluate(rates), reverse=True)


def test_features_are_found_by_gene(wide):
    page = wide.page
    search = page.locator('[data-filters="feature"] input[type="search"]')
    search.fill("cd79a ms4a1")
    texts = page.locator("#table-feature tbody tr:visible .genes").all_inner_texts()
    assert texts
    assert all("CD79A" in text and "MS4A1" in text for text in texts)
    search.fill("")


def test_claims_without_a_value_stay_last_when_sorted(wide):
    page = wide.page
    header = page.locator("#table-claims th button", has_text="Ours")
    values = "Array.from(document.querySelectorAll('#table-claims tbody tr'), r => r.cells[1].dataset.value)"
    for _ in range(2):
        header.click()
        found = page.evaluate(values)
        known = [v for v in found if v]
        assert found[: len(known)] == known
        assert "" in found


def test_the_legend_hides_and_shows_a_line(wide):
    page = wide.page
    button = page.locator("#dose-12 .legend button", has_text="its genes")
    lines = page.locator("#plot-dose-12 g.trace")
    before = lines.count()
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert lines.count() == before - 1
    button.click()
    assert lines.count() == before


def test_a_mark_of_the_map_leads_to_its_row(wide):
    page = wide.page
    found = page.evaluate(
        "(() => { const p = document.getElementById('plot-feature-map'); const d = p.data[2];"
        " p.emit('plotly_click', {points: [{customdata: d.customdata[0]}]}); return d.customdata[0][0]; })()"
    )
    assert page.locator("tr.found").get_attribute("id") == f"feature-{found}"


def test_hostile_names_are_shown_and_not_run(browser, reports):
    opened = Opened(browser, reports["hostile"], WIDE).open_all()
    assert opened.said == []
    assert opened.page.locator("img").count() == 0
    assert "<script>alert(" in opened.page.locator("#table-feature tbody tr").first.inner_text()
    opened.page.close()
