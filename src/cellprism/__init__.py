"""Look inside single-cell foundation models: sparse features, gene programs, steering, and what chance would give.

The public names are loaded when first used, so that ``import cellprism`` and ``cellprism --help`` stay quick.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cellprism.cells.read import read_cells as read_cells
    from cellprism.enrich.over_representation import over_representation as over_representation
    from cellprism.features.collect import feature_genes as feature_genes
    from cellprism.features.tokens.residuals import residual_tokens as residual_tokens
    from cellprism.features.train import SaeJob as SaeJob
    from cellprism.features.train import train_sae as train_sae
    from cellprism.features.train import train_saes as train_saes
    from cellprism.models.aido.pretrain import PretrainConfig as PretrainConfig
    from cellprism.models.aido.pretrain import pretrain as pretrain
    from cellprism.models.registry import load_model as load_model
    from cellprism.models.registry import save_model as save_model
    from cellprism.notebook import get as get
    from cellprism.notebook import pl as pl
    from cellprism.notebook import tl as tl
    from cellprism.notebook.exports.export import export as export
    from cellprism.notebook.opened import open_run as open_run
    from cellprism.ontology.gmt import read_gmt as read_gmt
    from cellprism.ontology.read import read_collection as read_collection
    from cellprism.sae.activations import activations as activations
    from cellprism.sae.autoencoder import SparseAutoencoder as SparseAutoencoder
    from cellprism.sae.config import SaeConfig as SaeConfig
    from cellprism.sae.files import load_sae as load_sae
    from cellprism.sae.files import save_sae as save_sae
    from cellprism.sae.fit import fit_sae as fit_sae
    from cellprism.sae.fit import fit_saes as fit_saes
    from cellprism.steering.contrast.contrast import contrast as contrast
    from cellprism.steering.edits import Ablate as Ablate
    from cellprism.steering.edits import Add as Add
    from cellprism.steering.edits import Clamp as Clamp
    from cellprism.steering.intervene import steer as steer
    from cellprism.steering.within import edited as edited
    from cellprism.workflow.encode import encode as encode
    from cellprism.workflow.feature_card import feature_card as feature_card

__version__ = "0.1.0"

_HOME = {
    "read_cells": "cells.read",
    "over_representation": "enrich.over_representation",
    "feature_genes": "features.collect",
    "residual_tokens": "features.tokens.residuals",
    "SaeJob": "features.train",
    "train_sae": "features.train",
    "train_saes": "features.train",
    "PretrainConfig": "models.aido.pretrain",
    "pretrain": "models.aido.pretrain",
    "load_model": "models.registry",
    "save_model": "models.registry",
    "export": "notebook.exports.export",
    "open_run": "notebook.opened",
    "read_gmt": "ontology.gmt",
    "read_collection": "ontology.read",
    "activations": "sae.activations",
    "SparseAutoencoder": "sae.autoencoder",
    "SaeConfig": "sae.config",
    "load_sae": "sae.files",
    "save_sae": "sae.files",
    "fit_sae": "sae.fit",
    "fit_saes": "sae.fit",
    "contrast": "steering.contrast.contrast",
    "Ablate": "steering.edits",
    "Add": "steering.edits",
    "Clamp": "steering.edits",
    "steer": "steering.intervene",
    "edited": "steering.within",
    "encode": "workflow.encode",
    "feature_card": "workflow.feature_card",
}

_MODULES = {"get": "notebook.get", "pl": "notebook.pl", "tl": "notebook.tl"}

__all__ = sorted([*_HOME, *_MODULES])  # pyright: ignore[reportUnsupportedDunderAll]


def _loaded(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"cellprism.{_MODULES[name]}")
    return getattr(import_module(f"cellprism.{_HOME[name]}"), name)


class _Package(ModuleType):
    """The package; each public name is a property of its class, so that completion sees it without loading it."""

    def __dir__(self) -> list[str]:
        return [*__all__, "__version__"]


for _name in __all__:
    setattr(_Package, _name, property(lambda package, name=_name: _loaded(name)))
sys.modules[__name__].__class__ = _Package
