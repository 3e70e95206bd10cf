"""Rank-value tokens: a cell is its expressed genes in order, from the one highest above its usual level down.

- A gene's value is count / cell total * 1e4 / median, the gene's median over a corpus. The first two factors are the
  same for all genes of a cell and move no rank, so count / median is what is sorted and no total is needed.
- Equal values stand in the order of their token ids, so that the order of the data's columns does not matter.
  Departs from Geneformer's tokenizer: there an unstable sort decides.
- Values are float64, so that no two different ones become equal by rounding.
"""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int


def ranked_columns(
    counts: sp.csr_matrix, median: Float[np.ndarray, " column"], token: Int[np.ndarray, " column"], size: int
) -> Int[np.ndarray, "cell place"]:
    """Columns of each cell's expressed genes, highest count / median first, at most ``size`` of them.

    Args:
        counts: counts [cell, column], not negative.
        median: each column's median of counts per ten thousand over a corpus, in cells that express it.
        token: each column's token id, which decides between equal values.
        size: places at most; genes of lower ranks are left out.

    Returns:
        Column of the gene at each place, as many places as the fullest cell needs; -1 behind a cell's last gene.

    Source: Theodoris et al. 2023, rank value encoding.
    """
    cells = sp.csr_matrix(counts, copy=True)
    cells.sum_duplicates()
    cells.eliminate_zeros()
    expressed, column = np.diff(cells.indptr), cells.indices
    row = np.repeat(np.arange(expressed.size), expressed)
    order = np.lexsort((token[column], -(cells.data.astype(np.float64) / median[column]), row))
    place = np.arange(row.size) - cells.indptr[row]
    kept = place < size
    ranked = np.full((expressed.size, min(size, int(expressed.max(initial=0)))), -1)
    ranked[row[kept], place[kept]] = column[order][kept]
    return ranked


def nonzero_medians(counts: sp.csr_matrix, totals: Float[np.ndarray, " cell"]) -> Float[np.ndarray, " gene"]:
    """Median of count / total * 1e4 over the cells that express a gene; NaN for a gene that none does.

    Args:
        counts: counts [cell, gene].
        totals: each cell's count over all genes.
    """
    scaled = sp.csc_matrix(sp.diags_array(1e4 / totals) @ counts)
    scaled.eliminate_zeros()
    columns = np.split(scaled.data, scaled.indptr[1:-1])
    return np.array([np.median(values) if values.size else np.nan for values in columns])
