"""What a pipeline found, scored against the planted programs: feature by feature, and recipe by recipe.

Notable choices

- A feature's gene profile is signed. Its strength for a program is how far its AUROC is from one half: a feature that
  fires where a program is off has found it too. The sign goes on, so that turning such a feature up counts as turning
  the program down.
- Chance is the same procedure, matching included, on profiles whose gene names were permuted.
- A recipe's feature stands for the program that it knows best, if it knows one well enough; permuted recipes lay the
  same strengths on other features that fire.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from cellprism.equations.footprint import participation_ratio
from cellprism.equations.recovery import auroc, correlations, f1, one_to_one
from cellprism.errors import InputError

KNOWN = 0.4  # |2 AUROC - 1| from which a feature stands for a program: an AUROC of .7, or of .3


@dataclass(frozen=True)
class ProgramTruth:
    """How well features' gene profiles match the planted programs."""

    programs: pd.DataFrame
    """program, size, feature (of the one-to-one match, -1 where none is left), sign, auroc (in the feature's
    direction), f1 (of its round(PR) strongest genes in that direction), chance_auroc, chance_f1 (means over permuted
    names) and p of the AUROC, (1 + b) / (1 + n)."""
    features: pd.DataFrame
    """feature, program (the one it knows best, '' where it knows none well enough), sign, auroc."""
    null: pd.DataFrame
    """replicate, auroc, f1: means over programs under permuted names."""

    def summary(self) -> dict[str, float]:
        """Means over programs, beside the mean and the 97.5th percentile of permuted names."""
        found: dict[str, float] = {}
        for name in ("auroc", "f1"):
            found[name] = float(self.programs[name].mean())
            found[f"chance_{name}"] = float(self.null[name].mean())
            found[f"chance_{name}_high"] = float(self.null[name].quantile(0.975))
        beyond = (self.null["auroc"] >= found["auroc"]).sum()
        return found | {"p": float((1 + beyond) / (1 + len(self.null)))}


def program_truth(
    profiles: Float[np.ndarray, "feature gene"],
    members: Bool[np.ndarray, "program _"],
    names: Sequence[str],
    replicates: int = 39,
    seed: int = 0,
    alike: Int[np.ndarray, " _"] | None = None,
) -> ProgramTruth:
    """Match features to programs by their gene profiles.

    Args:
        profiles: how strongly each gene goes with each feature, signed.
        members: which genes are in which program, the genes in the same order.
        names: of the programs.
        replicates: permutations of the gene names.
        seed: decides the permutations.
        alike: groups of genes, such as bins of mean expression, within which names are permuted; all genes are one
            group where None. A program raises the mean of its genes, and profiles may follow the mean alone.

    Raises:
        InputError: the genes or the names do not fit together.
    """
    if profiles.shape[1] != members.shape[1] or len(names) != len(members):
        raise InputError(
            f"profiles of {profiles.shape[1]} genes, programs of {members.shape[1]} genes and {len(names)} names for "
            f"{len(members)} programs; bring the genes into one order first"
        )
    area = auroc(profiles.T, members.T)
    tails = [_strongest(profiles), _strongest(-profiles)]
    table = _matched(area, tails, members)
    rng = np.random.default_rng([seed, 17])
    nulls = []
    for replicate in range(replicates):
        dealt = members[:, _permutation(alike, members.shape[1], rng)]
        nulls.append(_matched(auroc(profiles.T, dealt.T), tails, dealt).assign(replicate=replicate))
    null = pd.concat(nulls) if nulls else table.iloc[:0].assign(replicate=0)
    by_program = null.groupby(null.index)
    beyond = sum((each["auroc"] >= table["auroc"]).astype(int) for each in nulls)
    programs = table.assign(
        chance_auroc=by_program["auroc"].mean(), chance_f1=by_program["f1"].mean(), p=(1 + beyond) / (1 + replicates)
    )
    programs.insert(0, "program", pd.Series(list(names)))
    programs.insert(1, "size", members.sum(axis=1))
    return ProgramTruth(programs, _known(area, names), null.groupby("replicate")[["auroc", "f1"]].mean().reset_index())


def _permutation(alike: Int[np.ndarray, " _"] | None, n: int, rng: np.random.Generator) -> Int[np.ndarray, " _"]:
    """A random order of n genes in which every gene stays within its group."""
    order = rng.permutation(n)
    if alike is None:
        return order
    dealt = np.empty(n, dtype=int)
    dealt[np.argsort(alike, kind="stable")] = order[np.argsort(alike[order], kind="stable")]
    return dealt


def _strongest(profiles: Float[np.ndarray, "feature gene"]) -> Bool[np.ndarray, "feature gene"]:
    """The round(PR) largest positive entries of each profile."""
    positive = np.maximum(profiles, 0).astype(np.float64)
    count = np.round(np.nan_to_num(participation_ratio(positive))).astype(int)
    rank = np.argsort(np.argsort(-positive, axis=1, kind="stable"), axis=1, kind="stable")
    return (rank < count[:, None]) & (positive > 0)


