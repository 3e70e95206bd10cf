"""Which forms there are, and writing one."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from cellprism.errors import ConfigError
from cellprism.notebook.opened import OpenRun, as_run

HERE = "cellprism.notebook.exports"


@dataclass(frozen=True)
class Form:
    """One form of results."""

    where: str
    """``module:function`` of (run, out, ...) -> the files written."""
    title: str
    """What is written, in a few words."""

    @property
    def write(self) -> Callable[..., list[Path]]:
        """The function that writes it."""
        module, _, name = self.where.partition(":")
        return getattr(import_module(f"{HERE}.{module}"), name)


FORMS = {
    "anndata": Form("cells:write_cells", "cells with the features in named slots: .h5ad, .zarr or .h5mu"),
    "gmt": Form("gmt:write_gmt", "the gene list of every feature, for enrichment tools"),
    "neuronpedia": Form("neuronpedia:write_batches", "batches of features as Neuronpedia takes them"),
    "parquet": Form("atlas:write_parquet", "cells or features with a map, for embedding-atlas"),
    "saelens": Form("saelens:write_saelens", "the autoencoder as a folder that SAELens loads"),
}


def export(run: OpenRun | str | Path, to: str, out: str | Path, **options: Any) -> list[Path]:
    """Write a run's results in a form that another program reads.

    Args:
        run: a run, or its folder.
        to: ``anndata``, ``gmt``, ``neuronpedia``, ``parquet`` or ``saelens``.
        out: the file or folder to write.
        options: of the form: ``into`` (anndata: your own file, which the slots are added to), ``of`` (parquet:
            ``cells`` or ``features``), ``centred`` (saelens: what vectors have been taken off when it reads them).

    Returns:
        The files.

    Raises:
        ConfigError: no such form, or an option that it does not have.
        RunError: the run lacks what is to be written.

    >>> import cellprism as cp
    >>> cp.export("demo", "gmt", "programs.gmt")
    [PosixPath('programs.gmt')]
    """
    if to not in FORMS:
        raise ConfigError(f"there is no form {to!r} to export: expected one of {', '.join(FORMS)}")
    write = FORMS[to].write
    known = set(signature(write).parameters) - {"run", "out"}
    if wrong := sorted(name for name in options if name not in known):
        raise ConfigError(f"{to} has no option {wrong[0]}; it has {', '.join(sorted(known)) or 'none'}")
    return write(as_run(run), Path(out), **options)
