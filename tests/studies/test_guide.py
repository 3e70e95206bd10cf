"""The study of the guide, installed from outside the package: a step, flags, claims and a place on the page."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cellprism.report.claims import read_claims
from cellprism.report.source import number_at
from cellprism.store.atomic import read_json

GUIDE = Path(__file__).parents[2] / "docs" / "study-guide.md"


@pytest.fixture
def installed(tmp_path) -> Path:
    """A folder with the guide's module and the record that an installer would write for its entry point."""
    text = GUIDE.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (entry,) = re.findall(r"```toml\n\[project\.(entry-points\..*?)\]\n(.*?)```", text, re.DOTALL)
    assert entry[0] == 'entry-points."cellprism.studies"'
    name, _, value = entry[1].strip().partition(" = ")
    folder = tmp_path / "site"
    (folder / "cellprism_depth-0.1.dist-info").mkdir(parents=True)
    (folder / "cellprism_depth.py").write_text(code)
    about = folder / "cellprism_depth-0.1.dist-info"
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: cellprism-depth\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text(f"[cellprism.studies]\n{name} = {value.strip(chr(34))}\n")
    return folder


def cellprism(installed: Path, *words: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "cellprism", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_the_study_of_the_guide_shows_its_claim_on_the_page(installed, run):
    assert len((installed / "cellprism_depth.py").read_text().splitlines()) <= 80
    done = cellprism(installed, "do", "depth", str(run), "--shuffles", "19")
    assert done.returncode == 0, done.stderr
    assert cellprism(installed, "report", str(run)).returncode == 0
    (claim,) = [c for c in read_claims(run / "claims.json") if c.id == "features-merely-depth"]
    assert claim.source is not None
    assert claim.value == number_at(run, claim.source)
    assert claim.null is not None
    assert claim.null.interval[0] <= 0.05 <= claim.null.interval[1]
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Do features merely follow depth?" in page
    assert claim.statement in page
    assert "shuffles = 19" in (run / "run.toml").read_text()
    assert "depth/depth.json" in read_json(run / "run.json")["steps"]["depth"]["files"]


@pytest.mark.slow
def test_its_settings_have_help_and_are_checked(installed, run):
    help_text = cellprism(installed, "do", "depth", "--help").stdout
    assert "--shuffles" in help_text
    assert "Times that depth is dealt out" in " ".join(help_text.split())
    wrong = cellprism(installed, "do", "depth", str(run), "--set", "depth.shufles=3")
    assert (wrong.returncode, "did you mean depth.shuffles?" in wrong.stderr) == (2, True)


@pytest.mark.slow
def test_without_it_the_rest_of_the_run_is_read_and_nothing_of_it_is_lost(installed, run, tmp_path):
    assert cellprism(installed, "do", "depth", str(run), "--shuffles", "19").returncode == 0
    elsewhere = tmp_path / "nothing"
    assert cellprism(elsewhere, "report", str(run)).returncode == 0
    assert "features-merely-depth" not in {claim.id for claim in read_claims(run / "claims.json")}
    missing = cellprism(elsewhere, "do", "fit", str(run), "--cells", "5")
    assert missing.returncode == 2
    assert "unknown key depth" in missing.stderr
    assert "if it is the section of a study, install that study" in missing.stderr
    assert (run / "depth" / "depth.json").is_file()
