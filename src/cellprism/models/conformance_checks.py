"""What the conformance checks do: each looks at one promise of ``CellModel`` and returns the difference that it found.

- Differences are relative to the largest value compared.
- Results are compared gene by gene and cell by cell, so a model may lay out its tokens as it likes.
- What does not hold is raised as ``Fails``, what cannot be asked of a model as ``HasNoMeaning``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

import numpy as np
import scipy.sparse as sp
import torch
from anndata import AnnData
from jaxtyping import Float
from torch import Tensor

from cellprism.errors import InputError
from cellprism.types import CellBatch, CellModel, CellOutput, HidesGenes, OutputKind, TokenKind, TrainedAt

ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 3e-3}
STEP = 1e-3  # of difference quotients, relative to the norm of the residual stream
OUTPUTS = ("expression", "embedding", "token", "token_logit")
STATED = {"tokens": get_args(TokenKind), "predicts": get_args(OutputKind), "trained_at": get_args(TrainedAt)}


class Fails(Exception):
    """What was found; ``deviation`` is the largest difference where there is one."""

    def __init__(self, found: str, deviation: float | None = None):
        self.deviation = deviation
        super().__init__(found)


class HasNoMeaning(Exception):
    """Why a check cannot be asked of this model."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A model under test, and its results on a few cells, computed once."""

    model: Any  # that it is a CellModel is what the first check asks
    cells: AnnData

    @cached_property
    def batch(self) -> CellBatch:
        """All cells in one batch."""
        return next(iter(self.model.batches(self.cells, self.cells.n_obs)))

    @cached_property
    def residuals(self) -> list[Float[Tensor, "cell token d_model"]]:
        """The residual stream after every block, each from a pass of its own."""
        with torch.no_grad():
            return [self.model.residual(self.batch, layer) for layer in range(self.model.n_layers)]

    @cached_property
    def outputs(self) -> list[CellOutput]:
        """The output, resumed from every block."""
        with torch.no_grad():
            return [self.model.resume(self.batch, layer, x) for layer, x in enumerate(self.residuals)]

    @cached_property
    def readings(self) -> dict[str, Tensor]:
        """Results in an order that does not depend on how cells were laid out; see ``_reading``."""
        return _sorted([_reading(self.model, self.batch, self.residuals[-1], self.outputs[-1])])

    @cached_property
    def ends(self) -> list[int]:
        """The first layer and the last."""
        return sorted({0, self.model.n_layers - 1})

    @cached_property
    def rounding(self) -> float:
        """Difference that rounding may make in the precision of this model's residual stream."""
        return ROUNDING[self.residuals[0].dtype]


def members(subject: Subject) -> None:
    """Everything that the protocol names is there and of its kind."""
    model = subject.model
    methods = ("batches", "residual", "resume")
    kinds = {"name": str, "revision": str, "licence": str, "n_layers": int, "d_model": int, "genes": Sequence,
             "card": Mapping, "gene_table": object, "tokens": str, "predicts": str, "trained_at": str,
             **dict.fromkeys(methods, Callable)}  # fmt: skip
    if missing := [name for name in kinds if not hasattr(model, name)]:
        raise Fails(f"no {', '.join(missing)}")
    wrong = [name for name, kind in kinds.items() if not isinstance(getattr(model, name), kind)]
    wrong += [name for name in ("n_layers", "d_model") if name not in wrong and getattr(model, name) < 1]
    wrong += [name for name, kind in STATED.items() if name not in wrong and getattr(model, name) not in kind]
    if wrong:
        shown = ", ".join(f"{name} = {str(getattr(model, name))[:60]!r}" for name in wrong)
        raise Fails(f"of another kind: {shown}")


