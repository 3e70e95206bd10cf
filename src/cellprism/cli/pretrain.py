"""``cellprism pretrain``: train a small cell model on one's own counts, and say how good it is."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cellprism.models.pretrain import PretrainConfig


def pretrain(
    cells: str,
    *,
    out: Path,
    genes: Path | None = None,
    labels: str | None = None,
    name: str | None = None,
    data_licence: str = "not stated",
    settings: Annotated[PretrainConfig, Parameter(name="*")] = PretrainConfig(),
) -> None:
    """Train a cell model of the AIDO.Cell family by masked regression, then measure it on held-out cells.

    Goes on where it stopped when called again with the same settings. The result loads with ``--model FOLDER``.

    Parameters
    ----------
    cells
        Raw counts: an .h5ad or 10x .h5 file, a 10x matrix folder, or the name of a data set.
    out
        Folder for the model, its checkpoint, curves and card.
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
    from cellprism.workflow.pretraining import pretrain_model

    with bar("training", settings.steps) as advance:
        card = pretrain_model(
            cells, out, settings, genes=genes, labels=labels, name=name or out.name, data_licence=data_licence,
            progress=lambda step, figures: advance(step, "  ".join(f"{k} {v:.4f}" for k, v in figures.items())),
        )  # fmt: skip
    say(card_table(card))
    say(f"model in {out}; look into it with: cellprism run --help, or cellprism train CELLS --model {out} --out RUN")


def card_table(card: dict) -> str:
    """The measured figures of a model card, each beside its yardsticks."""
    masked = card["assessment"]["masked"]
    lines = [f"masked error on {masked['test_cells']} held-out cells, {masked['share_hidden']:.0%} of "
             f"{masked['genes']} genes hidden (share of the gene means' error, 95 % interval over cells):"]  # fmt: skip
    for method, f in masked["methods"].items():
        lines.append(
            f"  {method:<20} {f['of_gene_mean']:.3f}  [{f['interval'][0]:.3f}, {f['interval'][1]:.3f}]  "
            f"mse {f['mse']:.4f}"
        )
    if types := card["assessment"]["cell_types"]:
        lines.append(f"cell types read by logistic regression on {types['test_cells']} held-out cells (largest type "
                     f"{types['largest_type']:.3f}):")  # fmt: skip
        for source, f in types["readout"].items():
            lines.append(f"  {source:<20} {f['accuracy']:.3f}  [{f['interval'][0]:.3f}, {f['interval'][1]:.3f}]")
    before = card["assessment"]["neighbours_at_start"]
    lines.append("nearest gene embeddings (in brackets: before the first step):")
    for gene, near in card["assessment"]["neighbours"].items():
        lines.append(f"  {gene:<8} {', '.join(near)}  ({', '.join(before.get(gene, []))})")
    return "\n".join(lines)
