"""The model measured on the run's own cells, beside simpler methods that are fitted on other cells of the run."""

from collections.abc import Callable
from functools import partial
from typing import Any

from cellprism.parallel.shards import Shard, from_json
from cellprism.studies.assess.card import card_scores
from cellprism.studies.assess.hidden import lacks_hidden_genes
from cellprism.studies.assess.pieces import COUNTS, GENES, NOISE, TYPES, Asking, answered, asking
from cellprism.studies.assess.settings import AssessSettings
from cellprism.studies.assess.split import FEWEST
from cellprism.studies.assess.tables import Assessment, CardScores, Gain, HiddenGenes, Measure
from cellprism.studies.files import as_record
from cellprism.studies.mapping import mapped
from cellprism.studies.shards import shards_of
from cellprism.studies.workbench import Workbench
from cellprism.types import PredictsShares

NO_SPREAD = "The hidden genes have the same counts in all cells, so that there is no error to remove."
NO_TYPES = "The cells carry no types, or only one, so that none can be read from the model."


def work(bench: Workbench, settings: AssessSettings) -> Assessment:
    """How good the model is on the run's cells.

    Raises:
        ModelError: the card lacks a number that it should hold.
    """
    card = card_scores(bench.model.name, bench.model.card)
    ask = asking(bench)
    if not ask.split.enough:
        few = f"{bench.cells.n_obs} cells are too few to measure the model: {FEWEST} are needed to fit simpler methods "
        return Assessment(absent=[f"{few}on, and {FEWEST} others to judge."], card=card)
    return measured(ask, card, partial(_answers, bench, ask))


def measured(ask: Asking, card: CardScores, answers: Callable[[list[str]], dict[str, Any]]) -> Assessment:
    """Everything that this kind of model can be measured by.

    Args:
        ask: the model and the cells.
        card: what the model's makers measured.
        answers: of some questions, as plain values.
    """
    counted = isinstance(ask.model, PredictsShares)
    why = "" if counted else lacks_hidden_genes(ask.model)
    questions = [TYPES] if why else [*([COUNTS] if counted else [GENES, NOISE]), TYPES]
    found = answers(questions)
    absent = [why] if why else []
    if GENES in questions and found[GENES] is None:
        absent.append(NO_SPREAD)
    if not found[TYPES]:
        absent.append(NO_TYPES)
    genes, noise = (found.get(name) and as_record(HiddenGenes, found[name]) for name in (GENES, NOISE))
    counts = {name: as_record(Gain, one) for name, one in (found.get(COUNTS) or {}).items()}
    types = {name: as_record(Measure, one) for name, one in found[TYPES].items()}
    return Assessment(len(ask.split.test), len(ask.split.fit), genes, noise, counts, types, absent, card)


def _answers(bench: Workbench, ask: Asking, questions: list[str]) -> dict[str, Any]:
    """The answer to each question, as plain values."""
    folder = shards_of(bench, "assess", ("cells",), ask.settings, size=ask.size)
    parts = [Shard(name.replace(" ", "-"), name, name) for name in questions]
    results = mapped(bench, "measuring the model", parts, folder, ask, asking, answered, "questions")
    found = {name: from_json(arrays) for name, arrays in zip(questions, results.gather(), strict=True)}
    folder.clear()
    return found
