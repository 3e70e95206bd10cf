"""What a run can and cannot show, from its own facts."""

from dataclasses import dataclass

from cellprism.report.claims import Claim
from cellprism.report.facts import RunFacts

SMALL_WIDTH = 256
"""Models narrower than this are called small."""


@dataclass(frozen=True)
class Limits:
    """Lists of plain sentences."""

    can: list[str]
    cannot: list[str]
    found: list[str]
    """Some claims that go beyond their control, with both numbers."""
    failed: list[str]
    """Some claims whose control does as well."""


def limits_of(facts: RunFacts, claims: list[Claim]) -> Limits:
    """What these data and this model allow to say."""
    return Limits(
        can=_can(facts),
        cannot=[*_cells(facts), *_model(facts), *_statistics(facts)],
        found=_examples(claims, ("above chance",)),
        failed=_examples(claims, ("at chance", "below chance")),
    )


def _can(facts: RunFacts) -> list[str]:
    sentences = []
    if facts.features is not None:
        sentences.append(
            "Show which gene programs this model separates on these cells, and in which cell types they are strong."
        )
    if facts.steering:
        sentences.append(
            "Show what this model predicts when one of its features is made stronger or weaker, and compare "
            "that with random edits."
        )
    if facts.contrasts:
        c = facts.contrasts[0]
        sentences.append(
            f"Show how far this model's picture of {c.source_cells} can be moved towards {c.target}, on "
            "cells that the recipe has not seen."
        )
    return sentences or ["Nothing yet: no step of this run has results."]


def _examples(claims: list[Claim], verdicts: tuple[str, ...], per_section: int = 2) -> list[str]:
    """The first claims of each section with one of the verdicts, with both numbers, and how many there are
    in all."""
    chosen = [c for c in claims if c.verdict in verdicts and c.null is not None]
    found: dict[str, list[str]] = {}
    for claim in chosen:
        control = f"{claim.null.name} {claim.show(claim.null.value)}" if claim.null else ""
        found.setdefault(claim.section, []).append(
            f"{claim.statement}: {claim.show(claim.value)} {claim.unit}; {control}."
        )
    examples = [text for texts in found.values() for text in texts[:per_section]]
    more = len(chosen) - len(examples)
    return [*examples, f"{more} more in the table of claims."] if more else examples


def _cells(facts: RunFacts) -> list[str]:
    if facts.cells is None:
        return []
    sentences = [
        f"Speak for people. The {facts.cells.n_cells:,} cells carry no donor labels and count as one donor; "
        "cells are not replicates of donors.",
        "Take cell types for granted. The labels are clusters of the same counts that the model reads, not "
        f"cells sorted by their surface proteins; of {len(facts.cells.types)} types the smallest has "
        f"{min(facts.cells.types.values())} cells.",
    ]
    if facts.model is not None and facts.cells.n_genes < facts.model.n_genes:
        sentences.append(
            f"See all that the model knows: these data measure {facts.cells.n_genes:,} of its "
            f"{facts.model.n_genes:,} genes. Genes and programs outside them are not tested, and programs "
            "are judged by their measured genes only."
        )
    return sentences


def _model(facts: RunFacts) -> list[str]:
    if facts.model is None:
        return []
    model = facts.model
    size = "is small" if model.d_model < SMALL_WIDTH else "is one model among many"
    numbers = f"{model.n_layers} blocks, {model.d_model} numbers per gene"
    if facts.tokens == "cells":
        numbers = f"{model.d_model} numbers per cell"
    sentences = [
        f"Stand for other models. {model.name} {size}: {numbers}, {model.n_genes:,} genes. "
        "Published values beside ours come from other models on other cells "
        "and cannot be reproduced with this one.",
        "Show that a gene program acts in a living cell. Steering changes what a model predicts, nothing else.",
    ]
    if facts.words.note:
        sentences.append(f"Speak of expression. {facts.words.note}")
    if facts.tokens == "cells":
        sentences.append(
            "Say what the model computes from a gene. A feature's genes are those that go with it over these cells; "
            "genes that vary together share features, whether or not one has to do with the other."
        )
    if facts.layer is not None and facts.tokens == "genes":
        sentences.append(f"Describe the whole model: only one site was looked at, {facts.place}.")
    return sentences + [f"As the model's card says: {limit}" for limit in model.limits]


def _statistics(facts: RunFacts) -> list[str]:
    sentences = []
    if facts.training is not None:
        sentences.append(
            "Tell which features a second training would find again: one autoencoder was trained, with one "
            "seed. Refer to features by their genes, not by their numbers."
        )
    drawn = [f.response.n for experiment in facts.steering for f in experiment.features if f.response.n]
    if drawn:
        sentences.append(
            f"Resolve small p-values of steering: with {min(drawn)} random features none can be below "
            f"{1 / (min(drawn) + 1):.2g}."
        )
    return sentences
