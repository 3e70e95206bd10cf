import numpy as np
import pytest

from cellprism.features.common_pattern import common_pattern
from cellprism.features.tokens.cell_tokens import CellTokens
from features.conftest import LAYER


def test_the_stream_gives_what_dense_activations_give(model, cells, sae):
    tokens = CellTokens(model, cells, [LAYER], batch_size=5)
    rows = np.arange(1, cells.n_obs, 2)
    held = tokens.read(rows)
    code = sae.encode(held.x[0].float())
    z = np.zeros((len(held.gene), sae.n_features))
    np.put_along_axis(z, code.features.numpy(), code.values.detach().numpy().astype(float), axis=1)
    gene, cell = held.gene.numpy(), held.cell.numpy()
    found = common_pattern(tokens, sae, rows)
    for f in range(sae.n_features):
        within = z[:, f].copy()
        spread = []
        for g in np.unique(gene):
            within[gene == g] -= within[gene == g].mean()
            spread.append(np.square(within[gene == g]).sum())
        by_cell = sum(within[cell == c].sum() ** 2 for c in rows)
        own, most = sum(spread), np.sqrt(spread).sum() ** 2
        expected = (by_cell - own) / (most - own) if most - own > 1e-12 * most else np.nan
        assert found[f] == pytest.approx(expected, abs=1e-6, nan_ok=True), f
    assert np.isfinite(found).sum() > 5
