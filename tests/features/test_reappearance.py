"""A dictionary that comes again is found, one drawn alike is found as often as chance says, and how."""

import numpy as np
import pytest

from cellprism.equations.effects import permutation_p
from cellprism.features.reappearance import (
    Portrait,
    consensus,
    exceeds,
    exchanged_shares,
    matched,
    mean_cosine,
    rebuilt,
)

FEATURES, WIDTH, GENES, DRAWS = 23, 11, 37, 39
SPREAD = np.linspace(3, 0.2, WIDTH)  # of directions: some dimensions hold more than others


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def drawn(rng: np.random.Generator, spread: np.ndarray = SPREAD) -> Portrait:
    """Directions with a covariance, and profiles that follow them through a fixed matrix."""
    rows = unit(rng.standard_normal((FEATURES, WIDTH)) * spread)
    genes = np.random.default_rng(5).standard_normal((WIDTH, GENES))
    return Portrait(rows, np.maximum(rows @ genes, 0))


def likeness(own: Portrait, others: list[Portrait]) -> np.ndarray:
    return np.stack([matched(own, other).likeness for other in others])


def called(seed: int, planted: float, spread: np.ndarray = SPREAD) -> float:
    """p of three trainings that keep a share of the run's features, beside draws of some spread."""
    rng = np.random.default_rng([seed, 3])
    own, trainings = drawn(rng), []
    for _ in range(3):
        other, kept = drawn(rng), rng.random(FEATURES) < planted
        trainings.append(Portrait(*(np.where(kept[:, None], a, b) for a, b in zip(own, other, strict=True))))
    values, chance = likeness(own, trainings), likeness(own, [drawn(rng, spread) for _ in range(DRAWS)])
    share = exceeds(values, chance, 0.05).mean()
    return permutation_p(float(share), exchanged_shares(values, chance, 0.05, 199, rng))


def test_the_same_dictionary_in_another_order_is_matched_feature_by_feature():
    rng = np.random.default_rng(1)
    own, order = drawn(rng), rng.permutation(FEATURES)
    match = matched(own, Portrait(own.directions[order], own.profiles[order]))
    assert (order[match.other] == np.arange(FEATURES)).all()
    assert match.likeness == pytest.approx(1)
    assert mean_cosine(own, Portrait(own.directions[order], own.profiles[order])) == pytest.approx(1)


def test_a_pair_is_as_much_alike_as_the_lesser_of_direction_and_genes():
    own = drawn(np.random.default_rng(2))
    mirrored = Portrait(own.directions, -own.profiles)
    match = matched(own, mirrored)
    assert (match.likeness <= np.minimum(match.cosine, match.profile)).all()
    assert match.likeness.max() < 0.9
    silent = matched(own, Portrait(own.directions, np.zeros_like(own.profiles)))
    assert not silent.profile.any()


def test_a_narrower_dictionary_leaves_features_without_a_match():
    own = drawn(np.random.default_rng(3))
    few = Portrait(own.directions[:4], own.profiles[:4])
    match = matched(own, few)
    assert (match.other >= 0).sum() == 4
    assert not match.likeness[match.other < 0].any()


def test_what_exceeds_counts_itself_among_the_draws():
    drawn = np.arange(1.0, 40.0)[:, None]  # 39 draws: at most one may reach it
    assert exceeds(np.array([[38.5]]), drawn, 0.05).all()
    assert not exceeds(np.array([[37.5]]), drawn, 0.05).any()
    assert not exceeds(np.array([[99.0]]), drawn[:10], 0.05).any()  # ten draws cannot say so


def test_planted_features_are_found_again_and_drawn_ones_at_the_nominal_rate():
    null = np.array([called(seed, 0.0) for seed in range(120)])
    assert (null <= 0.05).sum() <= 12  # six are due; twelve or fewer in 98 of 100 such tests
    assert (null > 0.5).any()
    assert all(called(seed, 0.5) <= 0.05 for seed in range(8))


def test_draws_without_the_covariance_would_call_what_is_nothing():
    isotropic = [called(seed, 0.0, np.ones(WIDTH)) for seed in range(60)]
    assert np.mean(np.array(isotropic) <= 0.05) > 0.3


def test_a_mixture_of_two_directions_is_rebuilt_by_them_and_not_found_alone():
    rng = np.random.default_rng(4)
    other = unit(rng.standard_normal((FEATURES, WIDTH)))
    own = unit(other[:9] + other[9:18])
    parts = rebuilt(own, np.concatenate([other, unit(rng.standard_normal((3, WIDTH)))]), 3)
    chance = np.stack([rebuilt(own, unit(rng.standard_normal((FEATURES + 3, WIDTH))), 3) for _ in range(DRAWS)])
    assert exceeds(parts[None], chance, 0.05).mean() > 0.6
    assert (rebuilt(own, own, 1) > 1 - 1e-6).all()


def test_the_consensus_lies_nearer_to_the_truth_than_one_training():
    rng = np.random.default_rng(6)
    truth = drawn(rng)
    noisy = [Portrait(unit(truth.directions + 0.2 * rng.standard_normal(truth.directions.shape)), truth.profiles)
             for _ in range(6)]  # fmt: skip
    own, others = noisy[0], noisy[1:]
    matches = [matched(own, other) for other in others]
    mean = consensus(own, others, matches, np.ones((5, FEATURES), dtype=bool))
    assert (mean * truth.directions).sum(axis=1).mean() > (own.directions * truth.directions).sum(axis=1).mean() + 0.05
    alone = consensus(own, others, matches, np.zeros((5, FEATURES), dtype=bool))
    assert alone == pytest.approx(own.directions)
