"""Which cells of which donors are compared, or why none are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Bool, Float

from cellprism.enrich.column_blocks import column_blocks
from cellprism.enrich.labels import UNLABELLED
from cellprism.equations.donors import donor_means
from cellprism.errors import ConfigError
from cellprism.studies.compare.settings import FEWEST_DONORS, CompareSettings

CONTROLS = ("control", "ctrl", "healthy", "normal", "unstimulated", "untreated", "vehicle", "wild type", "wt")
"""What conditions are called that others are compared with."""


@dataclass(frozen=True, eq=False)
class Donors:
    """Pseudobulk means of every feature, one row a donor."""

    names: list[str]
    case: str
    control: str
    paired: bool
    """Whether each donor has both conditions."""
    is_case: Bool[np.ndarray, " donor"]
    """Of donors with one condition, whether it is the case; all true where paired."""
    means: Float[np.ndarray, "donor feature"]
    """Of the donor's cells; where paired, case minus control."""
    level: Float[np.ndarray, " feature"]
    """Mean over donors and conditions."""
    cells: list[tuple[int, int]]
    """Cells of each donor in case and control."""
    left_out: list[str]
    """Donors that take no part, each with the reason."""


def donors_of(obs: pd.DataFrame, activation: Any, settings: CompareSettings) -> Donors:
    """Average every feature over the cells of each donor in each condition.

    Args:
        obs: of the cells.
        activation: mean activation, sparse [cell feature].
        settings: which conditions and donors.

    Raises:
        ConfigError: no such column, condition or type, or fewer than 3 donors a condition.
    """
    condition, donor = _column(obs, "condition", settings.condition), _column(obs, "donor", settings.donor)
    inside = (condition != "") & (donor != "")
    if settings.cell_type:
        types = _column(obs, "cell_type", "cell_type")
        _known("cell_type", settings.cell_type, types)
        inside &= types == settings.cell_type
    case, control = _conditions(settings, condition[inside])
    first = inside & (condition == case)
    second = inside & (condition == control if control else condition != case)
    names = np.unique(donor[first | second])
    counts = np.array([[(donor[side] == name).sum() for side in (first, second)] for name in names]).reshape(-1, 2)
    enough = counts >= settings.cells
    paired = _within(counts)
    taken = enough.all(axis=1) if paired else enough.any(axis=1)
    words = (case, control or "all others")
    left = _left_out(names[~taken], counts[~taken], words, settings.cells, paired)
    names, counts, enough = names[taken], counts[taken], enough[taken]
    if not paired:  # a donor with a few cells of the other condition counts where it has enough
        counts = np.where(enough, counts, 0)
    _enough_donors(enough, paired, words, settings, left)
    unit = _units(donor, names, (first, second), enough)
    means = _means(activation, unit, 2 * len(names))
    of_case, of_control = means[0::2], means[1::2]
    is_case = np.ones(len(names), dtype=bool) if paired else enough[:, 0]
    whole = of_case - of_control if paired else np.where(is_case[:, None], of_case, of_control)
    return Donors(
        names.tolist(), case, words[1], paired, is_case, whole, np.nanmean(means, axis=0),
        [(int(a), int(b)) for a, b in counts], left,
    )  # fmt: skip


def _within(counts: np.ndarray) -> bool:
    """Whether conditions lie within donors: most donors have cells of both."""
    return bool((counts > 0).all(axis=1).mean() > 0.5)


def _column(obs: pd.DataFrame, key: str, name: str) -> np.ndarray:
    """A column as text, empty where a cell has no value.

    Raises:
        ConfigError: it is not there.
    """
    if name not in obs:
        said = f"there is no obs column {name!r}" if name else "no obs column was named"
        raise ConfigError(
            f"compare.{key}: {said}; the cells have {', '.join(map(str, obs.columns)) or 'none'}. "
            f"Name one with --{key.replace('_', '-')}, or add it to the cells' file and make the run again"
        )
    values = cast(pd.Series, obs[name])
    text = values.astype(str).to_numpy(dtype=object)
    return np.where(values.isna().to_numpy() | (text == UNLABELLED), "", text).astype(str)


def _known(key: str, value: str, there: np.ndarray) -> None:
    names = sorted(set(there) - {""})
    if value not in names:
        raise ConfigError(f"compare.{key} is {value!r}: expected one of {', '.join(names[:20]) or 'none'}")


def _conditions(settings: CompareSettings, condition: np.ndarray) -> tuple[str, str]:
    """Case and control; an empty control stands for all others.

    Raises:
        ConfigError: they are not there, or not told.
    """
    names = sorted({str(name) for name in condition} - {""})
    if not settings.case and len(names) != 2:
        raise ConfigError(
            f"the column {settings.condition!r} has {len(names)} conditions ({', '.join(names[:20]) or 'none'}): "
            "say which is compared with --case, and with which with --control"
        )
    usual = [n for n in names if n.lower() in CONTROLS]
    own = settings.control or (usual[0] if len(usual) == 1 else names[0])
    case = settings.case or next(n for n in reversed(names) if n != own)
    _known("case", case, condition)
    if settings.control:
        _known("control", settings.control, condition)
    if case == settings.control or len(names) < 2:
        raise ConfigError(f"compare.case and compare.control are both {case!r}: two conditions are compared")
    return case, settings.control or (next(n for n in names if n != case) if len(names) == 2 else "")


def _left_out(names: np.ndarray, counts: np.ndarray, words: tuple[str, str], cells: int, paired: bool) -> list[str]:
    of = " of each" if paired else ""
    return [
        f"{name} ({a} cells of {words[0]}, {b} of {words[1]}; at least {cells}{of} are needed)"
        for name, (a, b) in zip(names, counts, strict=True)
    ]


def _enough_donors(
    enough: np.ndarray, paired: bool, words: tuple[str, str], settings: CompareSettings, left: Sequence[str]
) -> None:
    """Refuse too few donors.

    Raises:
        ConfigError: says how many there are, and why cells do not count.
    """
    both = np.asarray(enough.all(axis=1))
    if not paired and both.any():
        raise ConfigError(
            f"{int(both.sum())} of {len(enough)} donors have cells of both {words[0]!r} and {words[1]!r}, others of "
            "one: keep either donors with both or donors with one, with --set only."
        )
    found = [int(both.sum())] * 2 if paired else [int(side.sum()) for side in enough.T]
    if min(found) < FEWEST_DONORS:
        said = " and ".join(f"{n} with {word!r}" for n, word in zip(found, words, strict=True))
        more = f" Left out: {'; '.join(left[:5])}." if left else ""
        raise ConfigError(
            f"{said} among the donors ({settings.donor!r}): comparing conditions takes at least {FEWEST_DONORS} donors "
            "of each, since donors differ by themselves and cells of one donor are no replicates." + more
        )


def _units(
    donor: np.ndarray, names: np.ndarray, sides: tuple[np.ndarray, np.ndarray], enough: np.ndarray
) -> np.ndarray:
    """Number of each cell's donor in a condition, -1 for cells that take no part."""
    unit = np.full(len(donor), -1)
    for place, name in enumerate(names):
        for number, side in enumerate(sides):
            if enough[place, number]:
                unit[side & (donor == name)] = 2 * place + number
    return unit


def _means(activation: Any, unit: np.ndarray, n_units: int) -> Float[np.ndarray, "unit feature"]:
    z = sp.csc_matrix(activation)
    blocks = column_blocks(*z.get_shape())
    return np.concatenate(
        [donor_means(z[:, some].toarray().astype(np.float64), unit, n_units) for some in blocks], axis=1
    )
