"""The trained dictionary beside fair ones, where it is known which should win."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from cellprism.features.dictionaries import TokenSample
from cellprism.sae.config import SaeConfig
from cellprism.sae.fit import fit_sae
from cellprism.studies.fit.beside import beside, stream_of
from cellprism.studies.fit.claims import claims
from cellprism.studies.fit.page import section

D, ATOMS, ACTIVE = 24, 96, 3


def superposed(n: int, seed: int) -> torch.Tensor:
    """Vectors of three of 96 directions in 24 dimensions."""
    atoms = normalize(torch.randn(ATOMS, D, generator=torch.Generator().manual_seed(0)), dim=1)
    generator = torch.Generator().manual_seed(seed)
    which = torch.rand(n, ATOMS, generator=generator).topk(ACTIVE, dim=1).indices
    return (atoms[which] * (0.5 + torch.rand(n, ACTIVE, 1, generator=generator))).sum(dim=1)


def flat(n: int, seed: int) -> torch.Tensor:
    """Vectors of three dimensions, and a little noise in the other 21."""
    basis = torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(0)))[0]
    scale = torch.full((D,), 0.02)
    scale[:3] = 1.0
    return torch.randn(n, D, generator=torch.Generator().manual_seed(seed)) * scale @ basis


def measured(make, k: int):
    """The trained dictionary beside the others, and the stream."""
    config = SaeConfig(k=k, n_features=ATOMS, learning_rate=3e-3)
    sae = fit_sae([make(512, 100 + i) for i in range(300)], config, D, steps=300)
    atoms, judged = (
        TokenSample(make(n, seed), torch.zeros(n, dtype=torch.long), torch.arange(n) // 20)
        for n, seed in ((2_000, 1), (1_000, 2))
    )
    return beside(sae, atoms, judged, 39, 0), stream_of(atoms)


def with_numbers(page, found):
    fair, stream = found
    fit = page.found["fit"]
    fit = replace(fit, measures=replace(fit.measures, fair=fair, stream=stream))
    said = claims(fit, page.context)
    drawn = section(fit, said, page.context)
    return said[0], " ".join([drawn.method, *(table.caption for table in drawn.tables)])


@pytest.mark.slow
def test_many_more_atoms_than_dimensions_are_learned_beyond_every_fair_control(page):
    found = measured(superposed, ACTIVE)
    fair, stream = found
    assert stream.effective > 0.7 * D
    assert all(row.explained < fair.trained - 0.05 for row in fair.rows)
    assert all(row.p == pytest.approx(0.05) for row in fair.rows)
    claim, words = with_numbers(page, found)
    assert claim.verdict == "above chance"
    assert "superposition" in words


@pytest.mark.slow
def test_a_stream_of_three_dimensions_needs_no_training_and_the_page_says_so(page):
    found = measured(flat, 6)
    fair, stream = found
    assert stream.effective == pytest.approx(3, abs=0.2)
    assert (stream.width, stream.components_90, stream.components_99) == (D, 3, 3)
    assert fair.best.explained >= fair.trained
    claim, words = with_numbers(page, found)
    assert claim.verdict != "above chance"
    assert "fills about 3.0 of its 24 dimensions" in words
    assert "superposition" not in words


def test_the_hardest_control_is_the_one_that_is_judged_against(page):
    fit = page.found["fit"]
    fair = fit.measures.fair
    assert fair.best.kind == "tokens"
    claim = page.claims["sae-explained-variance"]
    assert (claim.value, claim.null.value, claim.null.p, claim.null.draws) == (0.92, 0.81, 0.05, 39)
    easier = replace(fair, rows=[replace(row, draws=38) for row in fair.rows])
    assert claims(replace(fit, measures=replace(fit.measures, fair=easier)), page.context)[0].verdict == (
        "cannot be told here"
    )


def test_loss_recovered_stands_beside_the_better_of_untrained_and_fair(page):
    claim = page.claims["sae-loss-recovered"]
    assert (claim.null.name, claim.null.value) == ("vectors of the inner state as directions", 0.72)


def test_where_tokens_do_not_vary_nothing_is_compared(page):
    sae = fit_sae([flat(512, 7)] * 3, SaeConfig(k=3, n_features=ATOMS), D, steps=3)
    some = TokenSample(flat(40, 1), torch.zeros(40, dtype=torch.long), torch.arange(40) // 20)
    equal = some._replace(x=some.x[:1].expand(40, D))
    assert beside(sae, some, equal, 3, 0) is None
    found = None, stream_of(equal)
    assert (found[1].effective, found[1].components_90) == (0, 0)
    claim, _ = with_numbers(page, found)
    assert claim.verdict == "cannot be told here"
    assert "tokens that do not vary" in claim.why
