"""Loops over the rows that pairs of a token and a feature point to.

Notable choices

- Pairs are flat: those of token t are ``offsets[t]`` to ``offsets[t + 1]``, of feature f, once sorted, ``starts[f]`` to
  ``starts[f + 1]``.
- Rows are taken four at a time: sums are then read and written a quarter as often, and four rows are on their way from
  memory at once.
- Features may be in groups of neighbours, ``ends`` saying where each group ends. The g-th reconstruction sums the pairs
  of groups up to the g-th, and a feature hears from all reconstructions that it is part of.
"""

from typing import no_type_check

import numpy as np

from cellprism.sae.kernels.compiled import SUMS, compiled


@compiled(fastmath=SUMS)
@no_type_check
def dot(a, b):
    """<a, b>."""
    total = np.float32(0)
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@compiled(fastmath=SUMS)
@no_type_check
def dots(out, vector, rows, index, start, stop):
    """out[p] = <vector, rows[index[p]]> for p from ``start`` to ``stop``; the same bits wherever a row comes."""
    last = stop - 1
    for p in range(start, stop, 4):  # at the end the last row is taken several times: another loop would sum otherwise
        a, b = rows[index[p]], rows[index[min(p + 1, last)]]
        c, d = rows[index[min(p + 2, last)]], rows[index[min(p + 3, last)]]
        w = v = u = t = np.float32(0)
        for i in range(len(vector)):
            w += vector[i] * a[i]
            v += vector[i] * b[i]
            u += vector[i] * c[i]
            t += vector[i] * d[i]
        out[p] = w
        out[min(p + 1, last)] = v
        out[min(p + 2, last)] = u
        out[min(p + 3, last)] = t


@compiled(fastmath=SUMS)
@no_type_check
def add_rows(out, rows, index, weights, start, stop):
    """out += sum of weights[p] rows[index[p]] for p from ``start`` to ``stop``."""
    p = start
    while p + 4 <= stop:
        w, v, u, t = weights[p], weights[p + 1], weights[p + 2], weights[p + 3]
        a, b, c, d = rows[index[p]], rows[index[p + 1]], rows[index[p + 2]], rows[index[p + 3]]
        for i in range(len(out)):
            out[i] += (w * a[i] + v * b[i]) + (u * c[i] + t * d[i])
        p += 4
    while p < stop:
        w, a = weights[p], rows[index[p]]
        for i in range(len(out)):
            out[i] += w * a[i]
        p += 1


@compiled(fastmath=SUMS)
@no_type_check
def sums_of_rows(rows, index, weights, starts, first, last, out):
    """out[f] = sum of weights[p] rows[index[p]] over the pairs p of f, for f from ``first`` to ``last``."""
    for f in range(first, last):
        out[f] = 0
        add_rows(out[f], rows, index, weights, starts[f], starts[f + 1])


@compiled(fastmath=SUMS)
@no_type_check
def pair_scores(x, encoder, b_enc, features, offsets, scores):
    """Pre-activations of pairs."""
    for t in range(len(x)):
        dots(scores, x[t], encoder, features, offsets[t], offsets[t + 1])
        for p in range(offsets[t], offsets[t + 1]):
            scores[p] += b_enc[features[p]]


@compiled(fastmath=SUMS)
@no_type_check
def norms_of(rows, norms):
    """Norms of rows."""
    for r in range(len(rows)):
        row = rows[r]
        square = np.float64(0)  # squares of small float32 vanish
        for i in range(len(row)):
            square += np.float64(row[i]) * np.float64(row[i])
        norms[r] = np.sqrt(square)


@compiled(fastmath=SUMS)
@no_type_check
def norms_of_rounded(rows, bits, lost, left):
    """Norms of what rounding rows to bfloat16 (``bits``) lost, and of what it left."""
    for r in range(len(rows)):
        row, rounded = rows[r], bits[r]
        off = norm = np.float64(0)  # squares of small float32 vanish
        for i in range(len(row)):
            value = np.float64(np.int32(np.int32(rounded[i]) << np.int32(16)).view(np.float32))
            off += (row[i] - value) * (row[i] - value)
            norm += value * value
        lost[r] = np.sqrt(off)
        left[r] = np.sqrt(norm)


