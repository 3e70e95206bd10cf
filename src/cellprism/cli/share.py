"""``cellprism share``: the dictionary of a run, to be passed on."""

from pathlib import Path


def share(run: Path, *, out: Path) -> None:
    """Write a run's autoencoder and its card into a small folder, with which others encode their cells.

    The card says of which model it is, what it was trained on, and what the run measured of fit, labels and stability.

    Parameters
    ----------
    run
        A run folder with an autoencoder (``cellprism train``).
    out
        A folder that is not there or empty.
    """
    from cellprism.cli.talk import say
    from cellprism.display import command
    from cellprism.workflow.share import share as written

    card = written(run, out)
    print(out)
    encode = command("encode", "CELLS", "--with", out, "--out", "FILE.h5ad")
    say(f"{card.n_features:,} features of {card.model.name}; next: {encode}")
