"""Mann-Whitney's U of pairs of groups that are not all cells: one walk along each gene's ranking for all pairs at once.

Ranks among the cells of one pair are not those among another's, so no single product gives them. But every ranking is
the same order with some cells left out: walking along it once, each pair counts its own cells.
"""

from typing import no_type_check

import numpy as np

from cellprism.sae.kernels.compiled import compiled


@no_type_check
@compiled()
def sweep(indptr, cell, length, value, high, low, n_high, n_low, u, ties, sum_high, sum_low):
    """Fill in U, sum (t^3 - t) and the sums of both groups' values of every gene and pair.

    Args:
        indptr: start of each gene's stored cells.
        cell: cells of each gene by rising value.
        length: at the first cell of a run of equal values its length; not read elsewhere.
        value: of the gene in each of these cells.
        high, low: int8 [cell pair], 1 where a cell is in the pair's first, second group.
        n_high, n_low: int32, cells of each.
        u, ties, sum_high, sum_low: float64 [gene pair], written.
    """
    pairs = len(n_high)
    one, other, below = np.empty(pairs, np.int32), np.empty(pairs, np.int32), np.empty(pairs, np.int32)
    for gene in range(len(indptr) - 1):
        start, end = indptr[gene], indptr[gene + 1]
        u_of, ties_of, high_sum, low_sum = u[gene], ties[gene], sum_high[gene], sum_low[gene]
        high_sum[:], low_sum[:] = 0, 0
        one[:], other[:] = n_high, n_low
        for i in range(start, end):  # what is left of both groups has a zero
            in_high, in_low, x = high[cell[i]], low[cell[i]], value[i]
            for p in range(pairs):
                one[p] -= in_high[p]
                other[p] -= in_low[p]
                high_sum[p] += x * in_high[p]
                low_sum[p] += x * in_low[p]
        for p in range(pairs):
            t = np.float64(one[p]) + np.float64(other[p])
            u_of[p] = np.float64(one[p]) * np.float64(other[p]) * 0.5
            ties_of[p] = t * (t * t - 1)
            below[p] = other[p]
        i = start
        while i < end:
            run = length[i]
            if run == 1:
                in_high, in_low = high[cell[i]], low[cell[i]]
                for p in range(pairs):
                    u_of[p] += in_high[p] * below[p]
                    below[p] += in_low[p]
            else:
                one[:], other[:] = 0, 0
                for j in range(i, i + run):
                    in_high, in_low = high[cell[j]], low[cell[j]]
                    for p in range(pairs):
                        one[p] += in_high[p]
                        other[p] += in_low[p]
                for p in range(pairs):
                    t = np.float64(one[p]) + np.float64(other[p])
                    u_of[p] += one[p] * (below[p] + 0.5 * np.float64(other[p]))
                    ties_of[p] += t * (t * t - 1)
                    below[p] += other[p]
            i += run
