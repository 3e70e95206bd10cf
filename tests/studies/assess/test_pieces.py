"""The questions to the model: whoever asks them, in whatever order, and after a stop, the answers are the same to the
bit."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from workflow.tiny import N_GENES

from cellprism.cells.genes import GeneTable
from cellprism.errors import CellprismError
from cellprism.models.latent.scvi import ScviModel, ScviSizes
from cellprism.models.registry import save_model
from cellprism.store.run import Run
from cellprism.studies.assess import work
from cellprism.studies.assess.pieces import COUNTS, GENES, NOISE, TYPES, answered, asking
from studies.elsewhere import Backwards, Elsewhere, bench_of

QUESTIONS = [GENES, NOISE, TYPES]


@pytest.fixture
def run(finished, tmp_path) -> Run:
    """One run, to be worked on."""
    return Run(shutil.copytree(finished, tmp_path / "run"))


def measured(run: Run, engine=None, masks=2, **changes) -> str:
    """What the study says, with every digit."""
    bench = bench_of(run, engine)
    bench.config = replace(bench.config, assess=replace(bench.settings("assess"), masks=masks), **changes)
    return repr(work.work(bench, bench.settings("assess")))


def noting(asked, stop="", error: BaseException | None = None):
    """Answers that are noted; at one question there is an error instead."""

    def answer(ask, question):
        asked.append(question)
        if question == stop:
            raise error or KeyboardInterrupt
        return answered(ask, question)

    return answer


def of_whole_cells(folder: Path, genes: list[str]) -> str:
    """A model that is asked for hidden counts, in a folder."""
    save_model(ScviModel.random(ScviSizes(N_GENES, 13, 17, 1), GeneTable.of(genes), 3), folder, {"name": "little scVI"})
    return str(folder)


@pytest.mark.parametrize("engine", [Elsewhere(), Backwards()])
@pytest.mark.parametrize("questions", [QUESTIONS, [COUNTS, TYPES]])
def test_questions_asked_elsewhere_in_any_order_have_the_bits_of_one_process(
    run, engine, questions, tmp_path, monkeypatch
):
    changes: dict[str, Any] = {}
    asked, opened = [], []
    if COUNTS in questions:
        changes = {"model": of_whole_cells(tmp_path / "model", bench_of(run).cells.var_names.tolist())}
    alone = measured(run, **changes)
    monkeypatch.setattr(work, "answered", noting(asked))
    monkeypatch.setattr(work, "asking", lambda bench: opened.append(bench) or asking(bench))
    assert measured(run, engine, **changes) == alone
    assert asked == (questions[::-1] if isinstance(engine, Backwards) else questions)
    assert len(set(opened)) == len(opened) == 2, "a worker opens the run itself, once for all questions"
    assert not (run.folder / "assess" / ".shards").exists()


@pytest.mark.parametrize("engine", [None, Elsewhere()])
def test_what_was_stopped_goes_on_with_the_questions_that_are_left(run, engine, monkeypatch):
    alone, asked = measured(run), []
    monkeypatch.setattr(work, "answered", noting(asked, NOISE))
    with pytest.raises(KeyboardInterrupt):
        measured(run, engine)
    monkeypatch.setattr(work, "answered", noting(asked))
    assert measured(run, engine) == alone
    assert asked == [GENES, NOISE, NOISE, TYPES]


@pytest.mark.parametrize("change", [{"seed": 1}, {"masks": 1}, {"layer": 1}])
def test_answers_with_another_seed_or_setting_are_not_taken_up(run, change, monkeypatch):
    alone, other, asked = measured(run), measured(run, **change), []
    assert alone != other
    monkeypatch.setattr(work, "answered", noting(asked, TYPES))
    with pytest.raises(KeyboardInterrupt):
        measured(run)
    monkeypatch.setattr(work, "answered", noting(asked))
    assert measured(run, Elsewhere(), **change) == other
    assert asked == [*QUESTIONS, *QUESTIONS]


@pytest.mark.parametrize(("question", "engine"), [(GENES, Elsewhere()), (NOISE, Elsewhere()), (TYPES, None)])
def test_a_question_that_fails_is_named_and_the_other_answers_are_kept(run, question, engine, monkeypatch):
    alone, asked = measured(run), []
    monkeypatch.setattr(work, "answered", noting(asked, question, ValueError("no power")))
    with pytest.raises(CellprismError, match=f"^{question} failed: ValueError: no power"):
        measured(run, engine)
    monkeypatch.setattr(work, "answered", noting(asked))
    assert measured(run, engine) == alone
    assert asked == [*QUESTIONS, question]
