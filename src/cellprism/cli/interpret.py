"""``cellprism interpret``: features to gene programs."""

from pathlib import Path

from cellprism.cli.options import Changes


def interpret(
    run: Path,
    *,
    collection: str | None = None,
    set_: Changes = None,
) -> None:
    """Name the gene programs of a run's features, and say how often chance would find some.

    Parameters
    ----------
    run
        A run folder with a trained autoencoder.
    collection
        Gene sets: ``blood``, a GMT file, or the name of a library in CELLPRISM_DATA_DIR.
    set_
        Change one key, as in ``--set interpret.replicates=200``; may be given several times.
    """
    from cellprism.cli.talk import bar, say
    from cellprism.workflow.config import changed
    from cellprism.workflow.pipeline import continue_run

    changes = [*(set_ or ()), *([f'interpret.collection="{collection}"'] if collection else [])]
    continue_run(run, "interpret", changed(run, changes), bar, say)
    say(f"programs in {run / 'features'} and {run / 'terms'}; next: cellprism steer {run}, or cellprism report {run}")
