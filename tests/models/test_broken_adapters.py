"""The suite fails one broken adapter for each promise of the protocol."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from anndata import AnnData

from cellprism.models.aido.model import AidoCell
from cellprism.models.conformance import CHECKS, FAILS, conformance
from models.adapters import (
    CELLS,
    GENES,
    ExpressedGenes,
    a_block_twice,
    blood_cells,
    broken,
    failing,
    not_finite,
    promises,
)


@pytest.fixture(scope="module")
def cells() -> AnnData:
    return blood_cells()


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"n_layers": 0}, "n_layers = '0'"),
        ({"licence": None}, "licence = 'None'"),
        ({"card": "a model"}, "card = 'a model'"),
        ({"resume": 3}, "resume = '3'"),
        ({"tokens": "cell"}, "tokens = 'cell'"),
        ({"predicts": None}, "predicts = 'None'"),
    ],
)
def test_a_member_of_another_kind_fails_and_nothing_else_runs(cells, members, words):
    model = ExpressedGenes(cells)
    for name, value in members.items():
        setattr(model, name, value)
    (outcome,) = conformance(model, cells)
    assert (outcome.check, outcome.verdict) == ("members", FAILS)
    assert words in outcome.words


def drop_unknown(model, adata, size):
    known = [gene in model.genes for gene in adata.var_names]
    return AidoCell.batches(model, adata[:, known].copy(), size)


def test_genes_that_vanish_silently_fail(cells):
    assert failing(broken(promises(cells), batches=drop_unknown), cells) == {"genes"}


def test_a_gene_list_that_repeats_or_contradicts_itself_fails(cells):
    model = promises(cells)
    model.genes = (*model.genes[:-1], model.genes[3])
    assert "genes" in failing(model, cells)
    model = promises(cells)
    model.genes = (*model.genes[:-1], "ZZZ4")
    assert failing(model, cells) == {"genes"}


def test_cells_that_do_not_fit_the_genes_fail(cells):
    model = promises(cells)
    stranger = cells[:, :1].copy()
    stranger.var_names = ["not a gene of it"]
    outcome = next(o for o in conformance(model, stranger) if o.check == "genes")
    assert "'not a gene of it'" in outcome.words


def without_the_last(model, adata, size):
    parts = list(AidoCell.batches(model, adata, size))
    return iter(parts if len(parts) == 1 else parts[:-1])


def numbered_anew(model, adata, size):
    return (replace(b, cell=torch.arange(len(b.cell))) for b in AidoCell.batches(model, adata, size))


def twice_as_large(model, adata, size):
    return AidoCell.batches(model, adata, 2 * size)


@pytest.mark.parametrize("batches", [without_the_last, numbered_anew, twice_as_large])
def test_lost_renumbered_or_oversized_batches_fail(cells, batches):
    assert "batches" in failing(broken(promises(cells), batches=batches), cells)


def all_present(model, adata, size):
    return (replace(b, present=torch.ones_like(b.present)) for b in AidoCell.batches(model, adata, size))


def genes_present(model, adata, size):
    return (replace(b, present=(b.gene >= 0).expand(b.values.shape)) for b in AidoCell.batches(model, adata, size))


def one_gene_short(model, adata, size):
    for b in AidoCell.batches(model, adata, size):
        present = b.present.clone()
        present[:, 5] = False
        yield replace(b, present=present)


def doubled(model, adata, size):
    for b in AidoCell.batches(model, adata, size):
        gene = b.gene.clone()
        gene[3] = gene[2]
        yield replace(b, gene=gene)


@pytest.mark.parametrize(
    ("batches", "gene_subset", "words"),
    [
        (all_present, True, "tokens that are no gene are marked present"),
        (genes_present, False, "genes that were not measured are present"),
        (one_gene_short, True, "35 measured"),
        (doubled, True, "1 genes are present twice"),
    ],
)
def test_a_present_mask_that_covers_too_much_or_too_little_fails(cells, batches, gene_subset, words):
    model = broken(promises(cells, gene_subset=gene_subset), batches=batches)
    outcome = next(o for o in conformance(model, cells) if o.check == "present tokens")
    assert outcome.verdict == FAILS
    assert words in outcome.words


def test_a_whole_cell_in_two_tokens_fails(cells):
    def batches(model, adata, size):
        return (replace(b, gene=torch.full_like(b.gene, -1)) for b in AidoCell.batches(model, adata, size))

    assert "present tokens" in failing(broken(promises(cells), batches=batches), cells)


def mean_over_all_tokens(model, batch, layer, x):
    out = AidoCell.resume(model, batch, layer, x)
    return replace(out, embedding=out.token.mean(1))


def one_column_short(model, batch, layer, x):
    out = AidoCell.resume(model, batch, layer, x)
    return replace(out, expression=out.expression[:, 1:])


@pytest.mark.parametrize(
    ("resume", "words"),
    [
        (mean_over_all_tokens, "results differ by"),
        (not_finite, "values that are not finite"),
        (one_column_short, f"expression has shape ({CELLS}, {GENES - 1}), not ({CELLS}, {GENES})"),
    ],
)
def test_outputs_of_another_shape_not_finite_or_wrongly_pooled_fail(cells, resume, words):
    outcomes = {o.check: o for o in conformance(broken(promises(cells), resume=resume), cells)}
    assert outcomes["outputs"].verdict == FAILS
    assert words in outcomes["outputs"].words


def deaf(model, batch, layer, x):
    return AidoCell.resume(model, batch, model.n_layers - 1, torch.zeros_like(x))


def test_a_block_that_runs_twice_fails_at_the_cuts_alone(cells):
    outcomes = {o.check: o for o in conformance(broken(promises(cells), resume=a_block_twice), cells)}
    at_all = {"same at every cut", "some genes"}  # resume_at is as it was, and so another function
    assert {name for name, o in outcomes.items() if o.verdict == FAILS} == at_all
    assert outcomes["same at every cut"].deviation > 0
    assert outcomes["same at every cut"].tolerance == 0
    assert "bit for bit" in outcomes["same at every cut"].words


def test_a_difference_of_one_bit_fails_at_the_cuts(cells):
    def resume(model, batch, layer, x):
        out = AidoCell.resume(model, batch, layer, x)
        return replace(out, embedding=out.embedding.nextafter(torch.tensor(torch.inf))) if layer == 1 else out

    outcome = next(o for o in conformance(broken(promises(cells), resume=resume), cells) if "cut" in o.check)
    assert outcome.verdict == FAILS
    assert 0 < outcome.deviation < 1e-6


def in_place(model, batch, layer, x):
    return AidoCell.resume(model, batch, layer, x.mul_(1.01))


def keeps_the_last_object(model, batch, layer, x):
    kept = model.__dict__.setdefault("kept", {})
    if id(x) not in kept:
        kept[id(x)] = (x, len(kept))
    out = AidoCell.resume(model, batch, layer, x)
    return replace(out, embedding=out.embedding + kept[id(x)][1])


@pytest.mark.parametrize("resume", [in_place, keeps_the_last_object])
def test_writing_into_the_input_or_knowing_it_by_identity_fails(cells, resume):
    assert "identity edit" in failing(broken(promises(cells), resume=resume), cells)


def test_dropout_fails(cells):
    def residual(model, batch, layer):
        return torch.nn.functional.dropout(AidoCell.residual(model, batch, layer), 0.1)

    assert "determinism" in failing(broken(promises(cells), residual=residual), cells)


def columns_by_place(model, adata, size):
    inorder = adata.copy()
    inorder.var_names = [
        *(g for g in model.genes if g in adata.var_names),
        *set(adata.var_names).difference(model.genes),
    ]
    return AidoCell.batches(model, inorder, size)


def test_genes_by_place_instead_of_name_fail_at_the_order_of_genes(cells):
    model = broken(promises(cells, gene_subset=False), batches=columns_by_place)
    assert failing(model, cells) == {"gene order"}


def test_ties_in_the_order_of_columns_fail_at_the_order_of_genes(cells):
    model = ExpressedGenes(cells)
    model.ties_by_gene = False
    assert failing(model, cells) == {"gene order"}


def test_padding_that_takes_part_fails(cells):
    model = ExpressedGenes(cells)
    model.own_tokens_only = False
    assert failing(model, cells) == {"batch size, padding"}


def test_statistics_over_a_batch_fail(cells):
    def residual(model, batch, layer):
        x = AidoCell.residual(model, batch, layer)
        return x - x.mean(0, keepdim=True)

    assert failing(broken(promises(cells), residual=residual), cells) >= {"batch size, padding"}


def without_gradient(model, batch, layer, x):
    with torch.no_grad():
        return AidoCell.resume(model, batch, layer, x)


def half_detached(model, batch, layer, x):
    return AidoCell.resume(model, batch, layer, x / 2 + x.detach() / 2)


def infinite_slope(model, batch, layer, x):
    out = AidoCell.resume(model, batch, layer, x)
    return replace(out, embedding=out.embedding + (x - x.detach()).pow(2).sum((1, 2)).sqrt()[:, None])


@pytest.mark.parametrize(
    ("resume", "words"),
    [
        (without_gradient, "no gradient reaches the residual stream after block 0"),
        (half_detached, "results differ by 1 of the largest value"),
        (infinite_slope, "are not finite"),
        (deaf, "no gradient reaches"),
    ],
)
def test_missing_wrong_and_infinite_gradients_fail(cells, resume, words):
    outcomes = {o.check: o for o in conformance(broken(promises(cells), resume=resume), cells)}
    at_all = {"gradients"} | ({"some genes"} if resume is deaf else set())
    assert {name for name, o in outcomes.items() if o.verdict == FAILS} == at_all
    assert words in outcomes["gradients"].words


def test_weights_that_learn_along_fail(cells):
    model = promises(cells).requires_grad_(True)
    outcome = next(o for o in conformance(model, cells) if o.check == "gradients")
    assert "residual keeps a graph" in outcome.words
    frozen = promises(cells)
    frozen.head.requires_grad_(True)
    outcome = next(o for o in conformance(frozen, cells) if o.check == "gradients")
    assert "resume keeps a graph of its own weights" in outcome.words


def test_every_check_has_failed_here_or_among_the_abilities():
    here = Path(__file__)
    text = "".join(path.read_text(encoding="utf-8") for path in (here, here.with_name("test_broken_abilities.py")))
    assert [c.name for c in CHECKS if f'"{c.name}"' not in text] == []
