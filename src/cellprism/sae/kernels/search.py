"""Loops that find the largest of many pre-activations.

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
def top_k_rows(rows, k, margin, kept, features):
    """The k largest of each row: their bits and their places.

    ``margin`` is how far below the k-th key of a row the next row's threshold is.
    """
    length = rows.shape[1]
    lowest = np.int64(np.iinfo(rows.dtype).min)
    tops = np.empty((length + GROUP - 1) // GROUP, rows.dtype)
    keys, places = np.empty(length, rows.dtype), np.empty(length, np.int32)
    threshold = lowest
    for r in range(len(rows)):
        found = collect(rows[r], threshold, keys, places) if r > 0 else 0
        if found < k:
            found = collect(rows[r], safe_threshold(rows[r], k, tops), keys, places)
        bar = kth_largest(keys, found, k)
        keep(keys, places, 0, found, bar, k - count_above(keys, found, bar), kept[r], features[r])
        threshold = max(lowest, bar - margin)


@compiled()
@no_type_check
def count_above(keys, count, bar):
    """How many of the first ``count`` keys are larger than ``bar``."""
    above = 0
    for i in range(count):
        above += keys[i] > bar
    return above


@compiled()
@no_type_check
def keep(keys, places, start, stop, bar, ties, kept, features):
    """Copy what is larger than ``bar`` and the first ``ties`` of what equals it; returns how many were copied, and
    the ties that are left."""
    j = 0
    for i in range(start, stop):
        key = keys[i]
        if key > bar or (key == bar and ties > 0):
            ties -= key == bar
            kept[j] = ordered(key)
            features[j] = places[i]
            j += 1
    return j, ties


@compiled()
@no_type_check
def count_reaching(rows, threshold, counts):
    """How many keys of each row reach a threshold."""
    bar = rows.dtype.type(threshold)
    for r in range(len(rows)):
        row = rows[r]
        reach = np.int32(0)
        for i in range(len(row)):
            reach += np.int32(ordered(row[i]) >= bar)
        counts[r] = reach


@compiled()
@no_type_check
def collect_rows(rows, threshold, keys, places):
    """The keys of all rows that reach a threshold, one row after the other, and their places in their rows."""
    start = 0
    for r in range(len(rows)):
        start += collect(rows[r], threshold, keys[start:], places[start:])


@compiled()
@no_type_check
def largest_of_all(keys, places, counts, k, kept, features, offsets):
    """The k largest of all rows together; ``offsets`` says where each row's begin. Returns the k-th key."""
    bar = kth_largest(keys, len(keys), k)
    ties = k - count_above(keys, len(keys), bar)
    start = written = 0
    for r in range(len(counts)):
        offsets[r] = written
        stop = start + counts[r]
        more, ties = keep(keys, places, start, stop, bar, ties, kept[written:], features[written:])
        written += more
        start = stop
    return bar
