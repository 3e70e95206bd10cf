"""Work on several threads: the same results, the caller's settings, errors that arrive."""

import os
import threading

import pytest
import torch

from cellprism.equations.sparse import pairs_of
from cellprism.sae.kernels.adam import adam
from cellprism.sae.kernels.backward import errors, gradients, through_encoder
from cellprism.sae.kernels.select import select_batch_top_k, select_top_k
from cellprism.sae.kernels.threads import run, shares

TOKENS, D_MODEL, FEATURES, K = 97, 13, 41, 5


def _step(precision: str) -> list[torch.Tensor]:
    """Everything that a training step makes."""
    generator = torch.Generator().manual_seed(0)
    shapes = (TOKENS, D_MODEL), (FEATURES, D_MODEL), (FEATURES,), (FEATURES, D_MODEL)
    x, encoder, b_enc, decoder = (torch.randn(shape, generator=generator) for shape in shapes)
    pairs = pairs_of(select_top_k(x, encoder, b_enc, K, True, precision))
    batch, _ = select_batch_top_k(x, encoder, b_enc, K, precision)
    made = [*pairs[:3], *batch[:3]]
    for code, ends in ((pairs, ()), (batch, (11, FEATURES))):
        e = errors(code, decoder, x, 0.1, True, ends)
        learned = gradients(code, e, x, ends)
        made += [*e, *learned.gradients, learned.upstream, learned.fired]
        made += [through_encoder(learned.gradients.b_enc, encoder)]
    moments = torch.zeros_like(decoder), torch.zeros_like(decoder)
    adam(decoder, made[-2 - 2], *moments, step=1, learning_rate=0.1, tangential=True, unit_norm=True)
    return [*made, decoder, *moments]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_results_are_the_same_bits_on_any_number_of_threads(precision, many_pieces, torch_threads):
    made = []
    for threads in (1, 2, 3):
        torch_threads(threads)
        made.append(_step(precision))
    for several in made[1:]:
        assert all(torch.equal(a, b) for a, b in zip(made[0], several, strict=True))


@pytest.mark.parametrize("threads", [1, 3])
def test_every_piece_is_done_once(threads, torch_threads):
    torch_threads(threads)
    done: list[int] = []
    run(done.append, range(100))
    assert sorted(done) == list(range(100))


def test_the_number_of_threads_stays_the_callers(torch_threads):
    torch_threads(3)
    inside, later = [], []
    run(lambda _: inside.append(torch.get_num_threads()), range(9))
    after = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    after.start()
    after.join()
    assert inside == [1] * 9
    assert torch.get_num_threads() == 3
    assert later == [3]


def test_an_error_in_a_piece_arrives_and_work_goes_on_afterwards(torch_threads):
    torch_threads(2)

    def fail_at_three(number: int) -> None:
        if number == 3:
            raise ZeroDivisionError("three")

    with pytest.raises(ZeroDivisionError, match="three"):
        run(fail_at_three, range(9))
    done: list[int] = []
    run(done.append, range(9))
    assert len(done) == 9


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_starts_threads_of_its_own(torch_threads):
    torch_threads(2)
    run(lambda _: None, range(9))
    child = os.fork()
    if child == 0:
        done: list[int] = []
        run(done.append, range(9))
        os._exit(0 if len(done) == 9 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_shares_cover_everything_and_do_not_depend_on_threads(torch_threads):
    for count, work in ((0, 0), (1, 10**12), (7, 10**12), (1000, 10**7), (1000, 1)):
        cut = shares(count, work)
        assert [i for part in cut for i in range(part.start, part.stop)] == list(range(count))
        torch_threads(3)
        assert shares(count, work) == cut
        torch_threads(1)
    assert len(shares(1000, 1)) == 1
    assert len(shares(1000, 10**12)) > 8
