"""``cellprism methods``: the methods paragraph of a run."""

from pathlib import Path


def methods(run: Path) -> None:
    """Print what was done in a run as a paper's methods section has it: settings, versions, data, licences, citations.

    Parameters
    ----------
    run
        The run folder.
    """
    from cellprism.workflow.methods import methods_text

    print(methods_text(run))
