"""Do features tell cell types apart better than directions that nobody trained?

Clusters come from the same counts that the model reads, so any direction that lies where the inner state lies tells
types apart. Tokens themselves and principal components are drawn again and again, as many as the autoencoder has where
there are as many, and used on the same tokens of the same cells; directions come from other cells. What is judged
is the excess over them of autoencoders of several seeds, each beside draws of its own.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from cellprism.enrich.labels import UNLABELLED
from cellprism.features.dictionaries import Kind, TokenSample, control_dictionary, sampled_tokens
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.studies.programs.over_seeds import excess_of
from cellprism.studies.programs.specificity import between_types
from cellprism.studies.programs.tables import TypeExcess

GIVING, JUDGING = 200, 300  # cells at most
WHOLE = 10  # times as many of a model that reads a cell as one token
PER_CELL, ATOMS = 32, 8192  # tokens of a judging cell; of all giving cells together, more for wide dictionaries
FEWEST = 20  # judging cells
BESIDE: tuple[Kind, ...] = ("tokens", "components")


@torch.no_grad()
def types_beside(
    tokens: CellTokens, saes: Sequence[SparseAutoencoder], cells: AnnData, draws: int, seed: int
) -> TypeExcess | None:
    """The share of firing features that tell types apart beside that of control directions; None without labels, or
    with too few cells. ``saes`` have one centre and one width; the run's own is the first."""
    obs = cast(pd.DataFrame, cells.obs)
    if "cell_type" not in obs:
        return None
    labels, sae = obs["cell_type"].astype(str).to_numpy(), saes[0]
    times = 1 if tokens.are_genes else WHOLE
    some = np.random.default_rng([seed, 31]).permutation(np.flatnonzero(tokens.counts))
    labelled = some[labels[some] != UNLABELLED]
    judging = np.sort(labelled[: min(JUDGING * times, len(some) // 2)])
    giving = np.sort(np.setdiff1d(some, judging)[: GIVING * times])
    kinds = len(set(labels[judging]))
    if len(judging) < max(FEWEST, 2 * kinds) or kinds < 2:
        return None
    atoms = sampled_tokens(tokens, sae, giving, -(-max(ATOMS, 2 * sae.n_features) // len(giving)), seed)
    sample = sampled_tokens(tokens, sae, judging, PER_CELL, seed)
    ours = [_share(replace(one, centre=None), sample, labels) for one in saes]
    rows = []
    for kind in BESIDE:
        drawn = [
            [_share(control_dictionary(kind, atoms, sae, seed + draws * i + j), sample, labels) for j in range(draws)]
            for i in range(len(saes))
        ]
        rows.append(excess_of(kind, ours, [float(np.mean(some)) for some in drawn], sae.n_features))
    return TypeExcess(len(judging), PER_CELL, ours[0], draws, rows)


def _share(dictionary: SparseAutoencoder, sample: TokenSample, labels: np.ndarray) -> float:
    """Share of the features that fire whose variance between types exceeds the F limit."""
    code = dictionary.encode(sample.x)
    cell, place = np.unique(sample.cell.cpu().numpy(), return_inverse=True)
    row = torch.from_numpy(place).to(code.values.device)[:, None].expand_as(code.features)
    sums = code.values.new_zeros(len(cell), code.n_features)
    sums.index_put_((row, code.features), code.values, accumulate=True)
    mean = sums.cpu().numpy() / np.bincount(place)[:, None]
    fires = (mean != 0).any(axis=0)
    if not fires.any():
        return 0.0
    found = between_types(mean[:, fires], labels[cell])
    return float((found.share > found.chance).mean())
