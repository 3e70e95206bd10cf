"""Planted cells by name: ``planted:small``, or ``planted:small:7`` for another seed."""

from anndata import AnnData

from cellprism.errors import ConfigError
from cellprism.simulate.cells import planted_cells


def named_cells(words: str) -> AnnData:
    """Planted cells of a preset, with their answers.

    Args:
        words: PRESET or PRESET:SEED.

    Raises:
        ConfigError: there is no such preset, or the seed is no whole number of 0 or more.
    """
    preset, colon, seed = words.partition(":")
    if colon and not (seed.isascii() and seed.isdigit()):
        raise ConfigError(f"planted:{words}: the seed is {seed!r}; expected a whole number, as in planted:{preset}:7")
    return planted_cells(preset, int(seed) if colon else 0)
