"""Which features of each token are kept, and with what values.

Notable choices

- With ``precision="bfloat16"`` a product of half the size decides which features are kept; their values are then dot
  products in float32. Features whose pre-activations differ by less than a bfloat16 can tell may be exchanged.
- A token's features come in ascending order, whatever their values.
- What is computed is ``equations.sparse.top_k`` and, for whole batches, BatchTopK of Bussmann, Leask and Nanda 2024.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from cellprism.equations.sparse import Pairs
from cellprism.sae.kernels import search
from cellprism.sae.kernels.product import Precision, Product
from cellprism.sae.kernels.rows import pair_scores
from cellprism.sae.kernels.threads import run, shares
from cellprism.types import SparseCode

PREACTIVATIONS = 1 << 21  # made at once by a thread: few enough to be searched in cache
ROW_MARGIN = 0.15  # octaves below a row's k-th value at which the next row is searched; measured best
BATCH_MARGIN = 0.07  # octaves below ``guess`` at which a batch is searched
SAMPLE = 256  # tokens that a batch's threshold is taken from where there is no guess
BITS = {torch.float32: torch.int32, torch.bfloat16: torch.int16}
OCTAVE = {torch.float32: 1 << 23, torch.bfloat16: 1 << 7}  # from a value's bits to those of its double


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
        encoder: a row per feature.
        b_enc: encoder bias.
        k: features kept at each token; at most the number of features.
        relu: kept values below zero become zero.
        precision: of the product that decides which are kept.
    """
    product = Product(encoder, b_enc, precision)
    features = torch.empty(len(x), k, dtype=torch.int64)
    values = torch.empty(len(x), k)
    exact = product.dtype == torch.float32
    margin = int(ROW_MARGIN * OCTAVE[product.dtype])

    def search_slice(tokens: slice) -> None:
        bits = _bits(product(x[tokens]))
        kept = _bits(values[tokens]) if exact else np.empty((len(bits), k), bits.dtype)
        search.top_k_rows(bits, k, margin, kept, features[tokens].numpy())
        if exact and relu:
            values[tokens].relu_()

    run(search_slice, _slices(x, product), with_torch=True)
    if not exact:
        _score(x, encoder, b_enc, features.flatten(), np.arange(len(x) + 1) * k, relu, values.flatten())
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
        encoder: a row per feature.
        b_enc: encoder bias.
        k: features kept per token, on average.
        precision: of the product that decides which are kept.
        guess: about the smallest value that will be kept, such as the last batch's. It changes only the time that this
            takes: where too few values reach it, the batch is gone through again.

    Returns: The code, and the smallest value that was kept, in ``precision``; 0 where none was.
    """
    product = Product(encoder, b_enc, precision)
    for threshold in _thresholds(x, product, k, guess):
        keys, places, counts = _reaching(x, product, threshold)
        if len(keys) >= len(x) * k:
            break
    total = min(len(x) * k, len(keys))
    features, offsets = np.empty(total, np.int64), np.zeros(len(x) + 1, np.int64)
    kept = np.empty(total, keys.dtype)
    if total:
        search.largest_of_all(keys, places, counts, total, kept, features, offsets)
    values = torch.from_numpy(kept).view(product.dtype)
    smallest = float(values.min()) if total else 0.0
    features = torch.from_numpy(features)
    if product.dtype != torch.float32:
        values = torch.empty(total)
        _score(x, encoder, b_enc, features, offsets, True, values)
    return Pairs(values, features, torch.from_numpy(offsets[:-1]), len(encoder)), smallest


def _thresholds(x: Float[Tensor, "token d_model"], product: Product, k: int, guess: float | None) -> Iterator[int]:
    """Bits of ever lower values from which to collect a batch's largest; the last collects all positive ones."""
    octave = OCTAVE[product.dtype]
    if guess is not None:
        yield max(1, _bits_of(guess, product.dtype) - int(BATCH_MARGIN * octave))
    sample = product(x[:: max(1, len(x) // SAMPLE)]).float()
    likely = float(sample.flatten().kthvalue(max(1, sample.numel() - len(sample) * k)).values)
    if likely > 0:
        yield max(1, _bits_of(likely, product.dtype) - int(ROW_MARGIN * octave))
    yield 1


def _reaching(
    x: Float[Tensor, "token d_model"], product: Product, threshold: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pre-activations that reach a threshold: their keys and features, token after token, and how many a token."""
    parts = _slices(x, product)
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    counts = np.empty(len(x), np.int32)

    def collect(tokens: slice) -> None:
        bits = _bits(product(x[tokens]))
        search.count_reaching(bits, threshold, counts[tokens])
        total = counts[tokens].sum()
        keys, places = np.empty(total, bits.dtype), np.empty(total, np.int32)
        search.collect_rows(bits, threshold, keys, places)
        found[tokens.start] = keys, places

    run(collect, parts, with_torch=True)
    keys, places = zip(*(found[tokens.start] for tokens in parts), strict=True)
    return np.concatenate(keys), np.concatenate(places), counts


def _score(
    x: Float[Tensor, "token d_model"],
    encoder: Float[Tensor, "feature d_model"],
    b_enc: Float[Tensor, " feature"],
    features: Int[Tensor, " pair"],
    offsets: np.ndarray,
    relu: bool,
    values: Float[Tensor, " pair"],
) -> None:
    """Write the pre-activations of some pairs, in float32; pairs of token t are offsets[t] to offsets[t + 1]."""
    arrays = [a.detach().contiguous().numpy() for a in (x, encoder, b_enc)]

    def score(tokens: slice) -> None:
        pair_scores(*arrays, features.numpy(), offsets, relu, tokens.start, tokens.stop, values.numpy())

    run(score, shares(len(x), len(values) * x.shape[1]))


def _slices(x: Float[Tensor, "token d_model"], product: Product) -> list[slice]:
    """Tokens whose pre-activations one thread makes at once: a power of two, at most ``PREACTIVATIONS`` numbers."""
    most = max(1, PREACTIVATIONS // len(product.bias))
    size = min(1024, 1 << (most.bit_length() - 1))
    return [slice(start, min(start + size, len(x))) for start in range(0, len(x), size)]


def _bits(h: Shaped[Tensor, "token feature"]) -> np.ndarray:
    """The bits of some floats, in place, as whole numbers of the same width."""
    return h.view(BITS[h.dtype]).numpy()


def _bits_of(value: float, dtype: torch.dtype) -> int:
    return int(torch.tensor(value, dtype=dtype).view(BITS[dtype]))
