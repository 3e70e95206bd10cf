"""Cells in, their features out: any cells through a dictionary, block by block, on one process or many.

- Cells are read in the genes that the dictionary was trained with, as the training cells were: what it says of others
  is noise, and data sets that measure other genes would not be comparable.
- Counts stay on disk: memory is that of a forward pass, of one shard, and of what is known of cells apart from counts.
  Cells that cannot be read in blocks (10x files, old or gene-by-gene .h5ad) are read whole once and laid beside the
  result while the work goes on.
- What was done lies in a hidden folder beside the result, a file a shard, until the result is whole. The same command
  goes on there.
- Cells a pass are planned for the memory that is free, and kept with the shards: a pass decides the last bits.
"""

import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anndata
import pandas as pd
import torch
from anndata import AnnData
from anndata.utils import make_index_unique

from cellprism.cells.genes import ReadsEmbedding
from cellprism.cells.manifest import read_manifest
from cellprism.cells.read import read_cells
from cellprism.cells.several import is_manifest
from cellprism.cells.stored import stored_cells
from cellprism.cells.streamed import CheckedCells, checked_cells
from cellprism.dictionary.encode_block import Encoder, fitted
from cellprism.dictionary.sharded import CELLS_A_SHARD, PLAN, Summary, Task, cut, encode_task, write_plan, written
from cellprism.display import in_bytes
from cellprism.errors import ConfigError, ModelError, RunError
from cellprism.features.origin import check_site, fingerprint, forced_past, reads_with
from cellprism.models.passes import free_memory
from cellprism.models.registry import load_model
from cellprism.parallel.cluster import check_cluster, engine_of
from cellprism.parallel.engine import Engine
from cellprism.parallel.pace import Pace
from cellprism.parallel.shards import ShardFolder
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.store.atomic import clear_beside, read_json
from cellprism.store.h5ad import write_h5ad
from cellprism.store.identity import hash_of, identity_of_path
from cellprism.store.run import digest
from cellprism.studies.workbench import CELLS_A_PASS, Bar, Say, device_of
from cellprism.types import CellModel, FitsToCells, PlansPasses
from cellprism.workflow.share import Opened, open_dictionary

LAZY = (".h5ad", ".zarr")
VALUE = 8  # bytes of a stored activation and its place


@dataclass(frozen=True)
class Where:
    """Where and how it computes; nothing of it changes what comes out, beyond rounding."""

    cluster: str = ""
    """Empty for this process alone, else as ``parallel.cluster.engine_of``."""
    dashboard: bool = False
    device: str = ""
    offline: bool = False


@dataclass(frozen=True)
class Read:
    """How cells are read."""

    counts: str | None
    totals: str | None
    genes: tuple[str, ...]
    """Those that are read; all that the model knows where empty."""


@contextmanager
def _no_bar(title: str, total: int | None):
    yield lambda done, words="": None


