"""``cellprism atlas``: a run as a static site to browse."""

from pathlib import Path


def atlas(
    run: Path,
    *,
    out: Path | None = None,
    no_live: bool = False,
    beside: Path | None = None,
    own_map: str = "",
) -> None:
    """Write a run as a static site: features, genes, terms, cells, and steering in the page.

    The folder opens by a double click on index.html, and works on any web server; it asks nothing of any other place.

    Parameters
    ----------
    run
        A run folder whose features have been turned into programs.
    out
        Where the site goes; an older atlas there is replaced. By default it is site in the run folder, and the run's
        report leads to it.
    no_live
        Leave the model out, with which the page steers. It is never fetched, and only small ones ride along.
    beside
        Another run: another layer, model, training or donor, whose features are matched with those of this one.
    own_map
        Name in obsm of your own map of the cells; by default X_umap, where their file has it.
    """
    from cellprism.atlas.make import make_atlas
    from cellprism.cli.talk import bar, say
    from cellprism.workflow.publish import ATLAS

    made = make_atlas(run, out, bar, live=not no_live, beside=beside, own_map=own_map)
    say(made.words)
    index = run / ATLAS if out is None else out / "index.html"
    say(f"open {index.resolve().as_uri()} in a browser, or put {index.parent} on any web server")