def kind(subject: Subject) -> None:
    """What the model states of its tokens and its predictions is what it does."""
    model, batch, out = subject.model, subject.batch, subject.outputs[-1]
    gene = batch.gene.expand(batch.values.shape)[batch.present]
    if model.tokens == "genes" and bool((gene < 0).any()):
        raise Fails(f"tokens is 'genes', and {int((gene < 0).sum())} present tokens are none")
    if model.tokens == "cells" and (batch.values.shape[1] != 1 or bool((gene >= 0).any())):
        raise Fails(f"tokens is 'cells', and a cell has {batch.values.shape[1]} tokens")
    if model.trained_at == "hidden" and not isinstance(subject.model, HidesGenes):
        raise Fails("trained_at is 'hidden', and there is no mask(batch, hidden) to hide genes with")
    if model.trained_at == "hidden" and model.tokens == "cells":
        raise Fails("trained_at is 'hidden', and a cell read as a whole has no token to hide")
    given = [name for name in ("expression", "token_logit") if getattr(out, name) is not None]
    if given != [name for name in given if name == model.predicts] or (not given and model.predicts != "nothing"):
        raise Fails(f"predicts is {model.predicts!r}, and the output has {' and '.join(given) or 'neither'}")


def genes(subject: Subject) -> None:
    """The gene list is there, names every gene once, agrees with the table, and other genes are refused."""
    model, cells = subject.model, subject.cells
    if not model.genes:
        raise HasNoMeaning("this model has no genes: it reads and predicts none")
    if len(set(model.genes)) != len(model.genes):
        raise Fails(f"{len(model.genes) - len(set(model.genes))} of {len(model.genes)} symbols repeat another")
    if model.gene_table is not None and tuple(model.gene_table.symbol) != tuple(model.genes):
        raise Fails("genes and gene_table.symbol are not the same list")
    if unknown := sorted(set(cells.var_names) - set(model.genes)):
        raise Fails(f"{len(unknown)} columns of the cells, such as {unknown[0]!r}, are not in the model's genes")
    if not _reads_counts(subject):
        return
    stranger = cells.copy()
    stranger.var_names = ["no such gene", *cells.var_names[1:]]
    try:
        next(iter(model.batches(stranger, 2)))
    except InputError:
        return
    raise Fails("batches took cells with a column 'no such gene' without a word")


def _reads_counts(subject: Subject) -> bool:
    """Whether a model is fed something else when every count is 1; models of an embedding are fed that alone."""
    cells, other = subject.cells, subject.cells.copy()
    other.X = sp.csr_matrix(np.ones(other.shape, dtype=np.float32))
    (one, same), (two, again) = (
        (batch.values, torch.zeros(0) if batch.inputs is None else batch.inputs)
        for batch in (next(iter(subject.model.batches(c, cells.n_obs))) for c in (cells, other))
    )
    return not (torch.equal(one, two) and torch.equal(same, again))


def batches(subject: Subject) -> None:
    """Batches hold all cells in order, at most as many as asked for."""
    n_cells = subject.cells.n_obs
    for size in (1, 2, n_cells, n_cells + 1):
        parts = [batch.cell.tolist() for batch in subject.model.batches(subject.cells, size)]
        if any(len(part) > size for part in parts):
            raise Fails(f"batches of {max(map(len, parts))} cells when at most {size} were asked for")
        if (found := [cell for part in parts for cell in part]) != list(range(n_cells)):
            raise Fails(f"in batches of {size}, cell numbers {found} for {n_cells} cells")


def present(subject: Subject) -> None:
    """Present tokens are the measured genes, each once: all, those expressed, or as many of these as fit."""
    some = subject.cells[:, np.arange(subject.cells.n_vars) % 3 > 0].copy()
    counts, names = sp.csr_matrix(some.X).toarray(), list(subject.model.genes)
    for batch in subject.model.batches(some, some.n_obs):
        row = batch.gene.expand(batch.values.shape)
        if (row < 0).all():
            if batch.values.shape[1] != 1 or not batch.present.all():
                raise Fails(f"a cell is read as a whole, in {batch.values.shape[1]} tokens")
            continue
        if (batch.present & (row < 0)).any():
            raise Fails("tokens that are no gene are marked present")
        room = int(batch.present.sum(1).max())
        for cell, mine, tokens in zip(batch.cell.tolist(), batch.present, row, strict=True):
            named = [names[i] for i in tokens[mine].tolist()]
            _measured_genes(named, list(some.var_names), counts[cell], room)


