"""Does an adapter keep the promises of ``CellModel``? Checked on real cells, for any model.

- Each check stands in ``CHECKS`` with what it expects and where to look when it fails. A check that has no meaning for
  a model (other cuts, in a model of one site) says so; it never counts as held.
- Where nothing but the place of a cut or the identity of an object differs, results must be the same bit for bit; where
  other shapes or orders are computed, rounding is allowed, in the precision of the model's residual stream.
- An adapter is other people's code: whatever it raises is the outcome of that check, and the other checks still run.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from traceback import extract_tb
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from cellprism.cells.genes import GeneTable
from cellprism.cells.read import read_cells
from cellprism.errors import CellsError, ModelError
from cellprism.models import conformance_abilities as abilities
from cellprism.models import conformance_checks as checks
from cellprism.models.conformance_checks import Fails, HasNoMeaning, Subject
from cellprism.types import CellModel, FitsToCells

HOLDS, FAILS, MEANINGLESS = "holds", "FAILS", "not applicable"
SLOPE_TOLERANCE = 0.05  # of a difference quotient in float32
LONGEST = 300  # characters of an adapter's own message


@dataclass(frozen=True)
class Outcome:
    """What one check said."""

    check: str
    """Its name."""
    verdict: str
    """``holds``, ``FAILS`` or ``not applicable``."""
    deviation: float | None
    """Largest difference found, relative to the largest value compared; None where nothing is measured."""
    tolerance: float | None
    """Largest difference allowed; 0 means bit for bit."""
    words: str
    """Why it has no meaning, or for a failure what was found, what was expected and where to look."""


@dataclass(frozen=True)
class Check:
    """One promise."""

    name: str
    run: Callable[[Subject], float | None]
    expected: str
    look: str
    tolerance: Literal["", "exact", "rounding", "slope"] = ""
    """What may differ, where a difference is measured."""

    def on(self, subject: Subject) -> Outcome:
        """Run it; never raises what the adapter raises."""
        deviation = tolerance = None
        try:
            if self.tolerance:
                tolerance = {"exact": 0.0, "slope": SLOPE_TOLERANCE}.get(self.tolerance, subject.rounding)
            deviation = self.run(subject)
            if deviation is None or deviation <= (tolerance or 0.0):
                return Outcome(self.name, HOLDS, deviation, tolerance, "")
            found = f"results differ by {deviation:.2g} of the largest value"
        except HasNoMeaning as reason:
            return Outcome(self.name, MEANINGLESS, None, None, str(reason))
        except Fails as failure:
            found, deviation = str(failure), failure.deviation
        except Exception as error:  # other people's code: an error in one check must not hide the others
            return Outcome(self.name, FAILS, None, tolerance, _raised(error))
        return Outcome(
            self.name, FAILS, deviation, tolerance, f"{found}; expected {self.expected}. Look at {self.look}"
        )


def some_cells(source: str | Path, model: Any, count: int) -> AnnData:
    """``count`` cells to check a model on, spread over a data set and aligned to the model's genes.

    Raises:
        CellsError: the cells cannot be read, or share too few genes with the model.
        ModelError: the model is known by name alone and must be fitted to cells first.
    """
    if isinstance(model, FitsToCells) and isinstance(model, CellModel) and model.d_model == 0:
        raise ModelError(
            f"{model.name} takes its width and genes from the cells; check it from Python, on cells that hold the "
            "embedding: conformance(model.fitted(cells), cells)"
        )
    genes = None
    if isinstance(model, CellModel):  # what is none is told so by the first check
        genes = model.gene_table
        if genes is None and model.genes:
            genes = GeneTable.of(list(model.genes))
    cells = read_cells(source, genes=genes)
    read = np.flatnonzero(sp.csr_matrix(cells.X).getnnz(axis=1))
    return cells[read[np.linspace(0, len(read) - 1, min(count, len(read))).astype(int)]].copy()


def conformance(model: Any, cells: AnnData, progress: Callable[[int, str], None] | None = None) -> list[Outcome]:
    """Run every check on a model.

    Args:
        model: any object; that it is a ``CellModel`` is the first check, and the others run only if it is.
        cells: at least three cells as ``read_cells(source, model)`` returns them.
        progress: called before every check with the number of those done and the name of the next.

    Raises:
        CellsError: fewer than three cells, so that no two batch sizes can be compared.
    """
    if cells.n_obs < 3:
        raise CellsError("the AnnData", [f"{cells.n_obs} cells; the checks compare batch sizes and need 3 or more"])
    subject, outcomes = Subject(model, cells), []
    for done, check in enumerate(CHECKS):
        if progress is not None:
            progress(done, check.name)
        outcomes.append(check.on(subject))
        if check is CHECKS[0] and outcomes[0].verdict == FAILS:
            break
    return outcomes


CHECKS = (
    Check(
        "members",
        checks.members,
        "every member of cellprism.types.CellModel",
        "the protocol's docstrings; docs/adapter-guide.md has an example",
    ),
    Check(
        "kind",
        checks.kind,
        "genes as present tokens, or one token a cell, as tokens says, no other output than predicts says, and mask "
        "where trained_at is 'hidden'",
        "the members tokens, predicts and trained_at, and what batches and resume return",
    ),
    Check(
        "genes",
        checks.genes,
        "one name a gene, the same list in genes and gene_table.symbol, and other genes refused",
        "the gene list that the weights came with, and at how batches finds the columns",
    ),
    Check(
        "batches",
        checks.batches,
        "every cell once, in order, at most size a batch, with its row number in batch.cell",
        "the loop in batches, its last batch first",
    ),
    Check(
        "present tokens",
        checks.present,
        "the measured genes, or those with counts (the first that fit), each once; one token if cells are read whole",
        "batch.gene and batch.present where some of the model's genes were not measured",
    ),
    Check(
        "outputs",
        checks.shapes,
        "finite values in the shapes that CellOutput states, the embedding a mean over present tokens",
        "what resume returns; padding, absent genes and depth tokens do not belong into the mean",
        "rounding",
    ),
    Check(
        "same at every cut",
        checks.cuts,
        "the same output from every layer, bit for bit",
        "which blocks residual and resume run: residual 0 to layer, resume the others and nothing twice",
        "exact",
    ),
    Check(
        "identity edit",
        checks.identity,
        "the same output from a copy of the residual stream, and inputs left as they were",
        "operations in place (+=, relu_) and values kept from an earlier call",
        "exact",
    ),
    Check(
        "determinism",
        checks.determinism,
        "the same result at every call, bit for bit",
        "dropout (model.eval()), sampling, and state kept between calls",
        "exact",
    ),
    Check(
        "gene order",
        checks.gene_order,
        "results that follow the genes when columns are reordered",
        "how batches maps columns to genes, and how ties between equal counts are ordered",
        "rounding",
    ),
    Check(
        "batch size, padding",
        checks.batch_size,
        "the same results for a cell alone and among others",
        "the attention mask over padding, statistics over a batch, and the totals of each cell",
        "rounding",
    ),
    Check(
        "gradients",
        checks.gradients,
        "finite gradients of the output in the residual stream given to resume, and of nothing else",
        "torch.no_grad, detach and .data in resume, and requires_grad_(False) on the weights",
        "slope",
    ),
    Check(
        "residuals", abilities.several, "what residual gives at each layer, bit for bit", "the order of layers", "exact"
    ),
    Check(
        "between blocks",
        abilities.between_blocks,
        "the residual stream of every later block, from that of every earlier one",
        "which blocks run, and from where",
        "exact",
    ),
    Check(
        "some genes",
        abilities.some_genes,
        "what resume gives at the tokens asked for, from every layer",
        "the order of tokens, and what the last block still attends to",
        "rounding",
    ),
    Check(
        "hidden genes",
        abilities.masking,
        "results in which a hidden gene's value has no part, bit for bit, and a batch otherwise as it was",
        "what mask writes in place of the values, and what else of the batch holds them",
        "exact",
    ),
    Check(
        "memory plan",
        abilities.planning,
        "a pass of as many tokens as batches makes, and of more cells the more memory is free",
        "how plan counts tokens and bytes",
    ),
    Check(
        "device",
        abilities.one_device,
        "batches, residual stream and outputs where to(device) has put the model, and there the same results",
        "tensors made without a device in batches, residual and resume, and what to moves",
        "exact",
    ),
)


def _raised(error: Exception) -> str:
    """What an adapter raised, and where."""
    frame = extract_tb(error.__traceback__)[-1]
    said = " ".join(str(error).split())
    return f"{type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}: {said[:LONGEST]}"


def table(outcomes: Sequence[Outcome]) -> str:
    """Outcomes as text: one line each, then what to know of those that do not simply hold."""
    lines = [f"{'check':<22}{'outcome':<16}{'difference':>10}{'allowed':>10}"]
    for o in outcomes:
        difference, allowed = ("" if n is None else f"{n:.2g}" for n in (o.deviation, o.tolerance))
        lines.append(f"{o.check:<22}{o.verdict:<16}{difference:>10}{allowed:>10}".rstrip())
    together: dict[str, list[str]] = {}
    for o in outcomes:
        together.setdefault(o.words, []).append(o.check)
    lines += [f"{', '.join(names)}: {words}" for words, names in together.items() if words]
    return "\n".join(lines)


def to_json(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Outcomes as plain JSON values; an infinite difference is left out, since JSON has none."""
    return [asdict(o) | {"deviation": o.deviation if o.deviation != float("inf") else None} for o in outcomes]