def encode(
    cells: AnnData | str | Path,
    dictionary: str | Path,
    *,
    model: str = "",
    counts: str | None = None,
    totals: str | None = None,
    out: str | Path | None = None,
    cluster: str = "",
    device: str = "",
    offline: bool = False,
) -> AnnData:
    """Features of any cells by a dictionary that was trained on others; one line, no run needed.

    Args:
        cells: an AnnData, an .h5ad file, a .csv manifest of several, or anything else that ``read_cells`` takes.
        dictionary: ``bundled:blood``, which comes with cellprism, a folder that ``cellprism share`` wrote, or a run
            folder.
        model: where the dictionary's model is, if it does not come with cellprism: as ``load_model``.
        counts: which matrix holds raw counts: ``"X"`` (the default), ``"layers/NAME"`` or ``"raw"``.
        totals: column of ``obs`` with each cell's count over all genes, where the matrix holds only some.
        out: an .h5ad file to write as it comes; the result is then backed by it. For more cells than fit into memory,
            and on machines that share a disk.
        cluster: ``"local:4"``, ``"tcp://HOST:PORT"`` or ``"slurm:8"`` to work on several processes.
        device: where to compute; by default a GPU if there is one.
        offline: take models of the hub from the cache alone.

    Returns:
        AnnData, cells x features. ``X``: mean activation over the cell's present tokens, sparse: the genes
        that the dictionary was trained with and that are measured here. obs: as read, with
        ``total_counts``, ``n_tokens`` and ``explained``, the share of the cell's inner state about the training's mean
        that its features explain. var: what the dictionary knows of its features. ``uns["cellprism"]``: its card.

    Raises:
        CellsError: the cells cannot be used.
        ModelError: the model is not the one, or its genes are not in the order, that the dictionary was trained on.
        InputError: there is no dictionary.
        DamagedError: one of its files is missing or altered.

    >>> import cellprism as cp
    >>> features = cp.encode("cells.h5ad", "blood")
    Traceback (most recent call last):
    cellprism.errors.InputError: there is no folder blood; give a run folder, one of `cellprism share`, or bundled:blood
    """
    asked: dict[str, Any] = {"model": model, "counts": counts, "totals": totals}
    asked["where"] = Where(cluster, False, device, offline)
    if out is not None:
        encode_to(Path(out), cells, dictionary, **asked)
        return anndata.read_h5ad(out, backed="r")
    with tempfile.TemporaryDirectory(prefix="cellprism-") as scratch:
        encode_to(Path(scratch) / "features.h5ad", cells, dictionary, **asked)
        return anndata.read_h5ad(Path(scratch) / "features.h5ad")


def encode_to(
    out: Path,
    cells: AnnData | str | Path,
    dictionary: str | Path,
    *,
    model: str = "",
    counts: str | None = None,
    totals: str | None = None,
    where: Where = Where(),
    bar: Bar = _no_bar,
    say: Say = lambda text: None,
    again: bool = False,
) -> Summary:
    """What ``encode`` returns, written to a file as it comes; the arguments and errors are its own.

    Args:
        out: the .h5ad file to write.
        where: where it computes.
        bar: makes progress bars.
        say: told what a person should know.
        again: write over a file that is there.

    Raises:
        RunError: the file is there.
        CellprismError: some cells failed; they are named, and what was done is kept.
    """
    if out.suffix != ".h5ad":
        raise ConfigError(f"the result is an .h5ad file, but its name is {out}; let it end in .h5ad")
    home = out.parent / f".{out.name}.shards"
    for place in (out, home):
        clear_beside(place)
    if out.exists() and not again:
        raise RunError(f"{out} is there; choose another name, or say --again to write over it")
    check_cluster(where.cluster)
    opened = open_dictionary(dictionary)
    device = device_of(where.device)
    loaded = _model(opened, model, where.offline)
    sae, layer = opened.dictionary.sae.to(device), opened.dictionary.card.layer
    if not isinstance(loaded, FitsToCells):  # before any cell is read
        _refuse_others(loaded, sae, layer, opened)
    said, notes = _checked(cells, loaded, Read(counts, totals, opened.dictionary.genes), home, bar)
    for note in notes:
        say(f"note: {note}")
    first = said[0].aligned.part(0, min(CELLS_A_PASS, len(said[0].obs)))
    fit = fitted(loaded, first, device)
    _refuse_others(fit, sae, layer, opened)
    folder = ShardFolder(home, _identity(fit, opened, said, layer, device))
    with engine_of(where.cluster, where.dashboard) as engine:
        settings = {
            "model": _absolute(model or opened.model), "options": opened.options, "offline": where.offline,
            "sae": str(opened.folder.resolve()), "layer": layer, "device": str(device),
            "cells_a_pass": _cells_a_pass(fit, folder, len(said[0].var), engine.workers, say),
        }  # fmt: skip
        write_plan(folder.folder, settings, [one.aligned for one in said])
        encoder = Encoder(loaded, sae, layer, settings["cells_a_pass"], device)
        results = _mapped(engine, encoder, folder, said, bar, say, out)
    with bar("writing the features", None):
        summary = written(out, results, _rows(said), _features(opened, sae), _about(opened, said))
    folder.clear()
    return summary


