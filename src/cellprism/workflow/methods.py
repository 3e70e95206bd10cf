"""The methods paragraph of a run, written from its record: nothing is said that the folder does not hold."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from cellprism.cells.datasets import DATASETS
from cellprism.enrich.labels import UNLABELLED
from cellprism.errors import RunError
from cellprism.report.context import Context, read_context
from cellprism.store.run import Run
from cellprism.studies.common import CommonConfig
from cellprism.studies.study import BASE, studies
from cellprism.workflow.citations import cited
from cellprism.workflow.config import config_of

ARCHITECTURES = {
    "topk": "TopK", "batchtopk": "BatchTopK", "matryoshka": "Matryoshka", "l1": "L1", "gated": "gated",
    "jumprelu": "JumpReLU",
}  # fmt: skip
CENTRINGS = {
    "none": "", "global": " The mean vector of all tokens was subtracted first.",
    "group": " Each gene's mean vector was subtracted first.",
}  # fmt: skip


def methods_text(folder: str | Path) -> str:
    """What was done in a run, in paragraphs: data and model, autoencoder, studies with their settings, versions,
    licences and references.

    Args:
        folder: the run folder.

    Raises:
        RunError: no run there, or no autoencoder was trained.
        DamagedError: a file is missing or unreadable.
    """
    run = Run.existing(Path(folder))
    context, config = read_context(run.folder), config_of(run)
    if context.layer is None or context.cells is None or context.model is None:
        raise RunError(f"{folder} has no trained autoencoder yet, so there is nothing to describe")
    done = [name for name in context.record["steps"] if name in studies()]
    parts = [
        _data(context, config), _autoencoder(context, config), *(_study(name, config) for name in done),
        "Numbers were judged beside the control named with each. Claims with a p-value were corrected together for the "
        "false discovery rate under any dependence [Benjamini and Yekutieli 2001].",
        _versions(context), _licences(context, config),
    ]  # fmt: skip
    text = "\n\n".join(parts)
    references = cited(text, config)
    return f"{text}\n\nReferences\n\n" + "\n".join(f"- {reference}" for reference in references)


def _data(context: Context, config: CommonConfig) -> str:
    cells, model = context.cells, context.model
    assert cells is not None
    assert model is not None
    known = DATASETS.get(cells.source)
    where = f"{cells.source} ({known.origin})" if known else cells.source
    only = "; ".join(f"{column}: {', '.join(values)}" for column, values in config.only.items())
    named = [name for name in cells.types if name != UNLABELLED]
    types = f", of {len(named)} types" if len(named) > 1 else ""
    trained = f" It was trained on {model.data}." if model.data else ""
    return (
        f"We analysed {cells.n_cells:,} cells{types}, from {where}{f' ({only})' if only else ''}. Raw counts were "
        f"aligned to the {model.n_genes:,} genes of the model {model.name} ({model.revision}; {model.n_layers} blocks "
        f"of {model.d_model} dimensions), of which {cells.n_genes:,} were measured.{trained}"
    )


def _autoencoder(context: Context, config: CommonConfig) -> str:
    train, model = config.train, context.model
    assert model is not None
    width = train.n_features or train.expansion * model.d_model
    batch = f"{train.batch_cells} cells" if train.batch_cells else f"{train.batch_size:,} tokens"
    what = "transcoder" if train.target_layer is not None else "sparse autoencoder"
    control = "" if train.null == "none" else f" As a control it was left {train.null}."
    return (
        f"A {ARCHITECTURES[train.architecture]} {what} of {width:,} features, {train.k} of which fire at a token, was "
        f"trained on the {'residual stream after ' if model.tokens == 'genes' else ''}{context.place} for "
        f"{train.epochs} epoch{'s' * (train.epochs > 1)} in batches of {batch} ({train.tokens} tokens), with Adam "
        f"at a peak learning rate of {train.learning_rate:g} and "
        f"seed {config.seed}.{CENTRINGS[train.centring]}{control}"
    )


def _study(name: str, config: CommonConfig) -> str:
    """What was done, and every setting that it was done with."""
    settings = ", ".join(f"{key} {value}" for key, value in _flat(getattr(config, name)))
    study = studies()[name]
    return f"{study.method or study.title} (`{name}`: {settings or 'no settings'}.)"


def _flat(settings: Any, before: str = "") -> list[tuple[str, str]]:
    found = []
    for field in fields(settings):
        value = getattr(settings, field.name)
        if is_dataclass(value):
            found += _flat(value, f"{before}{field.name}.")
        elif value not in ("", None, ()):
            shown = "[" + ", ".join(map(str, value)) + "]" if isinstance(value, tuple) else str(value)
            found.append((f"{before}{field.name}", shown))
    return found


def _versions(context: Context) -> str:
    steps = context.record["steps"]
    records = [steps[name] for name in (*BASE, *studies()) if name in steps]
    versions = sorted({f"{name} {number}" for record in records for name, number in record.get("versions", {}).items()})
    machines = sorted({f"{r['device']} ({r['machine']})" for r in records if "device" in r and "machine" in r})
    python = sorted({r["python"] for r in records if "python" in r})
    return f"Computed with Python {', '.join(python)} and {', '.join(versions)}, on {', '.join(machines)}."


def _licences(context: Context, config: CommonConfig) -> str:
    cells, model = context.cells, context.model
    assert cells is not None
    assert model is not None
    known = DATASETS.get(cells.source)
    data = known.licence if known else "as their source states (not recorded)"
    return f"Licences: model {model.licence}; cells {data}; cellprism BSD-3-Clause."
