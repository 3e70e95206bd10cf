"""Every installed study keeps the same promises, seen on the tiny run."""

import subprocess
import sys
from dataclasses import dataclass, fields, is_dataclass
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
from anndata import AnnData

from cellprism.errors import ConfigError
from cellprism.report.claims import read_claims
from cellprism.report.source import number_at
from cellprism.store.inside import STUDIES
from cellprism.store.run import Run
from cellprism.studies import study as module
from cellprism.studies.help import field_help
from cellprism.studies.study import Study, studies
from cellprism.workflow.publish import check_unaltered

NAMES = list(studies())


def same(one: Any, other: Any, place: str) -> None:
    """Fail where two values differ, in kind or in content."""
    assert type(one) is type(other), place
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_exact=True, obj=place)
    elif isinstance(one, AnnData):
        raise AssertionError(f"{place}: matrices are not read")
    elif is_dataclass(one):
        for item in fields(one):
            same(getattr(one, item.name), getattr(other, item.name), f"{place}.{item.name}")
    elif isinstance(one, dict):
        assert list(one) == list(other), place
        for key in one:
            same(one[key], other[key], f"{place}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), place
        for number, pair in enumerate(zip(one, other, strict=True)):
            same(*pair, f"{place}.{number}")
    else:
        assert one == other or (one != one and other != other), place


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_read_again_value_for_value(finished, tmp_path, name):
    study = studies()[name]
    found = study.read(finished / name)
    files = study.write(tmp_path / "again", found)
    same(study.read(tmp_path / "again"), found, name)
    for file in files:
        assert file.read_bytes() == (finished / name / file.relative_to(tmp_path / "again")).read_bytes(), file.name


@pytest.mark.parametrize("name", NAMES)
def test_a_study_hands_over_every_file_that_it_leaves(finished, name):
    written = {str(p.relative_to(finished)) for p in (finished / name).rglob("*") if p.is_file()}
    assert written == set(Run(finished).state["steps"][name]["files"])


def test_a_comparison_of_results_sees_a_difference():
    table = pd.DataFrame({"a": [1, 2]})
    for one, other in (({"a": 1}, {"a": 1.0}), (table, table.astype(float)), ([1], [1, 2]), ({"a": 1}, {"b": 1})):
        with pytest.raises(AssertionError):
            same(one, other, "here")
    same({"a": [float("nan"), table]}, {"a": [float("nan"), table]}, "here")


def test_every_claim_of_a_real_run_has_its_number_on_disk_and_its_null_in_its_interval(finished):
    claims = read_claims(finished / "claims.json")
    measured = [claim for claim in claims if claim.value is not None]
    assert len(measured) >= 20
    for claim in measured:
        assert claim.value == number_at(finished, claim.source), claim.id
    for null in [claim.null for claim in claims if claim.null and claim.null.interval]:
        assert null.value is None or null.interval[0] <= null.value <= null.interval[1], null


def test_a_real_run_is_what_its_steps_wrote(finished):
    check_unaltered(Run(finished))
    assert list(Run(finished).state["steps"]) == ["cells", "train", *NAMES]


def inner(settings: type) -> list[type]:
    return [settings, *(kind for f in fields(settings) if is_dataclass(f.type) for kind in inner(f.type))]


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_says_what_it_is(name):
    for settings in inner(studies()[name].Settings):
        help_of = field_help(settings)
        assert [f.name for f in fields(settings) if len(help_of.get(f.name, "")) < 10] == []
        assert settings.__dataclass_params__.frozen


def test_only_the_work_of_a_study_knows_torch():
    parts = [(s.tables, s.claims.split(":")[0], s.section.split(":")[0]) for s in studies().values()]
    assert len(parts) == len(NAMES)
    code = (
        f"import sys; from importlib import import_module as get\nfrom cellprism.studies.study import studies\n"
        f"studies()\nfor study in {parts!r}:\n    for part in study: get(part)\n"
        "    assert 'torch' not in sys.modules, study\n"
        "get('cellprism.workflow.publish')\nsys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@dataclass(frozen=True)
class Few:
    """Settings."""

    cells: int = 3


def made(name: str, *needs: str, settings: type = Few) -> Study:
    return Study(name, "asks something", needs, settings, "a:b", "a", "a:b", "a:b")


@pytest.mark.parametrize("name", ["cells", "train", "report", "two words", "a-b", "", "3d"])
def test_a_study_has_a_name_that_can_be_a_section(name):
    with pytest.raises(ConfigError, match=f"a study cannot be called {name!r}"):
        made(name)


def test_the_settings_of_a_study_are_a_dataclass():
    with pytest.raises(ConfigError, match=r"settings of study 'mine' are .*dict.*, expected a frozen dataclass"):
        made("mine", settings=dict)


@pytest.fixture
def installed(monkeypatch):
    """Installs entry points, each a name with what it gives; returns the names of studies in their order."""

    def install(*given: tuple[str, object]) -> list[str]:
        entries = []
        for place, (name, found) in enumerate(given):
            package = ModuleType(f"installed_{place}")
            package.STUDY = found
            monkeypatch.setitem(sys.modules, package.__name__, package)
            entries.append(EntryPoint(name, f"{package.__name__}:STUDY", module.GROUP))
        monkeypatch.setattr(module, "entry_points", lambda group: entries)
        return list(studies.__wrapped__())

    return install


def test_studies_come_after_those_that_they_need_and_ours_first(installed):
    needs = {"zoo": ["late"], "late": ["steer"], "fit": [], "steer": ["train"], "abc": []}
    assert installed(*((name, made(name, *those)) for name, those in needs.items())) == [
        "fit", "steer", "abc", "late", "zoo",
    ]  # fmt: skip


def test_what_is_no_study_is_refused(installed):
    with pytest.raises(ConfigError, match="entry point 'mine' of cellprism.studies gives 3, expected a Study"):
        installed(("mine", 3))
    with pytest.raises(ConfigError, match="two installed packages have a study called 'mine'"):
        installed(("mine", made("mine")), ("other", made("mine")))
    with pytest.raises(ConfigError, match="need what is not installed, or each other: mine needs nothing"):
        installed(("mine", made("mine", "nothing")))
    with pytest.raises(ConfigError, match="a needs b; b needs a"):
        installed(("a", made("a", "b")), ("b", made("b", "a")))


def test_the_built_in_studies_are_installed_in_the_order_of_a_page():
    assert tuple(NAMES[: len(STUDIES)]) == STUDIES