def _model(opened: Opened, named: str, offline: bool) -> CellModel:
    """The model that is named, or that the dictionary comes with.

    Raises:
        ModelError: neither does; the message says which model it was.
    """
    if source := named or opened.model:
        return load_model(source, offline=offline, **(opened.options if not named or named == opened.model else {}))
    card = opened.dictionary.card.model
    known = card.source or "the files of that model"
    raise ModelError(
        f"this dictionary reads the model {card.name!r} ({card.revision}), which does not come with cellprism; say "
        f"where it is: --model {known}"
    )


def _absolute(source: str) -> str:
    """A model as workers find it, who may have another working directory."""
    return str(Path(source).expanduser().absolute()) if Path(source).expanduser().exists() else source


def _refuse_others(model: CellModel, sae: SparseAutoencoder, layer: int, opened: Opened) -> None:
    """Refuse a model, or an order of genes, that the dictionary was not trained on.

    Raises:
        ModelError: says both, and which model to take.
    """
    card = opened.dictionary.card.model
    check_site(model, sae, layer, force=True)
    unknown = "" if "model_fingerprint" in sae.metadata else "on a model of which it does not keep the fingerprint"
    if others := forced_past(model, sae, layer) or unknown:
        take = f"--model {card.source}" if card.source else f"--model PATH of {card.name!r} ({card.revision})"
        raise ModelError(
            f"this dictionary was {others}, so its features would mean nothing here; encode with the model that it was "
            f"trained on: {take}"
        )


def _checked(
    cells: AnnData | str | Path, model: CellModel, wanted: Read, home: Path, bar: Bar
) -> tuple[list[CheckedCells], list[str]]:
    """Every file of cells, checked and aligned; and what a person should know of them."""
    path = Path(cells).expanduser() if isinstance(cells, str | Path) else None
    if path is not None and is_manifest(path):
        listed = [(one.path, one.columns) for one in read_manifest(path)]
    else:
        listed = [(cells, {})]
    found, notes = [], []
    for number, (source, columns) in enumerate(listed):
        one = _one(source, model, wanted, home / f"cells-{number}.h5ad", bar)
        found.append(_with_columns(one, columns))
        of = f"{Path(str(source)).name}: " if len(listed) > 1 else ""
        notes += [of + note for note in one.notes]
    return found, notes


def _one(source: Any, model: CellModel, wanted: Read, staged: Path, bar: Bar) -> CheckedCells:
    key = model.key if isinstance(model, ReadsEmbedding) else None
    path = Path(source).expanduser() if isinstance(source, str | Path) else None
    lazy = path is not None and path.suffix.lower() in LAZY and path.exists()
    stored, totals = stored_cells(path, wanted.counts, key) if lazy and path is not None else None, wanted.totals
    if stored is None:
        with bar("reading cells", None):
            write_h5ad(staged, read_cells(source, model, counts=wanted.counts, totals=totals))
        stored, totals = stored_cells(staged, None, key), None
        assert stored is not None, "it was just written, cell by cell"
    with bar("checking counts", stored.n_cells) as advance:
        checked = checked_cells(stored, model.gene_table, totals, wanted.genes, advance)
    return replace(checked, source=str(path or "an AnnData in memory"))


def _with_columns(checked: CheckedCells, columns: dict[str, str]) -> CheckedCells:
    if not columns:
        return checked
    return replace(checked, obs=checked.obs.assign(**columns))


def _identity(model: CellModel, opened: Opened, said: list[CheckedCells], layer: int, device: torch.device) -> str:
    """Hash of everything that decides the shards, but for the size of a pass."""
    files = [
        [identity_of_path(Path(one.aligned.rows.path)), one.aligned.rows.where, one.aligned.rows.embedding,
         one.aligned.totals_from, one.aligned.place.tolist()] for one in said
    ]  # fmt: skip
    weights = {file.name: hash_of(file) for file in sorted(opened.folder.glob("*.safetensors"))}
    read = [fingerprint(model), reads_with(model), opened.options]
    return digest([version("cellprism"), read, weights, layer, device.type, files, CELLS_A_SHARD])