def _matched(
    area: Float[np.ndarray, "feature program"],
    tails: Sequence[Bool[np.ndarray, "feature gene"]],
    members: Bool[np.ndarray, "program gene"],
) -> pd.DataFrame:
    """feature, sign, auroc and f1 of each program in the one-to-one match; .5 and 0 where no feature is left."""
    strength = np.abs(2 * np.nan_to_num(area, nan=0.5) - 1)
    feature: Int[np.ndarray, " program"] = one_to_one(strength)
    rows = []
    for program, chosen in enumerate(feature.tolist()):
        if chosen < 0:
            rows.append((-1, 0, 0.5, 0.0))
            continue
        sign = -1 if area[chosen, program] < 0.5 else 1
        genes = tails[0 if sign > 0 else 1][chosen]
        rows.append((chosen, sign, 0.5 + strength[chosen, program] / 2, f1(genes, members[program])))
    return pd.DataFrame(rows, columns=pd.Index(["feature", "sign", "auroc", "f1"]))


def _known(area: Float[np.ndarray, "feature program"], names: Sequence[str]) -> pd.DataFrame:
    strength = np.abs(2 * np.nan_to_num(area, nan=0.5) - 1)
    best = strength.argmax(axis=1)
    rows = np.arange(len(strength))
    known = strength[rows, best] >= KNOWN
    sign = np.where(area[rows, best] < 0.5, -1, 1) * known
    shown = [names[program] if told else "" for program, told in zip(best, known, strict=True)]
    return pd.DataFrame(
        {"feature": rows, "program": shown, "sign": sign, "auroc": 0.5 + strength[rows, best] / 2}
    )  # fmt: skip


def signs_right(
    truth: ProgramTruth, codes: Float[np.ndarray, "cell feature"], activity: Float[np.ndarray, "cell program"]
) -> Float[np.ndarray, " program"]:
    """Whether the profile of each program's feature has the sign of what the feature does over cells: 1 or 0.

    A feature that fires where the program is active should have the program's genes high, one that fires where it is
    not, low. NaN where no feature is left, or it does not vary.
    """
    feature = truth.programs["feature"].to_numpy()
    over_cells = correlations(codes, activity)[np.maximum(feature, 0), np.arange(len(feature))]
    right = np.sign(over_cells) == truth.programs["sign"].to_numpy()
    return np.where((feature < 0) | (over_cells == 0), np.nan, right.astype(np.float64))


def recipe_truth(
    strengths: Mapping[int, float],
    truth: ProgramTruth,
    differing: Mapping[str, int],
    firing: Sequence[int],
    replicates: int = 199,
    seed: int = 0,
) -> dict[str, float]:
    """Precision and recall of a recipe against the programs that differ between two types.

    Args:
        strengths: strength of every feature that the recipe moves; 1 is neutral.
        truth: what each feature knows.
        differing: programs to be raised (1) or lowered (-1).
        firing: features that a recipe could have moved: those that fire in the source cells.
        replicates: permuted recipes.
        seed: decides them.

    Returns:
        ``precision``: share of moved features that stand for a differing program and move it the right way;
        ``recall``: share of differing programs that a moved feature moves the right way; each with ``chance_`` (mean of
        permuted recipes) and ``p_``, (1 + b) / (1 + n). Precision is 0 for a recipe that moves nothing.

    Raises:
        InputError: the recipe moves more features than fire, or no program differs.
    """
    moved = {feature: strength for feature, strength in strengths.items() if strength != 1}
    if len(moved) > len(set(firing)) or not differing:
        raise InputError(
            f"a recipe of {len(moved)} features, {len(set(firing))} that fire and {len(differing)} differing programs "
            "cannot be scored; give all features that fire in the source cells, and two types that differ"
        )
    order = {program: number for number, program in enumerate(differing)}
    known = truth.features.set_index("feature")
    stands = np.array([order.get(program, -1) for program in known["program"]])
    wanted = np.array([differing.get(program, 0) for program in known["program"]]) * known["sign"].to_numpy()
    turn = np.sign(np.array(list(moved.values())) - 1)

    def scored(features: Int[np.ndarray, " moved"]) -> tuple[float, float]:
        hits = stands[features][(turn == wanted[features]) & (stands[features] >= 0)]
        return len(hits) / max(len(features), 1), len(np.unique(hits)) / len(differing)

    rng = np.random.default_rng([seed, 19])
    pool = np.array(sorted(set(firing)))
    found = scored(np.array(list(moved), dtype=int))
    dealt = [scored(rng.choice(pool, len(moved), replace=False)) for _ in range(replicates)]
    scores: dict[str, float] = {}
    for place, name in enumerate(("precision", "recall")):
        by_chance = np.array([each[place] for each in dealt])
        scores[name] = found[place]
        scores[f"chance_{name}"] = float(by_chance.mean()) if replicates else np.nan
        scores[f"p_{name}"] = float((1 + (by_chance >= found[place]).sum()) / (1 + replicates))
    return scores
