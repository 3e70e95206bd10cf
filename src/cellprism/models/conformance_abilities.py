"""What the conformance checks do about abilities that a model may have: what has not got them is not asked.

Each works as those of ``conformance_checks`` do.
"""

from dataclasses import replace

import torch

from cellprism.models.conformance_checks import Fails, HasNoMeaning, Subject, difference, tensors
from cellprism.types import HidesGenes, MovesToDevice, PlansPasses, ReadsSeveralLayers, ReadsSomeGenes, RunsBetween


def several(subject: Subject) -> float:
    """``residuals``, where the model has it, is ``residual`` several times."""
    model, n_layers = subject.model, subject.model.n_layers
    if not isinstance(model, ReadsSeveralLayers):
        raise HasNoMeaning("this model has no residuals(batch, layers), which is optional")
    layers = list(range(n_layers))
    with torch.no_grad():
        found = list(model.residuals(subject.batch, layers))
    if len(found) != len(layers):
        raise Fails(f"{len(found)} residual streams for {len(layers)} layers")
    return max(map(difference, subject.residuals, found))


def between_blocks(subject: Subject) -> float:
    """``between``, where the model has it, leads from each residual stream to every later one."""
    model = subject.model
    if not isinstance(model, RunsBetween):
        raise HasNoMeaning("this model has no between(batch, layer, x, to), which is optional")
    with torch.no_grad():
        return max(
            difference(later, model.between(subject.batch, layer, x, layer + ahead))
            for layer, x in enumerate(subject.residuals)
            for ahead, later in enumerate(subject.residuals[layer:])
        )


def some_genes(subject: Subject) -> float:
    """``resume_at``, where the model has it, is ``resume`` at the tokens asked for, in their order."""
    model, batch = subject.model, subject.batch
    if not isinstance(model, ReadsSomeGenes):
        raise HasNoMeaning("this model has no resume_at(batch, layer, x, tokens), which is optional")
    if subject.outputs[-1].expression is None:
        raise HasNoMeaning("this model's output has no expression")
    genes = (batch.gene >= 0).nonzero()[:, 0]
    columns = torch.arange(len(genes), device=genes.device).flip(0)[::3]
    found = []
    with torch.no_grad():
        for layer, (x, whole) in enumerate(zip(subject.residuals, subject.outputs, strict=True)):
            said = model.resume_at(batch, layer, x, genes[columns]).expression
            if said is None or whole.expression is None:
                raise Fails("resume_at gives no expression, and resume does")
            found.append(difference(whole.expression[:, columns], said))
            if bool(batch.present[:, genes].sum() == batch.present.sum()):
                found.append(difference(whole.embedding, model.resume_at(batch, layer, x, genes).embedding))
    return max(found)


def masking(subject: Subject) -> float:
    """``mask``, where the model has it: what a hidden gene's value was cannot be told from the results."""
    model, batch = subject.model, subject.batch
    if not isinstance(model, HidesGenes):
        raise HasNoMeaning("this model has no mask(batch, hidden), which is optional")
    hidden = batch.present & (torch.arange(batch.values.shape[1], device=batch.values.device) % 3 == 0)
    before, other = batch.values.clone(), batch.values.masked_fill(hidden, float(batch.values.max()) + 1)
    masked, again = model.mask(batch, hidden), model.mask(replace(batch, values=other), hidden)
    if not torch.equal(batch.values, before):
        raise Fails("mask wrote into the batch that it was given")
    same = [torch.equal(getattr(masked, name), getattr(batch, name)) for name in ("gene", "present", "cell")]
    if not all(same) or not torch.equal(masked.values[~hidden], batch.values[~hidden]):
        raise Fails("mask changed more of the batch than the values of hidden tokens")
    with torch.no_grad():
        narrow = replace(masked, present=batch.present & ~hidden)
        seen, one, two, narrowed = (subject.model.residual(b, 0) for b in (batch, masked, again, narrow))
    if torch.equal(one[hidden], seen[hidden]):
        raise Fails("hidden genes are read as before")
    if not torch.equal(narrowed, one):
        raise Fails("the residual stream depends on which tokens a caller calls present")
    return difference(one, two)


def planning(subject: Subject) -> None:
    """``plan``, where the model has it: it counts the tokens that there are, and grows with what is free."""
    model = subject.model
    if not isinstance(model, PlansPasses):
        raise HasNoMeaning("this model has no plan(n_genes, ...), which is optional: fixed numbers of cells are read")
    plans = [model.plan(subject.cells.n_vars, free=free) for free in (1, 10**8, 10**12)]
    if plans[0].tokens != subject.batch.values.shape[1]:
        raise Fails(f"{plans[0].tokens} tokens a cell are planned, and batches makes {subject.batch.values.shape[1]}")
    cells = [plan.cells for plan in plans]
    if cells[0] != 1 or cells != sorted(cells) or cells[-1] == 1:
        raise Fails(f"{cells} cells a pass for 1 byte, 0.1 GB and 1,000 GB")


def one_device(subject: Subject) -> float:
    """Everything lies where the model does; moved to where it is, it says the same."""
    model, batch = subject.model, subject.batch
    found = {str(t.device) for t in (batch.values, *subject.residuals, *tensors(subject.outputs[-1])) if t is not None}
    if len(found) > 1:
        raise Fails(f"batches, residual streams and outputs lie on {' and '.join(sorted(found))}")
    if not isinstance(model, MovesToDevice):
        raise HasNoMeaning("this model has no to(device), which is optional: it stays where it is")
    if model.to(batch.values.device) is not model:
        raise Fails("to(device) returns another object than the model")
    with torch.no_grad():
        again = next(iter(subject.model.batches(subject.cells, subject.cells.n_obs)))
        return difference(subject.residuals[-1], subject.model.residual(again, subject.model.n_layers - 1))
