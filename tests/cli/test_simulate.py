"""``cellprism simulate``: cells and answers in files that are read again as any others."""

import anndata
import pytest

import cellprism as cp
from cellprism.cli.app import call
from cellprism.simulate.answers import answers_of


def test_cells_and_programs_are_written_and_read_again(tmp_path, capsys):
    assert call(["simulate", str(tmp_path / "world"), "--preset", "small", "--seed", "5", "--set", "cells=59"]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "world.h5ad"), str(tmp_path / "world.gmt")]
    answers = answers_of(anndata.read_h5ad(tmp_path / "world.h5ad"))
    assert answers.seed == 5
    sets = cp.read_gmt(tmp_path / "world.gmt").terms
    assert list(sets) == answers.programs
    for name, genes in sets.items():
        assert set(genes) == set(answers.weights.index[answers.weights[name] != 0])
    assert cp.read_cells(tmp_path / "world.h5ad").n_obs == 59


def test_files_that_are_there_are_kept(tmp_path, capsys):
    out = tmp_path / "world.h5ad"
    out.write_text("mine")
    assert call(["simulate", str(out), "--preset", "small"]) == 2
    assert "--again" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert not (tmp_path / "world.gmt").exists()
    assert call(["simulate", str(out), "--preset", "small", "--again"]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--preset", "smal"], "no preset 'smal'"),
        (["--set", "cell=3"], "--set: unknown key cell; did you mean cells?"),
        (["--set", "cells=x"], "--set: cells is 'x', expected a whole number"),
        (["--set", "cells=1e3"], "--set: cells is 1000.0, expected a whole number"),
        (["--set", "cells=true"], "--set: cells is True, expected a whole number"),
        (["--set", "cells"], "--set 'cells': expected key=value"),
        (["--set", "cells.x=3"], "cells is no section"),
        (["--set", "cells=0"], "cells is 0"),
        (["--set", "depth=nan"], "depth is nan"),
        (["--set", "depth=inf"], "depth is inf: expected a finite number"),
        (["--set", "effect=1e3"], "effect is 1000.0: expected a natural logarithm"),
        (["--set", "cells=1000000000000"], "values: expected at most 10,000,000,000"),
        (["--preset", "small", "--seed", "-1"], "seed is -1: expected a whole number"),
        (["--preset", "small", "--seed", "1" + 30 * "0"], "expected a whole number from 0"),
        (["--preset", "small", "--seed", "1.5"], "Invalid value for --seed"),
    ],
)
def test_a_mistake_is_one_message(tmp_path, capsys, words, said):
    assert call(["simulate", str(tmp_path / "world"), *words]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
