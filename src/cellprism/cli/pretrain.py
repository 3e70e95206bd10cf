"""``cellprism pretrain``: train a small cell model on one's own counts, and say how good it is."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from cellprism.cli.flags import flags_of, given
from cellprism.cli.options import Device
from cellprism.display import command
from cellprism.errors import ConfigError
from cellprism.models.aido.pretrain import PretrainConfig
from cellprism.models.latent.dgd_train import DgdTraining
from cellprism.models.latent.scvi_train import ScviTraining

KINDS = {"aido": PretrainConfig, "scvi": ScviTraining, "dgd": DgdTraining}
AidoFlags, ScviFlags, DgdFlags = (flags_of(settings, keep_defaults=True) for settings in KINDS.values())
AIDO, SCVI, DGD = AidoFlags(), ScviFlags(), DgdFlags()


def pretrain(
    cells: str,
    *,
    out: Path,
    family: Literal["aido", "scvi", "dgd"] = "aido",
    genes: Path | None = None,
    labels: str | None = None,
    name: str | None = None,
    data_licence: str = "not stated",
    device: Device = "",
    settings: Annotated[AidoFlags, Parameter(name="*")] = AIDO,  # pyright: ignore[reportInvalidTypeForm]
    scvi: ScviFlags = SCVI,  # pyright: ignore[reportInvalidTypeForm]
    dgd: DgdFlags = DGD,  # pyright: ignore[reportInvalidTypeForm]
) -> None:
    """Train a small cell model, then measure it on held-out cells beside simpler methods.

    ``aido``: of the AIDO.Cell family, by masked regression; goes on where it stopped when called again with the same
    settings. ``scvi`` (with scvi-tools) and ``dgd``: one vector a cell and a decoder to its counts; their settings are
    ``--scvi.NAME`` and ``--dgd.NAME``. The result loads with ``--model FOLDER``.

    Parameters
    ----------
    cells
        Raw counts: an .h5ad, .h5mu or 10x .h5 file, a .zarr or 10x matrix folder, a .csv manifest of several, or the
        name of a data set.
    out
        Folder for the model, its checkpoint, curves and card.
    family
        What kind of model.
    genes
        Gene list with columns symbol, ensembl, alias (tab-separated); default: the 2,000 most variable genes.
    labels
        obs column with cell types, used only to measure the result.
    name
        The model's name; default: the folder's name.
    data_licence
        Licence and origin of the cells, recorded in the card.
    """
    from cellprism.cli.talk import bar, say
    from cellprism.studies.workbench import device_of
    from cellprism.workflow.pretraining import pretrain_latent, pretrain_model

    flags = {"aido": settings, "scvi": scvi, "dgd": dgd}
    settings_of: dict[str, Any] = {name: kind(**dict(given(flags[name]))) for name, kind in KINDS.items()}
    for other, asked in settings_of.items():
        if other != family and asked != type(asked)():
            kind = "the AIDO.Cell family" if other == "aido" else other
            own = "" if family == "aido" else f"{family}."
            raise ConfigError(f"settings of {kind} are given, but --family is {family}; its own are --{own}NAME")
    asked = settings_of[family]
    with bar("training", asked.steps if family == "aido" else asked.epochs) as advance:
        card = (pretrain_model if family == "aido" else pretrain_latent)(
            cells, out, asked, genes=genes, labels=labels, name=name or out.name, data_licence=data_licence,
            device=device_of(device),
            progress=lambda step, figures: advance(step, "  ".join(f"{k} {v:.4f}" for k, v in figures.items())),
        )  # fmt: skip
    say(card_table(card))
    train = command("train", "CELLS", "--model", out, "--out", "RUN")
    say(f"model in {out}; look into it with: cellprism run --help, or {train}")


def card_table(card: dict) -> str:
    """The measured figures of a model card, each beside its yardsticks."""
    found = card["assessment"]
    lines = _reconstruction_lines(found) if "reconstruction" in found else _masked_lines(found["masked"])
    if types := found["cell_types"]:
        test_cells = types.get("test_cells", found.get("test_cells"))
        lines.append(f"cell types read by logistic regression on {test_cells} held-out cells (largest type "
                     f"{types['largest_type']:.3f}):")  # fmt: skip
        for source, f in types["readout"].items():
            lines.append(f"  {source:<20} {f['accuracy']:.3f}  [{f['interval'][0]:.3f}, {f['interval'][1]:.3f}]")
    if "neighbours" in found:
        lines.append("nearest gene embeddings (in brackets: before the first step):")
        before = found["neighbours_at_start"]
        for gene, near in found["neighbours"].items():
            lines.append(f"  {gene:<8} {', '.join(near)}  ({', '.join(before.get(gene, []))})")
    return "\n".join(lines)


def _masked_lines(masked: dict) -> list[str]:
    if not masked:
        return ["no masked error: the hidden genes have the same counts in all held-out cells"]
    lines = [f"masked error on {masked['test_cells']} held-out cells, {masked['share_hidden']:.0%} of "
             f"{masked['genes']} genes hidden (share of the gene means' error, 95 % interval over cells):"]  # fmt: skip
    for method, f in masked["methods"].items():
        lines.append(
            f"  {method:<20} {f['of_gene_mean']:.3f}  [{f['interval'][0]:.3f}, {f['interval'][1]:.3f}]  "
            f"mse {f['mse']:.4f}"
        )
    return lines


def _reconstruction_lines(found: dict) -> list[str]:
    lines = [f"half of the counts of {found['test_cells']} held-out cells predicted from the other half, "
             f"{found['genes']} genes (nats a count gained on the gene means, 95 % interval over cells):"]  # fmt: skip
    for method, f in found["reconstruction"].items():
        lines.append(f"  {method:<20} {f['gain']:+.4f}  [{f['interval'][0]:+.4f}, {f['interval'][1]:+.4f}]")
    return lines