@compiled(fastmath=SUMS)
@no_type_check
def reconstruct(code, decoder, target, ends, scale, relu, first, last, upstream, squares, pulls):
    """Errors of tokens ``first`` to ``last``, and what they pull at.

    Args: code is (values, features, offsets). Written: upstream [group token d_target], the sum of scale x error over
    the reconstructions that a group's features are part of; squares [group token], |error|^2 of each reconstruction;
    pulls [pair], <upstream, decoder row>, zero where a relu has cut the value.
    """
    values, features, offsets = code
    groups = len(ends)
    longest = 0
    for t in range(first, last):
        longest = max(longest, offsets[t + 1] - offsets[t])
    rows, pairs = np.empty(longest, np.int64), np.empty(longest, np.int64)
    weights, products = np.empty(longest, np.float32), np.empty(longest, np.float32)
    for t in range(first, last):
        begin = 0
        for g in range(groups):
            error = upstream[g, t]
            if g == 0:
                for i in range(len(error)):
                    error[i] = -target[t, i]
            else:
                error[:] = upstream[g - 1, t]
            count = 0
            for p in range(offsets[t], offsets[t + 1]):
                if begin <= features[p] < ends[g] and values[p] != 0:
                    rows[count] = features[p]
                    weights[count] = values[p]
                    count += 1
            add_rows(error, decoder, rows, weights, 0, count)
            squares[g, t] = dot(error, error)
            begin = ends[g]
        for g in range(groups - 1, -1, -1):
            error = upstream[g, t]
            for i in range(len(error)):
                error[i] *= scale
            if g < groups - 1:
                later = upstream[g + 1, t]
                for i in range(len(error)):
                    error[i] += later[i]
        begin = 0
        for g in range(groups):
            count = 0
            for p in range(offsets[t], offsets[t + 1]):
                if begin <= features[p] < ends[g]:
                    pulls[p] = 0
                    if not (relu and values[p] <= 0):
                        rows[count] = features[p]
                        pairs[count] = p
                        count += 1
            dots(products, upstream[g, t], decoder, rows, 0, count)
            for i in range(count):
                pulls[pairs[i]] = products[i]
            begin = ends[g]


@compiled()
@no_type_check
def sort_by_feature(values, pulls, features, offsets, starts, tokens, sorted_values, sorted_pulls, fired):
    """Pairs in the order of their features, those of a feature in the order of their tokens; where each feature begins.

    Pairs that change nothing, value and pull zero, are left out. ``fired`` counts values that are not zero.
    """
    starts[:] = 0
    fired[:] = 0
    for p in range(len(features)):
        if values[p] != 0 or pulls[p] != 0:
            starts[features[p] + 1] += 1
            fired[features[p]] += values[p] != 0
    for f in range(len(fired)):
        starts[f + 1] += starts[f]
    place = starts[:-1].copy()
    for t in range(len(offsets) - 1):
        for p in range(offsets[t], offsets[t + 1]):
            if values[p] != 0 or pulls[p] != 0:
                at = place[features[p]]
                place[features[p]] = at + 1
                tokens[at] = t
                sorted_values[at] = values[p]
                sorted_pulls[at] = pulls[p]


@compiled(fastmath=SUMS)
@no_type_check
def sums_of_pairs(weights, starts, first, last, out):
    """out[f] = sum of the weights of the pairs of f, for f from ``first`` to ``last``."""
    for f in range(first, last):
        total = np.float32(0)
        for p in range(starts[f], starts[f + 1]):
            total += weights[p]
        out[f] = total


@compiled(fastmath=SUMS)
@no_type_check
def adam_rows(weights, gradient, means, squares, constants, tangential, unit_norm):
    """``adam`` for some rows, with constants lr / (1 - b1^step), 1 / sqrt(1 - b2^step), 1 - b1, b2, 1 - b2, eps."""
    rate, spread, more_mean, keep_square, more_square, epsilon = constants
    for f in range(len(weights)):
        w, g, m, v = weights[f], gradient[f], means[f], squares[f]
        along = dot(g, w) if tangential else np.float32(0)
        for i in range(len(w)):
            change = g[i] - along * w[i]
            m[i] += more_mean * (change - m[i])
            v[i] = keep_square * v[i] + more_square * (change * change)
            w[i] -= rate * m[i] / (np.sqrt(v[i]) * spread + epsilon)
        if unit_norm:
            norm = max(np.sqrt(dot(w, w)), np.float32(1e-12))
            for i in range(len(w)):
                w[i] /= norm