def _measured_genes(named: Sequence[str], measured: Sequence[str], counts: np.ndarray, room: int) -> None:
    expressed = {gene for gene, count in zip(measured, counts, strict=True) if count > 0}
    if len(set(named)) < len(named):
        raise Fails(f"{len(named) - len(set(named))} genes are present twice in one cell")
    if others := set(named) - set(measured):
        raise Fails(f"{len(others)} genes that were not measured are present, such as {min(others)!r}")
    cut_short = len(named) == room and set(named) < expressed
    if set(named) not in (set(measured), expressed) and not cut_short:
        raise Fails(f"{len(named)} genes are present in a cell, of {len(measured)} measured and {len(expressed)} "
                     "expressed")  # fmt: skip


def shapes(subject: Subject) -> float | None:
    """Residual stream and outputs have their shapes, are finite, and the embedding is the mean over present tokens."""
    batch, out, width = subject.batch, subject.outputs[-1], subject.model.d_model
    cells, tokens = batch.values.shape
    whole = bool((batch.gene < 0).all())
    named = len(subject.model.genes) if whole else int((batch.gene >= 0).sum(-1).max())
    wanted = {"expression": (cells, named), "embedding": (cells, width), "token": (cells, tokens, width),
              "token_logit": (cells, tokens)}  # fmt: skip
    found = {name: getattr(out, name) for name in OUTPUTS if getattr(out, name) is not None}
    found |= {f"residual {layer}": x for layer, x in enumerate(subject.residuals)}
    for name, value in found.items():
        if tuple(value.shape) != wanted.get(name, (cells, tokens, width)):
            raise Fails(f"{name} has shape {tuple(value.shape)}, not {wanted.get(name, (cells, tokens, width))}")
        if not value.isfinite().all():
            raise Fails(f"{name} has {int((~value.isfinite()).sum())} values that are not finite")
    if out.token is None:
        return None
    weight = batch.present.to(out.token.dtype)[..., None]
    return difference(out.embedding, (out.token * weight).sum(1) / weight.sum(1).clamp(min=1))


def cuts(subject: Subject) -> float:
    """Wherever the model is cut, it says the same."""
    if subject.model.n_layers == 1:
        raise HasNoMeaning("one site: there is no second cut to compare with")
    return max(_outputs_differ(subject.outputs[-1], other) for other in subject.outputs[:-1])


def identity(subject: Subject) -> float:
    """An edit that changes nothing changes nothing, and nobody writes into what was handed in."""
    batch, largest = subject.batch, 0.0
    for layer in subject.ends:
        with torch.no_grad():
            x = subject.model.residual(batch, layer)
            before = batch.values.clone(), batch.present.clone(), x.clone()
            given, copied = (subject.model.resume(batch, layer, same) for same in (x, x.clone()))
        if not all(map(torch.equal, before, (batch.values, batch.present, x))):
            raise Fails("resume wrote into the batch or the residual stream that it was given")
        largest = max(largest, _outputs_differ(given, copied))
    return largest


def determinism(subject: Subject) -> float:
    """Asked again, the model says the same."""
    with torch.no_grad():
        again = subject.model.residual(subject.batch, 0)
        out = subject.model.resume(subject.batch, 0, again)
    return max(difference(subject.residuals[0], again), _outputs_differ(subject.outputs[0], out))


def gene_order(subject: Subject) -> float:
    """Columns in another order."""
    cells = subject.cells
    shuffled = cells[:, np.random.default_rng(0).permutation(cells.n_vars)].copy()
    return _readings_differ(subject, shuffled, cells.n_obs)


def batch_size(subject: Subject) -> float:
    """Cells one by one, so that none is filled up, and in batches of unequal size."""
    return max(_readings_differ(subject, subject.cells, size) for size in (1, 2))


