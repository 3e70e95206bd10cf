"""``cellprism models``: what cell models there are, fetching one, and checking an adapter."""

import json
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from cellprism.cli.options import Device
from cellprism.cli.talk import download_bars, say
from cellprism.display import command

if TYPE_CHECKING:
    from cellprism.models.hub import HubFacts
    from cellprism.types import CellModel

models = App(name="models", help="Cell models: list, info, fetch, check.")


@models.command(name="list")
def list_() -> None:
    """Print the models that come with the package, and the families of models that are installed."""
    from cellprism.errors import ModelError
    from cellprism.models.registry import BUNDLED, families, family, looks_for

    for name, description in BUNDLED.items():
        print(f"{name}\t{description}")
    for name in sorted(families()):
        try:
            print(f"{name}:\t{looks_for(family(name))}")
        except ModelError as error:
            print(f"{name}:\tcannot be used: {error}")


@models.command
def info(model: str = "pbmc2", *, offline: bool = False) -> None:
    """Print a model's sizes, licence and card; of a model of the hub, licence and files before anything is fetched.

    Parameters
    ----------
    model
        ``pbmc2``, a model folder or file, ``hf://owner/name@COMMIT``, or ``FAMILY:PATH``.
    offline
        Ask nobody; models of the hub are looked up in the cache alone.
    """
    from cellprism.errors import ModelError
    from cellprism.models import hub
    from cellprism.models.registry import load_model

    if model.startswith(hub.SCHEME):
        source = hub.parse(model)
        _print_listing(model, hub.facts(source, offline))
        try:
            print(f"in the cache: {hub.fetch(source, offline=True)}")
        except ModelError:
            say(f"not fetched yet; next: {command('models', 'fetch', model)}")
            return
    _print_facts(load_model(model, offline=True))


@models.command
def fetch(model: str, *, offline: bool = False) -> None:
    """Fetch a model of the hub at a pinned revision, every file checked; prints the folder it lies in.

    Parameters
    ----------
    model
        ``hf://owner/name@COMMIT``, with all 40 digits of the commit, and ``#FOLDER`` where there are several models.
    offline
        Only check that all of it is in the cache.
    """
    from cellprism.errors import ModelError
    from cellprism.models import hub
    from cellprism.models.registry import fetch_model

    if not model.startswith(hub.SCHEME):
        raise ModelError(
            f"{model!r} is no model of the hub and needs no fetching; expected {hub.SCHEME}owner/name@COMMIT"
        )
    say(f"licence: {hub.licence(hub.parse(model), offline)}")
    with download_bars() as told:
        folder = fetch_model(model, offline=offline, progress=told)
    print(folder)
    check, train = command("models", "check", model), command("train", "CELLS", "--model", model, "--out", "RUN")
    say(f"next: {check}, or {train}")


@models.command
def check(
    model: str,
    *,
    cells: str = "bundled:pbmc68k",
    count: int = 5,
    offline: bool = False,
    device: Device = "",
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Say whether a model keeps the promises that everything else relies on; exit code 1 if it breaks one.

    Parameters
    ----------
    model
        ``pbmc2``, a model folder or file, ``hf://owner/name@COMMIT``, or ``FAMILY:PATH``.
    cells
        Raw counts that it can read: a file, a 10x folder, or the name of a data set.
    count
        Cells to check it on, spread over the data set; 3 at least. A model is run about 20 times on them.
    offline
        Take models of the hub from the cache alone.
    json_
        Print JSON instead of a table.
    """
    from cellprism.cli.talk import bar
    from cellprism.errors import CellprismError
    from cellprism.models.conformance import CHECKS, FAILS, conformance, some_cells, table, to_json
    from cellprism.models.registry import load_model
    from cellprism.studies.workbench import device_of
    from cellprism.types import MovesToDevice

    with download_bars() as told:
        loaded = load_model(model, offline=offline, progress=told)
    if isinstance(loaded, MovesToDevice):
        loaded.to(device_of(device))
    some = some_cells(cells, loaded, count)
    with bar("checking", len(CHECKS)) as advance:
        outcomes = conformance(loaded, some, advance)
    print(json.dumps(to_json(outcomes), indent=2) if json_ else table(outcomes))
    broken = [outcome.check for outcome in outcomes if outcome.verdict == FAILS]
    if broken:
        raise CellprismError(f"{model} breaks {len(broken)} of {len(CHECKS)} promises: {', '.join(broken)}")
    say(f"{model} holds, on {some.n_obs} cells")


def _print_listing(model: str, facts: "HubFacts") -> None:
    """What the hub says of a repository: licence, gate and files."""
    total = sum(file.size for file in facts.files.values())
    print(f"{model}, licence: {facts.licence}" + (", gated: needs HF_TOKEN" if facts.gated else ""))
    print(f"{len(facts.files)} files, {total / 1e6:,.1f} MB")
    for name, file in sorted(facts.files.items()):
        print(f"  {file.size / 1e6:>10,.1f} MB  {name}")


def _print_facts(model: "CellModel") -> None:
    """Sizes, licence, limits and measures of a loaded model."""
    from torch.nn import Module

    from cellprism.cli.pretrain import card_table

    print(f"{model.name} ({model.revision}), licence: {model.licence}")
    facts = [f"{model.n_layers} block{'s' if model.n_layers > 1 else ''}", f"d_model {model.d_model}",
             f"{len(model.genes):,} genes" if model.genes else "no gene list"]  # fmt: skip
    if isinstance(model, Module):
        facts.append(f"{sum(p.numel() for p in model.parameters()):,} parameters")
    facts.append(f"predicts {model.predicts.replace('_', ' ')}")
    print(", ".join(facts))
    for limit in model.card.get("limits", ()):
        print(f"limit: {limit}")
    if model.card.get("assessment"):
        print(card_table(dict(model.card)))
