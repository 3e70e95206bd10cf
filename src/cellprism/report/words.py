"""What the page calls the things that a run measured: they differ between kinds of models.

A logit must not pass for expression, nor a gene that goes with a feature over cells for one at which it fires.
"""

from dataclasses import dataclass
from typing import Any

LOG_COUNTS = "log(1 + counts per 10,000)"
"""Unit of predicted expression, natural logarithm."""


@dataclass(frozen=True)
class Words:
    """Phrases for one kind of model."""

    tokens: str
    """Where features fire."""
    firing: str
    """Heading of the share of them."""
    own: str
    """A feature's genes, after "the genes"."""
    described: str
    """How a feature is described."""
    built_in: str
    """Why an effect on a feature's genes is no surprise, and what is the stricter test."""
    model: str
    """What a cell model is."""
    state: str
    """What its inner state is."""
    feature: str
    """What a feature is."""
    before: str
    """The part of the model before the site."""
    after: str
    """The part behind it."""
    unit: str
    """Unit of what is said of genes."""
    alike: str
    """Other genes of which as much is said."""
    said: str
    """What is said of genes."""
    within: str
    """Added to statements about genes where that is not expression."""
    last: str
    """What the model does at its end."""
    note: str
    """What must be known to read the numbers."""


_TOKENS: dict[str, dict[str, Any]] = {
    "genes": {
        "tokens": "gene tokens",
        "firing": "Fires at",
        "own": "in the feature's list",
        "described": "by the genes of its list and by the cells in which it is strong",
        "built_in": (
            "A feature's genes go with it over cells, so moving them is partly built in: the program's other genes, "
            "which are not in its list, are the stricter test"
        ),
        "model": (
            "A neural network that has read the gene counts of many cells and learned to fill in genes that are hidden "
            "from it. To do that it must pick up which genes go together."
        ),
        "state": (
            "The list of numbers that the network keeps for every gene of a cell while it reads. It is taken after one "
            "of the network's blocks; engineers call it the residual stream."
        ),
        "feature": (
            "A direction in that inner state, found by an autoencoder that may use only a few features for each gene. "
            "A feature fires for some genes in some cells. Its number has no meaning: another training would number, "
            "and find, others."
        ),
        "before": "first blocks",
        "after": "last blocks",
    },
    "cells": {
        "tokens": "cells",
        "firing": "Fires in",
        "own": "in the feature's list",
        "described": (
            "by the genes that are high in the cells in which it fires, and by the types of these cells. The model "
            "reads a cell as a whole, so no feature fires at a gene: this is what goes together over cells, not what "
            "the model makes of a gene"
        ),
        "built_in": (
            "A feature's genes are those that are high in the cells in which it fires, and the model learned from such "
            "cells, so moving them is partly built in: the program's other genes, which do not go with the feature, "
            "are the stricter test"
        ),
        "model": (
            "A model that has read the gene counts of many cells and learned to put each cell into a few numbers, from "
            "which its genes can be predicted again. To do that it must pick up which genes go together."
        ),
        "state": (
            "The list of numbers that the model keeps for a cell as a whole, its latent vector. There is one for each "
            "cell, none for a gene."
        ),
        "feature": (
            "A direction in that inner state, found by an autoencoder that may use only a few features for each cell. "
            "A feature fires in some cells. Its number has no meaning: another training would number, and find, others."
        ),
        "before": "encoder",
        "after": "decoder",
    },
}
_OUTPUT_KINDS: dict[str, dict[str, Any]] = {
    "expression": {
        "unit": LOG_COUNTS,
        "alike": "expressed as highly",
        "said": "predicted expression",
        "within": "",
        "last": "predict every gene",
        "note": "",
    },
    "token_logit": {
        "unit": "logit of the gene's own token",
        "alike": "of which the model is as sure",
        "said": "token logits",
        "within": " in token logits",
        "last": "say how well each gene fits its place",
        "note": (
            "This model predicts which gene stands at a place of a cell, not how much of it there is. What is said of "
            "a gene is the logit of its own token where it stands, on average over the cells that carry it: how much "
            "the model believes in it there. These numbers are not expression, and a change of them is no change of "
            "an amount."
        ),
    },
    "nothing": {
        "unit": "",
        "alike": "",
        "said": "nothing of genes",
        "within": "",
        "last": "say nothing of genes",
        "note": (
            "This model has no decoder: nothing is said of genes, and cell types are moved in its inner state alone."
        ),
    },
}


def words_for(tokens: str = "genes", output_kind: str = "expression") -> Words:
    """The phrases for a model whose tokens are ``genes`` or ``cells``, and whose output kind is ``output_kind``."""
    return Words(**_TOKENS[tokens], **_OUTPUT_KINDS[output_kind])