def gradients(subject: Subject) -> float:
    """Gradients through ``resume``: finite, true to a difference quotient, and of nothing but the residual stream."""
    model, largest = subject.model, 0.0
    batch = next(iter(model.batches(subject.cells, 1)))  # activations of several blocks are kept: one cell is enough
    with torch.enable_grad():
        x = model.residual(batch, 0)
        if x.requires_grad:
            raise Fails("residual keeps a graph")
        if any(t is not None and t.requires_grad for t in tensors(model.resume(batch, 0, x))):
            raise Fails("resume keeps a graph of its own weights")
    for layer in subject.ends:
        with torch.enable_grad():
            x = model.residual(batch, layer).detach().clone().requires_grad_(True)
            value = _summary(model.resume(batch, layer, x))
            (slope,) = torch.autograd.grad(value, x, allow_unused=True) if value.requires_grad else (None,)
        if slope is None or not slope.any():
            raise Fails(f"no gradient reaches the residual stream after block {layer}")
        if not slope.isfinite().all():
            raise Fails(f"{int((~slope.isfinite()).sum())} gradients after block {layer} are not finite")
        with torch.no_grad():
            step = STEP * x.norm() * slope / slope.norm()
            rise = _summary(model.resume(batch, layer, x + step)) - _summary(model.resume(batch, layer, x - step))
        largest = max(largest, abs(float(rise / (2 * (slope * step).sum())) - 1))
    return largest


def difference(one: Tensor, other: Tensor) -> float:
    """max |one - other| / max |one|; infinite where one of them is not a number and the other is."""
    if one.shape != other.shape:
        raise Fails(f"shapes {tuple(one.shape)} and {tuple(other.shape)} where the same was expected")
    if torch.equal(one, other):
        return 0.0
    difference = float((one.double() - other.double()).abs().max() / one.double().abs().max().clamp(min=1e-12))
    return difference if np.isfinite(difference) else float("inf")


def tensors(out: CellOutput) -> list[Tensor | None]:
    """Everything that an output holds."""
    return [getattr(out, name) for name in OUTPUTS]


def _outputs_differ(one: CellOutput, other: CellOutput) -> float:
    pairs = list(zip(tensors(one), tensors(other), strict=True))
    if any((a is None) != (b is None) for a, b in pairs):
        raise Fails("some outputs are there at one time and missing at another")
    return max(difference(a, b) for a, b in pairs if a is not None and b is not None)


def _summary(out: CellOutput) -> Float[Tensor, ""]:
    """One number that depends on every output, in float64 so that small steps show."""
    generator, total = torch.Generator().manual_seed(0), torch.zeros((), dtype=torch.float64)
    for value in (t.double() for t in tensors(out) if t is not None):
        weights = torch.rand(value.shape, generator=generator, dtype=torch.float64)
        total = total.to(value.device) + (value * weights.to(value.device)).mean()
    return total


def _readings_differ(subject: Subject, cells: AnnData, size: int) -> float:
    """How far results on the same cells, laid out otherwise, are from the subject's own."""
    model, parts = subject.model, []
    last = model.n_layers - 1
    with torch.no_grad():
        for batch in model.batches(cells, size):
            x = model.residual(batch, last)
            parts.append(_reading(model, batch, x, model.resume(batch, last, x)))
    wanted, found = subject.readings, _sorted(parts)
    if not torch.equal(wanted["place"], found["place"]):
        raise Fails("other genes are present in the same cells")
    return max(difference(value, found[name]) for name, value in wanted.items() if name != "place")


def _reading(
    model: CellModel, batch: CellBatch, x: Float[Tensor, "cell token d_model"], out: CellOutput
) -> dict[str, Tensor]:
    """Results of one batch: the embedding a cell, the rest a present token; ``place`` says which cell and gene."""
    gene, present = batch.gene.expand(batch.values.shape), batch.present
    place = batch.cell[:, None] * (len(model.genes) + 1) + gene + 1
    token = {"place": place, "residual": x, "token": out.token, "token_logit": out.token_logit}
    found = {"embedding": out.embedding}
    if out.expression is not None and (gene < 0).all():
        found["expression"] = out.expression
    elif out.expression is not None:
        column = (gene >= 0).cumsum(1).sub(1).clamp(min=0)  # predictions are of the gene tokens in order
        token["expression"] = out.expression.gather(1, column)
    return found | {name: value[present] for name, value in token.items() if value is not None}


def _sorted(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Readings of several batches, present tokens by cell and gene."""
    whole = {name: torch.cat([part[name].cpu() for part in parts]) for name in parts[0]}
    order = whole["place"].argsort()
    return {name: value[order] if len(value) == len(order) else value for name, value in whole.items()}
