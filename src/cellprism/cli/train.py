"""``cellprism train``: start a run."""

from pathlib import Path

from cellprism.cli.options import Again, Changes, Cluster, Dashboard, Device, Offline, Only, Whole, only_of
from cellprism.display import command


def train(
    cells: str,
    *,
    out: Path,
    model: str = "pbmc2",
    layer: Whole | None = None,
    labels: str = "",
    counts: str = "",
    totals: str = "",
    only: Only = None,
    seed: Whole = 0,
    preset: str = "",
    track: str = "",
    device: Device = "",
    offline: Offline = False,
    again: Again = False,
    cluster: Cluster = "",
    dashboard: Dashboard = False,
    set_: Changes = None,
) -> None:
    """Read cells, align them to the model's genes, and train a sparse autoencoder on its residual stream.

    Started by ``torchrun``, all its processes train together; the first one writes and talks.

    Parameters
    ----------
    cells
        Raw counts: an .h5ad, .h5mu or 10x .h5 file, a .zarr or 10x matrix folder, a .csv manifest of several, or the
        name of a data set.
    out
        The run folder.
    model
        ``pbmc2``, a model folder or file, ``hf://owner/name@COMMIT``, or ``FAMILY:WHAT``, such as ``obsm:X_pca``.
    layer
        Block whose output is read, counted from 0; default: 1, and 0 for models that read a cell as a whole.
    labels
        obs column with cell types; default: the one known for the data set, or ``cell_type``.
    counts
        Which matrix of an .h5ad file holds raw counts: ``X`` (the default), ``layers/NAME`` or ``raw``.
    totals
        obs column with each cell's count over all genes, where the matrix holds only some.
    only
        Read only cells with this value of an obs column, as in ``--only cell_type=B``; may be given several times.
    seed
        Seed of every random choice.
    preset
        Settings of published work, of all studies too: ``yc2026``; other flags and ``--set`` change them further.
    track
        Send the training's figures to ``wandb`` or ``trackio`` as well.
    set_
        Change one key, as in ``--set train.k=16``; may be given several times.
    """
    from cellprism.cli.talk import bar, say
    from cellprism.sae.distributed import is_first, started
    from cellprism.workflow.config import make_config
    from cellprism.workflow.pipeline import start_run

    asked: dict[str, object] = {
        "cells": cells, "model": model, "layer": layer, "labels": labels, "counts": counts, "totals": totals,
        "only": only_of(only), "seed": seed,
    }  # fmt: skip
    if layer is None:
        del asked["layer"]
    if preset:
        asked["preset"] = preset
    config = make_config(asked, set_ or (), "the command line")
    with started():
        start_run(
            config, out, bar, say, ("cells", "train"), track=track, device=device, offline=offline, again=again,
            cluster=cluster, dashboard=dashboard,
        )  # fmt: skip
        if is_first():
            say(f"autoencoder in {out}; next: {command('do', 'fit', out)}, or {command('do', 'programs', out)}")
