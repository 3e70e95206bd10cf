"""``cellprism measure``: how well an autoencoder stands for its model."""

from pathlib import Path

from cellprism.cli.options import Changes


def measure(
    run: Path,
    *,
    other: str = "",
    set_: Changes = None,
) -> None:
    """Measure a run's autoencoder beside an untrained one: loss recovered, fit per class of genes, firing rates.

    Prints ``measures.json``, which is kept in the run folder.

    Parameters
    ----------
    run
        A run folder with a trained autoencoder.
    other
        Cells of another data set to measure the fit on as well: a file or the name of a data set.
    set_
        Change one key, as in ``--set measure.cells=500``; may be given several times.
    """
    from cellprism.cli.talk import bar, say
    from cellprism.store.run import Run
    from cellprism.workflow.config import changed
    from cellprism.workflow.pipeline import continue_run
    from cellprism.workflow.steps import config_of

    changes = [*(set_ or ()), *([f'measure.other="{other}"'] if other else [])]
    config = changed(run, changes)
    continue_run(run, "measure", config, bar, say)
    layer = (config or config_of(Run(run))).layer
    print((run / "sae" / f"L{layer}" / "measures.json").read_text(encoding="utf-8"), end="")
    say(f"next: cellprism interpret {run}, or cellprism report {run}")
