"""``cellprism atlas``: a run as a static site to browse."""

from pathlib import Path


def atlas(run: Path, *, out: Path, no_live: bool = False) -> None:
    """Write a run as a static site: features, genes, terms, cells, and steering in the page.

    The folder opens by a double click on index.html, and works on any web server; it asks nothing of any other place.

    Parameters
    ----------
    run
        A run folder whose features have been turned into programs.
    out
        Where the site goes; an older atlas there is replaced.
    no_live
        Leave the model out, with which the page steers. It is never fetched, and only small ones ride along.
    """
    from cellprism.atlas.make import make_atlas
    from cellprism.cli.talk import bar, say

    made = make_atlas(run, out, bar, live=not no_live)
    say(made.words)
    say(f"open {(out / 'index.html').resolve().as_uri()} in a browser, or put {out} on any web server")
