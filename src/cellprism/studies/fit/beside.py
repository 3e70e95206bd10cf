"""The stream's effective dimension, and the trained dictionary beside fair ones of its size."""

import numpy as np
import torch
from jaxtyping import Int

from cellprism.equations.effects import permutation_p
from cellprism.features.dictionaries import (
    KINDS,
    Kind,
    TokenSample,
    control_dictionary,
    eigenvalues,
    explained,
    sampled_tokens,
    trained_dictionary,
)
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.studies.fit.tables import Beside, FairControl, Stream

CELLS = 400  # at most, half of which give atoms and half judge
ATOM_TOKENS, JUDGED_TOKENS = 8192, 2048  # about; more to take atoms from where the dictionary is wider


def halves(tokens: CellTokens, sae: SparseAutoencoder, seed: int) -> tuple[TokenSample, TokenSample]:
    """Tokens of some cells to take atoms from, and of others to judge on; the same cells where there is only one."""
    cells = np.random.default_rng([seed, 29]).permutation(np.flatnonzero(tokens.counts))[:CELLS]
    half = -(-len(cells) // 2)
    return halves_of(tokens, sae, np.sort(cells[:half]), np.sort(cells[half:] if half < len(cells) else cells), seed)


def halves_of(
    tokens: CellTokens,
    sae: SparseAutoencoder,
    giving: Int[np.ndarray, " some"],
    judging: Int[np.ndarray, " other"],
    seed: int,
) -> tuple[TokenSample, TokenSample]:
    """``halves`` of the cells named, in ascending order."""

    def of(some: Int[np.ndarray, " some"], wanted: int) -> TokenSample:
        return sampled_tokens(tokens, sae, some, -(-wanted // len(some)), seed)

    return of(giving, max(ATOM_TOKENS, 2 * sae.n_features)), of(judging, JUDGED_TOKENS)


def stream_of(sample: TokenSample) -> Stream:
    """How many dimensions some tokens fill; none where they do not vary."""
    values = eigenvalues(sample).double().cpu().numpy()
    if not sample.varies:
        return Stream(len(values), 0.0, 0, 0)
    whole = values.sum()
    held = np.cumsum(values) / whole
    needed = [int(np.searchsorted(held, share) + 1) for share in (0.9, 0.99)]
    return Stream(len(values), float(whole**2 / (values**2).sum()), *needed)


@torch.no_grad()
def beside(sae: SparseAutoencoder, atoms: TokenSample, judged: TokenSample, draws: int, seed: int) -> Beside | None:
    """The decoder's directions and fair ones, all used by the same pursuit, on the judged tokens; None for a
    transcoder, and where tokens do not vary."""
    if sae.is_transcoder or not (atoms.varies and judged.varies):
        return None
    ours = trained_dictionary(sae)
    trained = explained(ours, judged)
    rows = [_row(kind, trained, sae, atoms, judged, draws, seed) for kind in KINDS]
    hardest = max(range(len(rows)), key=lambda i: rows[i].explained)
    assert ours.k is not None, "pursuits have a number of steps"
    return Beside(ours.k, len(judged.x), len(judged.cell.unique()), trained, rows, hardest)


def _row(
    kind: Kind, trained: float, sae: SparseAutoencoder, atoms: TokenSample, judged: TokenSample, draws: int, seed: int
) -> FairControl:
    found = []
    for draw in range(draws):
        control = control_dictionary(kind, atoms, sae, seed + draw)
        found.append(explained(control, judged))
    low, high = np.percentile(found, [2.5, 97.5])
    p = permutation_p(trained, found)
    return FairControl(kind, control.n_features, float(np.mean(found)), (float(low), float(high)), p, draws)
