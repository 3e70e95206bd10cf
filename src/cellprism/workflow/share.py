"""From a run to its dictionary: the autoencoder with a card of what the run measured of it, fit to be passed on."""

from dataclasses import dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any

import h5py
import pandas as pd
from anndata.io import read_elem

from cellprism.dictionary.card import Card, FitCard, LabelCard, ModelCard, StabilityCard
from cellprism.dictionary.folder import BUNDLED as BUNDLED_DICTIONARIES
from cellprism.dictionary.folder import CARD, Dictionary, read_bundled, read_dictionary, write_dictionary
from cellprism.errors import InputError
from cellprism.models import hub
from cellprism.models.registry import BUNDLED, model_path
from cellprism.report.context import read_context
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.files import load_sae
from cellprism.store.run import STATE, Run
from cellprism.studies.common import CommonConfig, ModelOptions
from cellprism.studies.fit.tables import Fit
from cellprism.studies.naming.card import label_of
from cellprism.studies.naming.tables import Found as Naming
from cellprism.studies.programs.tables import Programs, signed_term
from cellprism.studies.stability.tables import Stability
from cellprism.studies.study import studies
from cellprism.workflow.config import config_of

SWITCHES = tuple(item.name for item in fields(ModelOptions) if item.type is bool)
"""Options of a model that a card passes on: those that name no file."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A dictionary and where to find its parts again."""

    dictionary: Dictionary
    folder: Path
    """The folder with its weights."""
    model: str
    """What is loaded where nobody names a model; empty where the user must."""
    options: dict[str, Any]
    """How it is loaded."""


def share(run: str | Path, out: str | Path) -> Card:
    """Write the dictionary of a run into a folder to pass on; see ``dictionary.folder``.

    Args:
        run: a run folder with an autoencoder.
        out: a folder that is not there or empty.

    Raises:
        RunError: no run there, or it has no autoencoder yet; the folder holds something.
        DamagedError: a file of the run is missing or altered.
    """
    opened = run_dictionary(Path(run))
    kept = opened.dictionary
    metadata = {**kept.sae.metadata, "cells": kept.card.trained_on}  # names no folder of this machine
    return write_dictionary(Path(out), replace(kept, sae=replace(kept.sae, metadata=metadata)))


def open_dictionary(path: str | Path) -> Opened:
    """A dictionary that comes with cellprism, or from the folder that ``share`` wrote, or from a run.

    Raises:
        InputError: the folder is neither.
        RunError: the run has no autoencoder; a received folder holds links or other things that are no files.
        DamagedError: a file is missing or altered.
    """
    if str(path) in BUNDLED_DICTIONARIES:
        return _opened(read_bundled(str(path)), BUNDLED_DICTIONARIES[str(path)])
    folder = Path(path).expanduser()
    if (folder / STATE).is_file() and not (folder / CARD).is_file():
        return run_dictionary(folder)
    if not folder.is_dir():
        ours = " or ".join(BUNDLED_DICTIONARIES)
        raise InputError(f"there is no folder {folder}; give a run folder, one of `cellprism share`, or {ours}")
    return _opened(read_dictionary(folder), folder)


def _opened(found: Dictionary, folder: Path) -> Opened:
    # of what others wrote, only names that stand for something here are followed
    model = found.card.model.source if _opens_nothing(found.card.model.source) else ""
    options = {name: on for name, on in found.card.model.options.items() if name in SWITCHES and isinstance(on, bool)}
    return Opened(found, folder, model, options)


def run_dictionary(folder: Path) -> Opened:
    """The dictionary of a run.

    Raises:
        RunError: no run there, or it has no autoencoder yet.
        DamagedError: a file of the run is missing or altered.
    """
    run = Run.existing(folder)
    run.require("train", "train", "CELLS", "--out")
    config = config_of(run)
    place = folder / "sae" / f"L{config.layer}"
    sae = load_sae(place)
    context = read_context(folder)
    found = {name: _found(run, name) for name in ("fit", "programs", "naming", "stability")}
    card = Card(
        name=f"{context.model.name if context.model else 'model'}-L{config.layer}-{folder.resolve().name}",
        made_by=f"cellprism {version('cellprism')}",
        model=_model_card(config, sae, context.tokens),
        layer=config.layer, site=str(sae.metadata.get("site", context.place)),
        architecture=sae.architecture, n_features=sae.n_features, l0=sae.metadata.get("measures", {}).get("l0"),
        centring=str(sae.metadata.get("config", {}).get("centring", "none")),
        trained_on=_trained_on(sae), fit=_fit_card(sae, found["fit"]), labels=_label_card(found["naming"]),
        stability=_stability_card(found["stability"]), sha256={},
    )  # fmt: skip
    features = _features(sae, found["programs"], found["naming"], found["stability"])
    genes = () if context.tokens == "cells" else _genes(folder / "cells.h5ad")
    return Opened(Dictionary(sae, card, features, genes), place, config.model, config.model_options.given())


