"""Loops that find the largest of many pre-activations, where these are known up to a bound on their error.

Notable choices

- Values are compared as whole numbers: the bits of a float, changed so that their order is the floats' (``ordered``).
  One loop then serves bfloat16 (int16) and float32 (int32), negative values and NaN included.
- A row is compared with a threshold 64 values at a time, which leaves a word with a bit per value; only words that are
  not zero are looked at again. With a threshold a little below the k-th largest value these are few, and reading the
  row once is most of the cost.
- The threshold is only a guess, from the row before. Where fewer than k values reach it, the k-th largest of the maxima
  of groups replaces it: k groups have a value that large, so k values do.
- The k-th largest of what was collected is found by halving the range of values and counting, which no order of the
  values makes slow.
- What is known of a value is an interval. Whatever could be among the k largest is a candidate: its upper end reaches
  the k-th largest of all lower ends. ``rows.pair_scores`` then says which of the candidates really are.
- Of equal values the first features are kept, and kept features come in ascending order.
"""

from typing import no_type_check

import numpy as np

from cellprism.sae.kernels.compiled import compiled

GROUP = 16  # values per maximum where there is no guess


@compiled()
@no_type_check
def ordered(bits):
    """The bits of a float, int16 or int32, to a number of the same type that is ordered like the float; and back."""
    kind = type(bits)
    return kind(bits ^ ((bits >> 63) & np.iinfo(kind).max))


@compiled()
@no_type_check
def kth_largest(keys, count, k):
    """The k-th largest of the first ``count`` keys, which are at least k; or a key that exactly k of them reach."""
    low = high = np.int64(keys[0])
    for i in range(count):
        low = min(low, np.int64(keys[i]))
        high = max(high, np.int64(keys[i]))
    while low < high:  # at least k keys reach low, fewer reach high + 1
        middle = (low + high + 1) >> 1
        reach = np.int32(0)
        for i in range(count):
            reach += np.int32(keys[i] >= middle)
        if reach == k:
            return middle
        if reach > k:
            low = middle
        else:
            high = middle - 1
    return low


@compiled()
@no_type_check
def collect(row, threshold, keys, features):
    """Write the keys of a row that reach a threshold, and where they are; returns how many."""
    kind = keys.dtype.type
    bar = kind(threshold)
    found = 0
    whole = len(row) - len(row) % 64
    for start in range(0, whole, 64):
        word = np.uint64(0)
        for i in range(64):
            word |= np.uint64(ordered(row[start + i]) >= bar) << np.uint64(i)
        while word != 0:
            lowest = word & (~word + np.uint64(1))
            word ^= lowest
            i = start + (np.float64(lowest).view(np.int64) >> 52) - 1023  # a float's exponent: the bit's place
            keys[found] = ordered(row[i])
            features[found] = i
            found += 1
    for i in range(whole, len(row)):
        key = ordered(row[i])
        if key >= bar:
            keys[found] = key
            features[found] = i
            found += 1
    return found


@compiled()
@no_type_check
def safe_threshold(row, k, tops):
    """A threshold that at least k keys of a row reach, from the maxima of ``len(tops)`` groups of them."""
    groups = len(tops)
    if groups < k:
        return np.int64(np.iinfo(tops.dtype).min)
    for g in range(groups):
        tops[g] = ordered(row[g])
    for start in range(groups, len(row), groups):  # group g is g, g + groups, ...: rows of maxima side by side
        part = row[start : start + groups]
        for g in range(len(part)):
            tops[g] = max(tops[g], ordered(part[g]))
    return kth_largest(tops, groups, k)


@compiled()
@no_type_check
def key_of(value):
    """A float32 as an int32 that is ordered like it; NaN is above all."""
    return np.int32(np.iinfo(np.int32).max) if value != value else ordered(np.float32(value).view(np.int32))


@compiled()
@no_type_check
def float_of(key, shift):
    """The float that a key stands for; ``shift`` is how many bits shorter than float32 its type is."""
    return np.int32(np.int32(ordered(key)) << np.int32(shift)).view(np.float32)


@compiled()
@no_type_check
def lowest_that_reaches(bar, bound, rounding, shift):
    """A key such that no lower one can stand for ``bar``, being off by at most ``bound`` and then rounded."""
    value = bar - bound
    value -= np.float32(2) * rounding * abs(value)
    return np.int64(ordered(np.float32(value).view(np.int32))) >> shift if value == value else np.int64(-(1 << 31))


@compiled()
@no_type_check
def bound_of(feature, token, bounds):
    """How far a pre-activation can be off before it is rounded; see ``Screen``."""
    return token[0] * bounds[0, feature] + token[1] * bounds[1, feature] + bounds[2, feature]


