"""``cellprism demo``: the whole instrument on real cells, without a network."""

from importlib.resources import files
from pathlib import Path

from cellprism.cli.options import Again


def demo(*, out: Path = Path("demo"), again: Again = False) -> None:
    """Look inside a small cell model on 700 real blood cells: programs, steering, CD4 to CD8, and chance beside all.

    Needs no network. Ends with a page to open in a browser.

    Parameters
    ----------
    out
        The run folder.
    """
    from cellprism.cli.talk import bar, say
    from cellprism.workflow.config import read_config
    from cellprism.workflow.pipeline import start_run
    from cellprism.workflow.publish import write_report

    start_run(read_config(Path(str(files("cellprism.workflow") / "demo.toml"))), out, bar, say, again=again)
    page = write_report(out)
    say(f"open {page.resolve().as_uri()} in a browser; next: cellprism run CONFIG.toml --out RUN on your own cells")
