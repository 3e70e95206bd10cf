"""The paths of a front: whoever follows them, in whatever order, and after a stop, they are the same to the bit."""

import shutil
from dataclasses import replace
from hashlib import sha256

import pandas as pd
import pytest

from cellprism.errors import CellprismError
from cellprism.store.run import Run
from cellprism.studies.pareto import asked, judges
from cellprism.studies.pareto import work as study
from cellprism.studies.pareto.asked import Trading, TradingOnDisk, all_asked, followed, path_of
from cellprism.studies.pareto.explained import recipe_rows
from cellprism.studies.pareto.tables import SMALL, write
from studies.elsewhere import Backwards, Elsewhere, bench_of

PATHS = [[place, number] for place in range(4) for number in range(3)]
"""Of two autoencoders, each with the cells of two arms: three weights."""
FIRST = PATHS[:3]


@pytest.fixture
def run(finished, tmp_path, monkeypatch) -> Run:
    """One run, to be worked on, in which either arm has cells enough for a front."""
    monkeypatch.setattr(asked, "LEAST", 5)
    return Run(shutil.copytree(finished, tmp_path / "run"))


def noting(made, stop=None, error: BaseException | None = None):
    """Follows paths, which are noted; at one of them there is an error instead."""

    def follow(trading, task):
        made.append(task)
        if task == stop:
            raise error or KeyboardInterrupt
        return path_of(trading, task)

    return follow


def fronts(run, engine=None, seeds=2, donor="arm", changes=lambda config: {}, **settings) -> list[str]:
    """A hash of each front: of its table, its recipes and what the model predicts under them."""
    bench = bench_of(run, engine)
    asked_for = replace(bench.settings("pareto"), seeds=seeds, donor=donor, **settings)
    bench.config = replace(bench.config, pareto=asked_for, **changes(bench.config))
    shards = study.shards_of_front(bench, asked_for)
    found = followed(Trading(bench, asked_for, list(all_asked(bench, asked_for))), shards, "paths")
    shards.clear()
    return [sha256(b"".join(_bytes(front))).hexdigest() for front in found]


def _bytes(front):
    yield repr(front.rows.to_dict("list")).encode()
    yield front.strengths.tobytes()
    for one in (one for part in front.after.values() for one in part):
        yield from (one.embedding.tobytes(), one.values.tobytes())


@pytest.mark.parametrize("engine", [Elsewhere(), Backwards()])
def test_paths_followed_elsewhere_in_any_order_have_the_bits_of_one_process(run, engine, monkeypatch):
    alone, made, opened, prepare = fronts(run), [], [], TradingOnDisk.__call__
    assert len(set(alone)) == 4
    monkeypatch.setattr(asked, "path_of", noting(made))
    monkeypatch.setattr(TradingOnDisk, "__call__", lambda self, bench: opened.append(bench) or prepare(self, bench))
    assert fronts(run, engine) == alone
    assert made == (PATHS[::-1] if isinstance(engine, Backwards) else PATHS)
    assert len(opened) == 1, "a worker opens the run once for all paths"


@pytest.mark.parametrize("engine", [Elsewhere(), Backwards()])
def test_the_study_writes_the_same_files_whoever_follows_the_paths(run, engine):
    bench = bench_of(run, engine)
    before = run.state["steps"]["pareto"]["files"]
    shutil.rmtree(bench.folder_of("pareto"))
    files = write(bench.folder_of("pareto"), study.work(bench, bench.settings("pareto")))
    assert sorted(str(file.relative_to(run.folder)) for file in files) == sorted(before)
    assert run.altered("pareto") == []


@pytest.mark.parametrize("engine", [None, Elsewhere()])
def test_what_was_stopped_goes_on_with_the_paths_that_are_left(run, engine, monkeypatch):
    alone, made = fronts(run), []
    monkeypatch.setattr(asked, "path_of", noting(made, [1, 1]))
    with pytest.raises(KeyboardInterrupt):
        fronts(run, engine)
    assert made == PATHS[:5]
    monkeypatch.setattr(asked, "path_of", noting(made))
    assert fronts(run, engine) == alone
    assert made == PATHS[:5] + PATHS[4:]


def other_types(config):
    """The contrast, of which the types are taken, the other way round."""
    contrast = config.contrast
    return {"contrast": replace(contrast, source=contrast.target, target=contrast.source)}


@pytest.mark.parametrize(
    "change",
    [
        {"changes": lambda config: {"seed": 1}},
        {"changes": other_types},
        {"edit": "add"},
        {"learnable": "given", "features": (2, 3, 5, 7, 11, 13, 17, 19, 23)},
    ],
)
def test_paths_with_another_seed_setting_or_pair_of_types_are_not_taken_up(run, change, monkeypatch):
    one = {"seeds": 1, "donor": ""}
    alone, other, made = fronts(run, **one), fronts(run, **one, **change), []
    assert alone != other
    monkeypatch.setattr(asked, "path_of", noting(made, FIRST[-1]))
    with pytest.raises(KeyboardInterrupt):
        fronts(run, **one)
    monkeypatch.setattr(asked, "path_of", noting(made))
    assert fronts(run, Elsewhere(), **one, **change) == other
    assert made == FIRST + FIRST


@pytest.mark.parametrize(
    ("path", "words", "of"),
    [
        ([2, 1], "autoencoder 1 treated, weight 0.50", {}),
        ([0, 2], "autoencoder 0, weight 1.00", {"seeds": 1, "donor": ""}),
    ],
)
def test_a_path_that_fails_is_named_and_the_others_are_kept(run, path, words, of, monkeypatch):
    alone, made = fronts(run, **of), []
    monkeypatch.setattr(asked, "path_of", noting(made, path, ValueError("no power")))
    with pytest.raises(CellprismError, match=f"^{words} failed: ValueError: no power"):
        fronts(run, Elsewhere(), **of)
    assert made == PATHS[: 3 * len(alone)]
    made.clear()
    monkeypatch.setattr(asked, "path_of", noting(made))
    assert fronts(run, Elsewhere(), **of) == alone
    assert made == [path]


def interrupted(*_):
    """What a person does who has seen enough."""
    raise KeyboardInterrupt


def test_what_another_judge_has_said_is_not_taken_up(run, tmp_path, monkeypatch):
    bench, path, way = bench_of(run), tmp_path / "judge.parquet", "way of the outside judge"
    genes = bench.cells.var_names
    judge = pd.DataFrame({"gene": genes, "mean": 0.0, "scale": 1.0, "CD8": range(len(genes)), "CD4": 1.0})
    judge.to_parquet(path)
    bench.config = replace(bench.config, pareto=replace(bench.settings("pareto"), judge=str(path)))
    monkeypatch.setattr(judges, "TRUSTED", 0)
    monkeypatch.setattr(study, "recipe_rows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study.work(bench, bench.settings("pareto"))
    monkeypatch.setattr(study, "recipe_rows", recipe_rows)
    judge.assign(CD8=judge["CD8"].to_numpy()[::-1]).to_parquet(path)
    tables = study.work(bench, bench.settings("pareto")).tables
    (beside,) = tables["beside"].loc[tables["beside"]["kind"] == SMALL, way]
    (front,) = tables["front"].loc[tables["front"]["chosen"].str.contains("both"), way]
    assert beside == pytest.approx(front), "the same recipe, judged by the same file"