def _genes(path: Path) -> tuple[str, ...]:
    """Names of the genes of a run's cells."""
    with h5py.File(path, "r") as file:
        var: Any = file["var"]
        table: Any = read_elem(var)
        return tuple(map(str, table.index))


def _opens_nothing(source: str) -> bool:
    """Whether a model's name stands for one that comes with cellprism, or with the cells."""
    return source in BUNDLED or (not source.startswith(hub.SCHEME) and bool(source) and not any(model_path(source)[1:]))


def _found(run: Run, study: str) -> Any:
    """What a study found in a run, its files unaltered; None where it was not done."""
    if study not in run.state["steps"]:
        return None
    run.require(study, "do", study)
    return studies()[study].read(run.folder / study)


def _model_card(config: CommonConfig, sae: SparseAutoencoder, tokens: str) -> ModelCard:
    kept = sae.metadata
    named = config.model.startswith(hub.SCHEME) or _opens_nothing(config.model)
    options = {name: value for name, value in config.model_options.given().items() if name in SWITCHES}
    return ModelCard(
        name=str(kept.get("model_name", "")), revision=str(kept.get("model_revision", "")),
        source=config.model if named else "", licence=str(kept.get("model_licence", "unknown")),
        fingerprint=str(kept.get("model_fingerprint", "")), gene_order=str(kept.get("gene_order", "")),
        tokens=tokens, options=options,
    )  # fmt: skip


def _trained_on(sae: SparseAutoencoder) -> dict[str, Any]:
    cells = dict(sae.metadata.get("cells", {}))
    if "source" in cells:
        cells["source"] = PurePath(str(cells["source"])).name
    a_pass, epochs = sae.metadata.get("tokens", {}).get("per_epoch"), sae.metadata.get("config", {}).get("epochs")
    if isinstance(a_pass, int | float) and isinstance(epochs, int):
        cells["tokens"] = round(a_pass * epochs)
    return cells


def _fit_card(sae: SparseAutoencoder, found: Fit | None) -> FitCard:
    measures = sae.metadata.get("measures", {})
    whole, within = measures.get("explained_variance"), measures.get("explained_within")
    splice = None if found is None else found.measures.splice
    other = None if found is None else found.measures.other
    return FitCard(
        explained=whole if within is None else within,
        recovered=None if splice is None else splice.trained.value,
        recovered_interval=None if splice is None else splice.trained.interval,
        elsewhere="" if other is None else PurePath(other.source).name,
        explained_elsewhere=None if other is None else other.trained,
        explained_here=whole,
    )


def _label_card(found: Naming | None) -> LabelCard | None:
    if found is None:
        return None
    said = found.labels
    return LabelCard(said.shown, said.judged_on, PurePath(said.donors).name, said.auroc, said.chance)


def _stability_card(found: Stability | None) -> StabilityCard | None:
    if found is None or found.agreement is None:
        return None
    agreement = found.agreement
    return StabilityCard(agreement.grades, agreement.again.share, agreement.again.by_chance)


def _features(
    sae: SparseAutoencoder, programs: Programs | None, naming: Naming | None, stability: Stability | None
) -> pd.DataFrame:
    """One row a feature, with what the run knows of it; a label only where it foretells the feature."""
    table = pd.DataFrame({"feature": range(sae.n_features)})
    if sae.firing_rate is not None:
        table["firing_rate"] = sae.firing_rate.cpu().numpy()
    if naming is not None:
        rows = naming.features.to_dict("records")
        labels = {int(row["feature"]): label_of(row) for row in rows if row["shown"]}
        table["label"] = [labels.get(feature, "") for feature in table["feature"]]
    if programs is not None:
        known = programs.features.set_index("feature").reindex(table["feature"])
        enough = (known["best_padj"] < programs.rates["alpha"]).to_numpy()
        terms = [signed_term(str(t), str(s)) for t, s in zip(known["best_term"], known["sign"], strict=True)]
        table["term"] = [term if shown else "" for term, shown in zip(terms, enough, strict=True)]
        table["genes"] = known["top_genes"].fillna("").astype(str).to_numpy()
    if stability is not None:
        grades = stability.features.set_index("feature")["grade"].reindex(table["feature"])
        table["grade"] = grades.fillna("").astype(str).to_numpy()
    return table
