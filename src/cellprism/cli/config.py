"""``cellprism config``: a first configuration for some cells."""

from pathlib import Path

from cyclopts import App

config = App(name="config", help="Configurations: init writes a first one for your cells.")


@config.command
def init(cells: str, *, model: str = "pbmc2", out: Path | None = None) -> None:
    """Look into cells, and write a configuration with the counts and cell types found and every key explained.

    Parameters
    ----------
    cells
        An .h5ad, .h5mu or 10x .h5 file, a .zarr or 10x matrix folder, a .csv manifest of several, or the
        name of a data set.
    model
        ``pbmc2``, a model folder or file, ``hf://owner/name@COMMIT``, or ``FAMILY:WHAT``.
    out
        The file to write; by default it is printed.
    """
    from cellprism.cli.talk import say
    from cellprism.display import command
    from cellprism.workflow.first_config import first_config, written

    if out is None:
        print(first_config(cells, model), end="")
        return
    written(cells, model, out)
    say(f"wrote {out}; next: {command('run', out, '--out', 'runs/a')}")
