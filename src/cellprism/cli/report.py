"""``cellprism report``: the claims and the page of a run."""

from pathlib import Path


def report(run: Path) -> None:
    """Write claims.json and report.html from a run folder alone.

    Parameters
    ----------
    run
        The run folder.
    """
    from cellprism.cli.talk import say
    from cellprism.workflow.publish import write_report

    page = write_report(run)
    say(f"claims in {run / 'claims.json'}; open {page.resolve().as_uri()} in a browser")
