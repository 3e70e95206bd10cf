import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from cellprism.errors import RunError
from cellprism.report.claims import read_claims
from cellprism.report.page import _with_commands, embedded_json, security_policy
from cellprism.store.run import Run
from cellprism.studies.study import studies
from cellprism.workflow.publish import write_report


class Page(HTMLParser):
    """What a browser would find: tags with attributes, scripts, visible words."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict]] = []
        self.scripts: list[tuple[dict, str]] = []
        self.words = ""
        self.first = ""
        """Those that stand before the appendix."""
        self.ids: set[str] = set()
        self._inside: str | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids.add(dict(attrs).get("id", ""))
        self._inside = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif self._inside != "style":
            self.words += data
            if "appendix" not in self.ids:
                self.first += data


@pytest.fixture(scope="module")
def written(whole_run, tmp_path_factory):
    folder = shutil.copytree(whole_run, tmp_path_factory.mktemp("written") / "run")
    return write_report(folder)


@pytest.fixture(scope="module")
def read(written):
    return Page(written.read_text(encoding="utf-8"))


def test_the_page_is_one_file_below_fifteen_megabytes(written):
    assert written.name == "report.html"
    assert written.stat().st_size < 15e6


def test_the_page_refers_to_nothing_outside_itself(read):
    for tag, attributes in read.tags:
        for name in ("src", "href", "action", "srcset", "data", "poster", "xlink:href"):
            reference = attributes.get(name) or "#"
            assert reference.startswith(("#", "data:")), (tag, reference)
    style = next(t for t, _ in read.tags if t == "style")
    assert style
    assert not re.search(r"url\(|@import", page_style(read))


def page_style(page):
    from cellprism.report.page import _asset

    return _asset("page.css")


def test_the_policy_allows_exactly_the_scripts_of_the_page(read):
    policy = next(a["content"] for t, a in read.tags if a.get("http-equiv") == "Content-Security-Policy")
    running = [text for attributes, text in read.scripts if attributes.get("type") != "application/json"]
    assert len(running) == 2
    hashes = {"'sha256-" + base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() + "'" for s in running}
    allowed = re.search(r"script-src ([^;]*);", policy).group(1)
    assert set(allowed.split()) == hashes
    assert policy.startswith("default-src 'none'")
    assert policy == security_policy(running)


def test_claims_are_written_beside_the_page_and_all_of_them_are_on_it(written, read):
    claims = read_claims(written.parent / "claims.json")
    assert len([c for c in claims if c.value is not None]) >= 12
    rows = [a["id"] for t, a in read.tags if t == "tr" and a.get("id", "").startswith("claim-")]
    assert rows == [f"claim-{c.id}" for c in claims]
    assert all(c.statement in read.words for c in claims)


def test_headings_go_down_one_level_at_a_time(read):
    levels = [int(tag[1]) for tag, _ in read.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_figures_tables_and_fields_have_names_for_those_who_do_not_see_them(read):
    for _, attributes in read.tags:
        if attributes.get("class") == "plot":
            assert attributes["role"] == "img"
            assert len(attributes["aria-label"]) > 30
    tables = [tag for tag, _ in read.tags if tag in ("table", "caption")]
    assert tables == ["table", "caption"] * (len(tables) // 2)
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in read.tags if tag == "th")
    assert next(a for t, a in read.tags if t == "html")["lang"] == "en"


def test_all_that_a_claim_needs_is_in_the_appendix(written, read):
    for claim in read_claims(written.parent / "claims.json"):
        for said in (claim.show(claim.value), claim.unit, claim.why, claim.test.test, claim.test.background,
                     claim.test.correction, claim.test.unit_of_inference, claim.null.name if claim.null else "",
                     claim.source.field if claim.source else ""):  # fmt: skip
            assert said in read.words, claim.id


def test_every_figure_and_table_of_every_section_is_on_the_page(page, read):
    ids = {attributes.get("id") for _, attributes in read.tags}
    assert set(page.figures) <= ids
    for section in page.sections.values():
        assert all(table.caption in read.words for table in section.tables)
        assert section.method in read.words
        assert section.said in read.first


def test_commands_are_set_as_such_and_nothing_else_is(read):
    assert str(_with_commands("<b> `do x` & y")) == "&lt;b&gt; <code>do x</code> &amp; y"
    assert "`" not in read.first


def test_ids_are_unique_and_links_lead_somewhere(read):
    ids = [a["id"] for _, a in read.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = {a["href"][1:] for t, a in read.tags if t == "a"}
    assert links <= set(ids)
    named = {name for _, a in read.tags for name in (a.get("aria-labelledby") or "").split()}
    assert named <= set(ids)


def test_every_name_is_escaped(hostile_run, tmp_path):
    path = write_report(shutil.copytree(hostile_run, tmp_path / "run"))
    page = Page(path.read_text(encoding="utf-8"))
    assert len([s for s in page.scripts if s[0].get("type") != "application/json"]) == 2
    assert not [a for t, a in page.tags if t == "img"]
    assert not [a for _, a in page.tags if any(name.startswith("on") for name in a)]
    assert '<script>alert("x")</script>' in page.words  # shown as text, not run
    data = next(text for attributes, text in page.scripts if attributes.get("type") == "application/json")
    assert "<" not in data
    for figure in json.loads(data)["figures"]:
        assert "<script" not in json.dumps([figure["data"], figure["layout"]]), figure["id"]


def test_json_inside_the_page_cannot_close_its_element():
    text = embedded_json({"a": "</script><!--", "b": "&amp;"})
    assert "<" not in text
    assert "&" not in text
    assert json.loads(text) == {"a": "</script><!--", "b": "&amp;"}


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("contrast", "This run has no contrast step"),
        ("steer", "This run has no steering step"),
        ("programs", "This run has no features yet"),
        ("fit", "The autoencoder was not measured"),
        ("assess", "How good the model is was not measured"),
    ],
)
def test_a_step_that_was_not_run_is_said_to_be_missing(run_folder, gone, words):
    Run(run_folder).forget(gone)
    assert words in Page(write_report(run_folder).read_text(encoding="utf-8")).words


def test_without_a_record_there_is_no_page(run_folder):
    (run_folder / "run.json").unlink()
    with pytest.raises(RunError, match="is not a run folder"):
        write_report(run_folder)
    assert not (run_folder / "report.html").exists()


def test_a_run_without_steps_still_gives_a_page(tmp_path):
    Run(tmp_path).update(steps={})
    words = Page(write_report(tmp_path).read_text(encoding="utf-8")).words
    for part in ("no features yet", "no steering step", "no contrast step", "Nothing yet"):
        assert part in words


@pytest.mark.parametrize("gone", ["cells", *studies()])
def test_links_lead_somewhere_whatever_is_missing(run_folder, gone):
    Run(run_folder).forget(gone)
    page = Page(write_report(run_folder).read_text(encoding="utf-8"))
    ids = {a["id"] for _, a in page.tags if "id" in a}
    assert {a["href"][1:] for t, a in page.tags if t == "a"} <= ids


def test_the_same_run_gives_the_same_page(written, run_folder):
    again = write_report(shutil.copytree(run_folder, run_folder.parent / "again" / "run"))
    assert again.read_bytes() == written.read_bytes()


def test_the_report_never_imports_torch():
    code = "import sys, cellprism.report.page, cellprism.workflow.publish; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
