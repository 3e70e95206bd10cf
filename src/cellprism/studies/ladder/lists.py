"""Lists of features and of every rung, by every rule, the rung's as long as the features'."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from cellprism.enrich.list_rules import RULES, Directions, Lists, cut_lists, own_sizes, ranked_lists, sizes_like

ListsByRule = dict[str, Lists]
"""Rule -> lists by name."""


def lists_by_rule(
    found: Directions,
    rules: Sequence[str],
    background: tuple[str, ...],
    sizes: Int[np.ndarray, " theirs"] | None = None,
) -> ListsByRule:
    """Lists of some directions by every rule; empty where a rule makes none.

    Args:
        found: the directions.
        rules: some of ``list_rules.RULES``.
        background: genes that may be in a list.
        sizes: lengths of the features' lists by participation ratio, which those of a control are given; None: the
            directions' own.
    """
    longest = len(background) if sizes is None else int(sizes.max(initial=1))
    ranked = {by: ranked_lists(found, by, background, most) for by, most in _longest(rules, longest).items()}
    made = {}
    for name in rules:
        rule = RULES[name]
        lists, ratio = ranked[rule.by]
        if rule.size is not None:
            made[name] = cut_lists(lists, rule.size)
        else:
            made[name] = cut_lists(lists, own_sizes(ratio) if sizes is None else sizes_like(sizes, ratio))
    return made


def sizes_of(lists: Mapping[str, Sequence[str]]) -> Int[np.ndarray, " list"]:
    """How long lists are."""
    return np.array([len(genes) for genes in lists.values()], dtype=np.int64)


def _longest(rules: Sequence[str], longest: int) -> dict[str, int]:
    """By what genes are ranked, and how many of them are needed; ``longest`` of lists without a fixed size."""
    needed: dict[str, int] = {}
    for name in rules:
        rule = RULES[name]
        needed[rule.by] = max(needed.get(rule.by, 0), rule.size or longest)
    return needed