@compiled()
@no_type_check
def candidates_of_rows(rows, rounding, tokens, bounds, worst, k, margin):
    """The features of each row that could be among its k largest, and offsets: row r's are from the r-th to the next.

    Args: rows are bits of pre-activations [token feature]. ``rounding`` is their relative, ``bound_of`` with tokens
    [token 2] and bounds [3 feature] their absolute error; worst [3 1] are the largest bounds. ``margin`` is how far
    below the last key that mattered in a row the next row's threshold is.
    """
    length, shift = rows.shape[1], 32 - 8 * rows.itemsize
    lowest = np.int64(np.iinfo(rows.dtype).min)
    tops = np.empty((length + GROUP - 1) // GROUP, rows.dtype)
    keys, where, lower = np.empty(length, rows.dtype), np.empty(length, np.int32), np.empty(length, np.int32)
    places, offsets = np.empty(rows.size, np.int32), np.empty(len(rows) + 1, np.int64)
    threshold = lowest
    written = offsets[0] = 0
    for r in range(len(rows)):
        row, token = rows[r], tokens[r]
        found = collect(row, threshold, keys, where) if r > 0 else 0
        if found < k:
            threshold = safe_threshold(row, k, tops)
            found = collect(row, threshold, keys, where)
        while True:
            for i in range(found):
                h = float_of(keys[i], shift)
                lower[i] = key_of(h - (rounding * abs(h) + bound_of(where[i], token, bounds)))
            bar = float_of(np.int32(kth_largest(lower, found, k)), 0)
            reaching = max(lowest, lowest_that_reaches(bar, bound_of(0, token, worst), rounding, shift))
            if reaching >= threshold:
                break
            threshold = reaching
            found = collect(row, threshold, keys, where)
        for i in range(found):
            h = float_of(keys[i], shift)
            if not h + (rounding * abs(h) + bound_of(where[i], token, bounds)) < bar:  # NaN may be anything
                places[written] = where[i]
                written += 1
        offsets[r + 1] = written
        threshold = max(lowest, reaching - margin)
    return places[:written].copy(), offsets


@compiled()
@no_type_check
def candidates_of_batch(rows, rounding, tokens, bounds, worst, bar):
    """The features of each row that could reach ``bar``, with keys of the least and the most that each could be.

    Args and offsets: as of ``candidates_of_rows``.
    """
    shift = 32 - 8 * rows.itemsize
    lowest = np.int64(np.iinfo(rows.dtype).min)
    keys, where = np.empty(rows.shape[1], rows.dtype), np.empty(rows.shape[1], np.int32)
    found, offsets = np.empty((3, rows.size), np.int32), np.empty(len(rows) + 1, np.int64)
    places, lower, upper = found
    written = offsets[0] = 0
    for r in range(len(rows)):
        threshold = lowest_that_reaches(bar, bound_of(0, tokens[r], worst), rounding, shift)
        for i in range(collect(rows[r], max(lowest, threshold), keys, where)):
            h = float_of(keys[i], shift)
            bound = rounding * abs(h) + bound_of(where[i], tokens[r], bounds)
            if not h + bound < bar:
                places[written] = where[i]
                lower[written] = key_of(h - bound)
                upper[written] = key_of(h + bound)
                written += 1
        offsets[r + 1] = written
    return found[:, :written].copy(), offsets


@compiled()
@no_type_check
def keep(keys, places, bar, ties, kept, features):
    """Copy what is larger than ``bar`` and the first ``ties`` of what equals it; returns how many, and ties left."""
    j = 0
    for i in range(len(keys)):
        key = keys[i]
        if key > bar or (key == bar and ties > 0):
            ties -= key == bar
            kept[j] = float_of(key, 0)
            features[j] = places[i]
            j += 1
    return j, ties


@compiled()
@no_type_check
def ties_to_keep(keys, bar, k):
    """How many of the keys that equal ``bar`` are among the k largest."""
    for i in range(len(keys)):
        k -= keys[i] > bar
    return k


@compiled()
@no_type_check
def top_of_candidates(scores, places, offsets, k, relu, values, features):
    """The k largest scores of each row, with their places; with ``relu`` those below zero become zero."""
    keys = np.empty(0, np.int32)
    for r in range(len(offsets) - 1):
        start, stop = offsets[r], offsets[r + 1]
        if len(keys) < stop - start:
            keys = np.empty(2 * (stop - start), np.int32)
        row = keys[: stop - start]
        for i in range(len(row)):
            row[i] = key_of(scores[start + i])
        bar = kth_largest(row, len(row), k)
        keep(row, places[start:stop], bar, ties_to_keep(row, bar, k), values[r], features[r])
        for j in range(k):
            if relu and values[r, j] < 0:
                values[r, j] = 0


@compiled()
@no_type_check
def top_of_batch(scores, places, offsets, k, values, features, kept_offsets):
    """The k largest positive scores of all rows together; fewer where there are not that many. Returns how many."""
    keys = np.empty(len(scores), np.int32)
    positive = 0
    for i in range(len(scores)):
        keys[i] = key_of(scores[i])
        positive += keys[i] > 0
    k = min(k, positive)
    bar = kth_largest(keys, len(keys), k) if k > 0 else np.int64(np.iinfo(np.int32).max)
    ties = ties_to_keep(keys, bar, k)
    written = 0
    for r in range(len(offsets) - 1):
        kept_offsets[r] = written
        row = slice(offsets[r], offsets[r + 1])
        more, ties = keep(keys[row], places[row], bar, ties, values[written:], features[written:])
        written += more
    return written