def _cells_a_pass(model: CellModel, folder: ShardFolder, n_genes: int, workers: int, say: Say) -> int:
    """Cells of a forward pass: as before where shards are kept, else as the memory that is free allows."""
    if (folder.folder / PLAN).is_file():
        return int(read_json(folder.folder / PLAN)["cells_a_pass"])
    if not isinstance(model, PlansPasses):
        return CELLS_A_PASS
    lies = getattr(model, "device", torch.device("cpu"))
    plan = model.plan(n_genes, free=free_memory(lies) // workers)
    say(f"{plan}, in each of {workers} processes" if workers > 1 else str(plan))
    return min(plan.cells, CELLS_A_SHARD)


def _mapped(
    engine: Engine, encoder: Encoder, folder: ShardFolder, said: list[CheckedCells], bar: Bar, say: Say, out: Path
) -> Any:
    """Every shard encoded."""
    sizes = [len(one.obs) for one in said]
    shards = cut(folder.folder, sizes, [one.obs.index for one in said], encoder.cells_a_pass)
    tokens = len(said[0].var) if encoder.model.tokens == "genes" else 1
    say(planned(encoder.sae, sizes, len(shards), tokens, engine.workers, shutil.disk_usage(out.parent).free))
    left = sum(shard.size for shard in folder.missing(shards))
    if left < sum(sizes):
        say(f"{sum(sizes) - left:,} cells are done already")
    with bar("encoding", left) as advance:

        def work(task: Task) -> dict[str, Any]:
            return encoder.block(said[task.file].aligned.part(task.start, task.stop))

        return engine.map(encode_task if engine.elsewhere else work, shards, folder, Pace("cells", advance))


def planned(sae: SparseAutoencoder, sizes: list[int], shards: int, tokens: int, workers: int, free: int) -> str:
    """What is about to be done, and what it may take on disk, in one line.

    Args:
        sae: the autoencoder.
        sizes: cells of each file.
        shards: how many there are.
        tokens: tokens of a cell.
        workers: processes.
        free: bytes that are free where the result goes.
    """
    a_cell = min(sae.n_features, sae.k * tokens) if sae.k is not None else sae.n_features
    most = sum(sizes) * a_cell * VALUE
    files = f" of {len(sizes)} files" if len(sizes) > 1 else ""
    at_once = f" by {workers} processes" if workers > 1 else ""
    line = (
        f"{sum(sizes):,} cells{files} in {shards:,} shards{at_once}; at most {in_bytes(most)} of shards, and about as "
        f"much for the result, where {in_bytes(free)} are free"
    )
    return line if 2 * most <= free else f"{line}: it may not fit"


def _rows(said: list[CheckedCells]) -> pd.DataFrame:
    """All cells; of several files the columns that all have, and names that no two share."""
    if len(said) == 1:
        return said[0].obs
    rows = pd.concat([one.obs for one in said], join="inner")
    if rows.index.has_duplicates:
        names = [f"{name}-{number}" for number, one in enumerate(said) for name in one.obs.index]
        rows.index = make_index_unique(pd.Index(names))
    return rows


def _features(opened: Opened, sae: SparseAutoencoder) -> pd.DataFrame:
    table = opened.dictionary.features
    return table.drop(columns="feature").set_axis(pd.Index(table["feature"].astype(str), name="feature"))


def _about(opened: Opened, said: list[CheckedCells]) -> dict[str, Any]:
    """What is kept with the features: the card, and the cells' sources."""
    card = opened.dictionary.card
    sources = [Path(one.source).name for one in said]
    return {
        "dictionary": card.name, "model": card.model.name, "revision": card.model.revision, "layer": card.layer,
        "site": card.site, "licence": card.model.licence, "model_fingerprint": card.model.fingerprint,
        "gene_order": card.model.gene_order, "sources": sources, "made_by": f"cellprism {version('cellprism')}",
        "table": "mean activation over present tokens, cells x features",
    }  # fmt: skip
