"""``cellprism report``: the claims and the page of a run."""

from pathlib import Path


def report(run: Path, *, layer: int | None = None) -> None:
    """Write claims.json and report.html from a run folder alone.

    Parameters
    ----------
    run
        The run folder.
    layer
        Which layer to show, where the run has several.
    """
    from cellprism.cli.talk import say
    from cellprism.report.page import write_report
    from cellprism.store.run import Run

    Run.existing(run)
    page = write_report(run, layer)
    say(f"claims in {run / 'claims.json'}; open {page.resolve().as_uri()} in a browser")
