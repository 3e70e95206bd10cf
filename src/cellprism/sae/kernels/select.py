"""Which features of each token are kept, and with what values.

Notable choices

- A screen finds the features that could be kept, a slice of tokens at a time; dot products in float32 tell which are,
  and are their values. With ``precision="float32"`` the screen misses none, however it multiplies. With
  ``"bfloat16"`` it may exchange
  features whose pre-activations differ by less than a bfloat16 can tell.
- A token's features come in ascending order, whatever their values.
- What is computed is ``equations.sparse.top_k`` and ``batch_top_k``.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.equations.sparse import Pairs
from cellprism.sae.kernels import k_largest
from cellprism.sae.kernels.product import Precision, slice_of
from cellprism.sae.kernels.rows import pair_scores
from cellprism.sae.kernels.screen import Screen
from cellprism.sae.kernels.threads import run, shares
from cellprism.types import SparseCode

ROW_MARGIN = 0.15  # octaves below what mattered in a row, at which the next row is searched; measured best
BATCH_MARGIN = 0.2  # octaves below ``guess`` at which a batch is searched; going through it again costs far more
SAMPLE = 256  # tokens that a batch's threshold is taken from where there is no guess
POSITIVE = np.finfo(np.float32).smallest_subnormal  # what all positive values reach
OCTAVE = {torch.float32: 1 << 23, torch.bfloat16: 1 << 7}  # from the bits of a value to those of its double


def select_top_k(
    x: Float[Tensor, "token d_model"],
    encoder: Float[Tensor, "feature d_model"],
    b_enc: Float[Tensor, " feature"],
    k: int,
    relu: bool = True,
    precision: Precision = "float32",
) -> SparseCode:
    """The k largest pre-activations x encoder^T + b_enc of each token.

    Args:
        x: vectors, with what the encoder subtracts already subtracted.
        encoder: a row per feature; contiguous rows save a copy.
        b_enc: encoder bias.
        k: features kept at each token; at most the number of features.
        relu: kept values below zero become zero.
        precision: of the product that decides which are kept.
    """
    x, encoder, b_enc = (a.detach().contiguous() for a in (x, encoder, b_enc))
    assert k <= len(encoder), f"k is {k} of {len(encoder)} features"  # the loops would leave values unwritten
    screen = Screen(encoder, b_enc, precision, len(x))
    margin = int(ROW_MARGIN * OCTAVE[screen.dtype])
    places, offsets = _in_slices(lambda part: k_largest.candidates_of_rows(*screen(part), k, margin), x, len(encoder))
    scores = _scores(x, encoder, b_enc, places, offsets)
    values, features = torch.empty(len(x), k), torch.empty(len(x), k, dtype=torch.int64)

    def keep(tokens: slice) -> None:
        here = offsets[tokens.start : tokens.stop + 1]
        k_largest.top_of_candidates(scores, places, here, k, relu, values[tokens].numpy(), features[tokens].numpy())

    run(keep, shares(len(x), 16 * len(places)))
    return SparseCode(values, features, len(encoder))


def select_batch_top_k(
    x: Float[Tensor, "token d_model"],
    encoder: Float[Tensor, "feature d_model"],
    b_enc: Float[Tensor, " feature"],
    k: int,
    precision: Precision = "float32",
    guess: float | None = None,
) -> tuple[Pairs, float]:
    """The token x k largest pre-activations of a batch, wherever they are; only positive ones, so maybe fewer.

    Args:
        x: vectors, with what the encoder subtracts already subtracted.
        encoder: a row per feature; contiguous rows save a copy.
        b_enc: encoder bias.
        k: features kept per token, on average.
        precision: of the product that decides which are kept.
        guess: about the smallest value that will be kept, such as the last batch's. It changes only the time that this
            takes: where too few values reach it, the batch is gone through again.

    Returns: The code, and the smallest value that was kept; 0 where none was.
    """
    x, encoder, b_enc = (a.detach().contiguous() for a in (x, encoder, b_enc))
    screen, wanted = Screen(encoder, b_enc, precision, len(x)), len(x) * k
    bars = _bars(x, screen, k, guess)
    while True:
        bar = next(bars)
        (places, lower, upper), offsets = _in_slices(
            lambda part, bar=bar: k_largest.candidates_of_batch(*screen(part), bar), x, len(encoder)
        )
        if bar == POSITIVE or np.count_nonzero(lower >= k_largest.key_of(bar)) >= wanted:
            break
    key = k_largest.kth_largest(lower, len(lower), wanted) if len(lower) >= wanted else k_largest.key_of(POSITIVE)
    possible = upper >= key
    places, offsets = places[possible], np.append(0, possible.cumsum())[offsets]
    scores = _scores(x, encoder, b_enc, places, offsets)
    values, features, starts = np.empty(wanted, np.float32), np.empty(wanted, np.int64), np.empty(len(x), np.int64)
    total = k_largest.top_of_batch(scores, places, offsets, wanted, values, features, starts)
    kept = torch.from_numpy(values[:total])
    pairs = Pairs(kept, torch.from_numpy(features[:total]), torch.from_numpy(starts), len(encoder))
    return pairs, float(kept.min()) if total else 0.0


def _bars(x: Float[Tensor, "token d_model"], screen: Screen, k: int, guess: float | None) -> Iterator[np.float32]:
    """Ever lower values that enough pre-activations of a batch may reach; in the end all positive ones do."""
    if guess is not None and guess > 0:
        yield np.float32(guess * 2**-BATCH_MARGIN)
    sample = x[:: max(1, len(x) // SAMPLE)]
    h = screen.product(sample.to(screen.dtype)).float().flatten()
    likely = float(h.kthvalue(max(1, len(h) - len(sample) * k)).values)
    if likely > 0:
        yield np.float32(likely * 2**-ROW_MARGIN)
    yield POSITIVE


def _in_slices(
    search_rows: Callable[[Tensor], tuple[np.ndarray, np.ndarray]], x: Float[Tensor, "token d_model"], n_features: int
) -> tuple[np.ndarray, np.ndarray]:
    """What a search of some tokens finds [..., candidate], and where each token's begin and the last one's end."""
    size = slice_of(n_features)
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def search_slice(start: int) -> None:
        found[start] = search_rows(x[start : start + size])

    starts = range(0, max(1, len(x)), size)  # one slice even of no tokens
    run(search_slice, starts, with_torch=True)
    parts = [found[start] for start in starts]
    counts = [np.diff(offsets) for _, offsets in parts]
    return np.concatenate([what for what, _ in parts], axis=-1), np.append(0, np.concatenate(counts).cumsum())


def _scores(
    x: Float[Tensor, "token d_model"],
    encoder: Float[Tensor, "feature d_model"],
    b_enc: Float[Tensor, " feature"],
    places: np.ndarray,
    offsets: np.ndarray,
) -> np.ndarray:
    """Pre-activations of candidates, in float32."""
    scores, rows, weights, biases = np.empty(len(places), np.float32), x.numpy(), encoder.numpy(), b_enc.numpy()

    def score(tokens: slice) -> None:
        here = offsets[tokens.start : tokens.stop + 1]
        pair_scores(rows[tokens], weights, biases, places, here, scores)

    run(score, shares(len(x), len(places) * x.shape[1]))
    return scores
