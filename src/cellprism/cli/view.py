"""``cellprism view``: a run's atlas, served to this machine alone."""

import webbrowser
from pathlib import Path

from cellprism.cli.options import Whole


def view(
    run: Path,
    *,
    port: Whole = 0,
    no_live: bool = False,
    no_browser: bool = False,
    beside: Path | None = None,
    own_map: str = "",
) -> None:
    """Look at a run's atlas, served to this machine alone until Ctrl-C.

    A model that is too large for the page, or of a family that it does not know, is steered by this process.

    Parameters
    ----------
    run
        A run folder, or a site that ``cellprism atlas`` made.
    port
        Port on 127.0.0.1; by default a free one.
    no_live
        Leave the model out, with which the page steers.
    no_browser
        Only say the address.
    beside
        Another run, whose features are matched with those of this one.
    own_map
        Name in obsm of your own map of the cells; by default X_umap, where their file has it.
    """
    import tempfile

    from cellprism.atlas.make import is_atlas, make_atlas
    from cellprism.atlas.serve import server_of
    from cellprism.cli.talk import bar, say

    with tempfile.TemporaryDirectory(prefix="cellprism-view-") as scratch:
        site = run if is_atlas(run) else Path(scratch) / "site"
        with server_of(site, port) as server:
            if site is not run:
                made = make_atlas(run, site, bar, live=not no_live, served=True, beside=beside, own_map=own_map)
                server.steering = made.steering
                say(made.words)
            address = f"http://127.0.0.1:{server.server_address[1]}/"
            print(address, flush=True)
            say("for this machine alone; Ctrl-C ends it")
            if not no_browser:
                webbrowser.open(address)
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                say("ended")
