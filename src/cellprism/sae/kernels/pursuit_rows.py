"""The loop of a matching pursuit over rows of inner products.

Notable choices

- The largest value is found first, which vector instructions do, and then its place: the first that has it.
- A row that is not finite has no largest value; its first atom is taken, with the value that it has.
"""

from typing import no_type_check

import numpy as np

from cellprism.sae.kernels.compiled import SUMS, compiled


@compiled(fastmath=SUMS | {"nnan"})
@no_type_check
def largest(row):
    """The largest of some numbers."""
    best = row[0]
    for i in range(len(row)):
        best = row[i] if row[i] > best else best
    return best


@compiled(fastmath=SUMS)
@no_type_check
def take_off(row, value, products):
    """row - value * products, in place."""
    for i in range(len(row)):
        row[i] -= value * products[i]


@compiled()
@no_type_check
def pursue(inner, gram, values, features):
    """Atoms of each token, one after the other, and their values.

    Args:
        inner: products of tokens and atoms; overwritten.
        gram: products of atoms with each other.
        values: to be filled, token x step.
        features: to be filled, token x step.
    """
    steps = values.shape[1]
    for token in range(len(inner)):
        row = inner[token]
        for step in range(steps):
            best, place = largest(row), 0
            while place < len(row) - 1 and row[place] != best:
                place += 1
            if row[place] != best:
                place = 0
            value = max(row[place], np.float32(0))
            values[token, step] = value
            features[token, step] = place
            row[place] = -np.inf
            if step + 1 < steps and value > 0:
                take_off(row, value, gram[place])
