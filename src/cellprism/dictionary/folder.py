"""A dictionary as a folder: weights under SAELens' names, ``dictionary.json``, ``features.tsv``, ``genes.tsv`` and
``README.md``.

A folder may come from anywhere. It is looked through before it is used, nothing in it is a pickle or is run, and it
names no file and no address that is opened: a model that does not come with cellprism is named by the user.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from cellprism.dictionary.card import Card, read_card, readme
from cellprism.errors import DamagedError, InputError, RunError
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.files import load_sae, save_sae
from cellprism.store.atomic import clear_beside, replacing, scratch_beside, sha256, write_json, write_text
from cellprism.store.disk import writing
from cellprism.store.inside import check_plain, is_inside

CARD, FEATURES, GENES, README = "dictionary.json", "features.tsv", "genes.tsv", "README.md"
LARGEST = 1 << 28  # bytes of the table of features
BUNDLED = {"bundled:blood": Path(__file__).parent / "bundled" / "blood"}
"""Dictionaries that come with the package, by name."""


@dataclass(frozen=True, eq=False)
class Dictionary:
    """An autoencoder, its card, and what is known of its features."""

    sae: SparseAutoencoder
    card: Card
    features: pd.DataFrame
    """One row a feature: ``feature``, ``firing_rate``, and where known ``label``, ``term``, ``grade``, ``genes``."""
    genes: tuple[str, ...]
    """The model's genes that it was trained with, by symbol, in which all cells are read: it knows no others. Empty
    where tokens are no genes."""


def write_dictionary(folder: Path, dictionary: Dictionary) -> Card:
    """Write a dictionary into a folder that is not there or empty; returns its card with the files' hashes.

    Raises:
        RunError: the folder holds something.
        DiskError: the disk is full or read-only.
    """
    check_plain(folder)
    place = folder.resolve()
    clear_beside(place)
    if folder.is_dir() and any(folder.iterdir()):
        raise RunError(f"{folder} is not empty; choose another folder, or remove it first")
    with writing(folder), scratch_beside(place) as scratch:
        card = _write(scratch / place.name, dictionary)
        (scratch / place.name).rename(place)  # all at once, also in the place of an empty folder
    return card


def _write(folder: Path, dictionary: Dictionary) -> Card:
    save_sae(dictionary.sae, folder)
    with replacing(folder / FEATURES) as scratch:
        dictionary.features.to_csv(scratch, sep="\t", index=False)
    write_text(folder / GENES, "".join(f"{gene}\n" for gene in ("symbol", *dictionary.genes)))
    files = sorted(path.name for path in folder.iterdir() if path.is_file())
    card = replace(dictionary.card, sha256={name: sha256(folder / name) for name in files})
    write_text(folder / README, readme(card))
    write_json(folder / CARD, card.to_json())
    return card


def read_dictionary(folder: Path) -> Dictionary:
    """Read what ``write_dictionary`` wrote.

    Raises:
        InputError: there is no such folder, or it holds no dictionary.
        RunError: it holds links, pipes or devices.
        DamagedError: a file is missing, truncated or altered.
    """
    check_plain(folder)
    return _read(folder)


def read_bundled(name: str) -> Dictionary:
    """Read one of ``BUNDLED``. Raises ``DamagedError`` where a file is missing, truncated or altered."""
    return _read(BUNDLED[name])  # installers may link files


def _read(folder: Path) -> Dictionary:
    if not (folder / CARD).is_file():
        raise InputError(
            f"{folder} holds no dictionary (it has no {CARD}); give a folder that `cellprism share RUN --out FOLDER` "
            f"wrote, a run folder, or {' or '.join(BUNDLED)}"
        )
    card = read_card(folder / CARD)
    for name, expected in card.sha256.items():
        if not is_inside(name) or not (folder / name).is_file() or sha256(folder / name) != expected:
            raise DamagedError(
                f"{folder / name} is missing, or not the file that {CARD} speaks of; get the folder anew"
            )
    if missing := {FEATURES, GENES} - card.sha256.keys():
        raise DamagedError(f"{folder / CARD} speaks of no {' and no '.join(sorted(missing))}; get the folder anew")
    sae = load_sae(folder)
    features = _features(folder / FEATURES)
    if len(features) != sae.n_features or card.n_features != sae.n_features:
        raise DamagedError(
            f"{folder} has {sae.n_features} features in its weights, {len(features)} in {FEATURES} and "
            f"{card.n_features} in {CARD}; get the folder anew"
        )
    genes = tuple((folder / GENES).read_text(encoding="utf-8").splitlines()[1:])
    return Dictionary(sae, card, features, genes)


def _features(path: Path) -> pd.DataFrame:
    if path.stat().st_size > LARGEST:
        raise DamagedError(f"{path} has {path.stat().st_size / 1e6:,.0f} MB, which no table of features has")
    try:
        table = pd.read_csv(path, sep="\t", keep_default_na=False)
        numbered = np.array_equal(table["feature"].to_numpy(), np.arange(len(table)))
    except (ValueError, KeyError, UnicodeDecodeError) as error:
        raise DamagedError(f"{path} is not a table of features ({error}); get the folder anew") from error
    if not numbered:
        raise DamagedError(f"{path} does not number its features from 0; get the folder anew")
    return table
