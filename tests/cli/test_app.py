"""The command line as a user meets it: exit codes, what goes where, and one message for a mistake."""

import subprocess
import sys

import pytest

from cellprism import __version__
from cellprism.cli.app import VERBS, call

HEAVY = {"torch", "scanpy", "anndata", "numpy", "pandas", "plotly", "jaxtyping"}


def loaded_by(*words: str) -> set[str]:
    """Top-level packages loaded by a command in a fresh interpreter."""
    code = (
        "import sys\nfrom cellprism.cli.app import call\n"
        f"code = call({list(words)!r})\nassert code == 0, code\n"
        "print(*{m.split('.')[0] for m in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.splitlines()[-1].split())


def one_message(capsys) -> str:
    """What was said on stderr, if it is one error and no traceback, and nothing went to stdout."""
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert err.count("error:") == 1
    return err


@pytest.mark.parametrize("words", [(), ("--help",), ("data", "--help"), ("run", "--help"), ("--version",)])
def test_talking_about_itself_loads_nothing_heavy(words):
    assert loaded_by(*words).isdisjoint(HEAVY)


@pytest.mark.slow
def test_a_page_is_written_without_torch(run):
    loaded = loaded_by("report", str(run))
    assert "plotly" in loaded
    assert "torch" not in loaded


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb, capsys):
    assert call([verb, "--help"]) == 0
    assert "Usage" in capsys.readouterr().out


def test_all_verbs_stand_in_the_help(capsys):
    assert call(["--help"]) == 0
    out = capsys.readouterr().out
    assert [verb for verb in VERBS if f" {verb} " not in out] == []


def test_the_package_can_be_run_as_a_module():
    done = subprocess.run([sys.executable, "-m", "cellprism", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == __version__


def test_the_version_is_data(capsys):
    assert call(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["frobnicate"], 'Unknown command "frobnicate"'),
        (["reprot"], 'Did you mean "report"'),
        (["run", "a.toml", "--out", "x", "--speed"], "Unknown option: --speed"),
        (["run", "a.toml"], "--out"),
        (["train", "bundled:pbmc68k", "--out", "x", "--layer", "one"], "Invalid value"),
        (["contrast", "x", "--objective", "latnt"], "latnt"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_said_on_stderr(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in " ".join(err.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


NEEDS_A_RUN = [
    ["do", "programs"], ["do", "fit", "--set", "fit.cells=7"], ["do", "programs", "--alpha", "0.1"], ["steer"],
    ["steer", "--feature", "3"], ["contrast"], ["report"],
]  # fmt: skip


@pytest.mark.parametrize("words", NEEDS_A_RUN)
def test_a_folder_that_is_no_run_is_exit_code_2(words, capsys, tmp_path):
    flags = next((place for place, word in enumerate(words) if word.startswith("--")), len(words))
    assert call([*words[:flags], str(tmp_path), *words[flags:]]) == 2
    message = one_message(capsys)
    assert str(tmp_path) in message.replace("\n", "")
    assert "run folder" in message


def test_a_missing_configuration_is_one_message(capsys, tmp_path):
    assert call(["run", str(tmp_path / "no.toml"), "--out", str(tmp_path / "run")]) == 2
    assert "no configuration at" in one_message(capsys)


def test_missing_cells_are_one_message(capsys, tmp_path):
    assert call(["train", str(tmp_path / "no.h5ad"), "--out", str(tmp_path / "run")]) == 2
    message = one_message(capsys)
    assert "no.h5ad" in message
    assert "no such file" in message


def test_an_unknown_model_is_one_message(capsys):
    assert call(["models", "info", "maxi"]) == 2
    assert "no model 'maxi': expected one of pbmc2, mini, a model folder, or a .safetensors file" in one_message(capsys)


def test_an_unknown_key_comes_with_the_nearest_known_one(capsys, tmp_path):
    (tmp_path / "a.toml").write_text('cells = "bundled:pbmc68k"\n[train]\nexpantion = 4\n')
    assert call(["run", str(tmp_path / "a.toml"), "--out", str(tmp_path / "run")]) == 2
    assert "unknown key train.expantion; did you mean train.expansion?" in one_message(capsys)
    assert not (tmp_path / "run").exists()


def test_debug_shows_where_a_mistake_was_noticed(tmp_path):
    code = "from cellprism.cli.app import main; main(['report', 'nowhere', '--debug'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "RunError" in done.stderr


def test_a_dry_run_prints_the_whole_configuration_and_does_nothing(capsys, tmp_path):
    (tmp_path / "a.toml").write_text('cells = "bundled:pbmc68k"\n')
    assert (
        call(["run", str(tmp_path / "a.toml"), "--out", str(tmp_path / "run"), "--set", "train.k=16", "--dry-run"]) == 0
    )
    out, err = capsys.readouterr()
    assert "k = 16" in out
    assert 'collection = "blood"' in out
    assert err == ""
    assert not (tmp_path / "run").exists()
