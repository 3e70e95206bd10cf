"""What a run can and cannot show, from its own context."""

from collections.abc import Sequence
from dataclasses import dataclass

from cellprism.report.context import Context
from cellprism.report.section import Section

SMALL_WIDTH = 256
"""Models narrower than this are called small."""


@dataclass(frozen=True)
class Limits:
    """Lists of plain sentences."""

    can: list[str]
    cannot: list[str]


def limits_of(context: Context, sections: Sequence[Section]) -> Limits:
    """What these data and this model allow to say."""
    can = [sentence for section in sections for sentence in section.can]
    return Limits(
        can=can or ["Nothing yet: no step of this run has results."],
        cannot=[*_cells(context), *_model(context), *(text for section in sections for text in section.cannot)],
    )


def _cells(context: Context) -> list[str]:
    if context.cells is None:
        return []
    sentences = [
        f"Speak for people. The {context.cells.n_cells:,} cells carry no donor labels and count as one donor; "
        "cells are not replicates of donors.",
        "Take cell types for granted. The labels are clusters of the same counts that the model reads, not "
        f"cells sorted by their surface proteins; of {len(context.cells.types)} types the smallest has "
        f"{min(context.cells.types.values())} cells.",
    ]
    if context.model is not None and context.cells.n_genes < context.model.n_genes:
        sentences.append(
            f"See all that the model knows: these data measure {context.cells.n_genes:,} of its "
            f"{context.model.n_genes:,} genes. Genes and programs outside them are not tested, and programs "
            "are judged by their measured genes only."
        )
    return sentences


def _model(context: Context) -> list[str]:
    if context.model is None:
        return []
    model = context.model
    size = "is small" if model.d_model < SMALL_WIDTH else "is one model among many"
    numbers = f"{model.n_layers} blocks, {model.d_model} numbers per gene"
    if context.tokens == "cells":
        numbers = f"{model.d_model} numbers per cell"
    sentences = [
        f"Stand for other models. {model.name} {size}: {numbers}, {model.n_genes:,} genes. "
        "Published values beside ours come from other models on other cells "
        "and cannot be reproduced with this one.",
        "Show that a gene program acts in a living cell. Steering changes what a model predicts, nothing else.",
    ]
    if context.words.note:
        sentences.append(f"Speak of expression. {context.words.note}")
    if context.tokens == "cells":
        sentences.append(
            "Say what the model computes from a gene. A feature's genes are those that go with it over these cells; "
            "genes that vary together share features, whether or not one has to do with the other."
        )
    if context.layer is not None and context.tokens == "genes":
        sentences.append(f"Describe the whole model: only one site was looked at, {context.place}.")
    return sentences + [f"As the model's card says: {limit}" for limit in model.limits]
