"""The card in a model's settings is an object with texts where texts are used, or there is a message."""

import json
import re
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from cellprism.errors import ModelError
from cellprism.models.card import card_of
from cellprism.models.registry import load_model
from cellprism.studies.assess.card import card_scores
from models.conftest import REDUCED


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ([], "is a list, expected an object"),
        (None, "is null, expected an object"),
        ("words", "is text, expected an object"),
        (3, "is a number, expected an object"),
        ({"name": ["a"]}, "says name = ['a'], expected text"),
        ({"licence": None}, "says licence = None, expected text"),
        ({"limits": "words"}, "says limits = 'words', expected a list of texts"),
        ({"limits": [1]}, "says limits = [1], expected a list of texts"),
    ],
)
def test_what_is_no_card_is_refused_where_the_model_is_loaded(card, message, tmp_path):
    save_file(load_file(REDUCED / "aido_tiny_2blocks.safetensors"), tmp_path / "model.safetensors")
    settings = {"model_type": "aido", "num_attention_heads": 2, "card": card}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match=re.escape(message)):
        load_model(f"aido:{tmp_path}")


def test_a_card_need_not_be_there_and_may_say_anything_else():
    assert card_of({}, Path("model")) is None
    card = {"name": "a", "limits": ["none"], "assessment": {"masked": {}}}
    assert card_of({"card": card}, Path("model")) == card


@pytest.mark.parametrize(
    "scores",
    [[], "words", {"masked": []}, {"masked": {"methods": {"model": {"mse": 1, "of_gene_mean": 0}}}},
     {"cell_types": {"readout": {"a": {"accuracy": "high", "interval": [0, 1]}}}}],
)  # fmt: skip
def test_scores_that_are_none_are_a_message(scores):
    if not scores:
        assert not card_scores("a", {"assessment": scores}).held_out, "none"
        return
    with pytest.raises(ModelError, match="the card of 'a' holds scores that are none"):
        card_scores("a", {"assessment": scores})
