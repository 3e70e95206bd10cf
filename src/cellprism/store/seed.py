"""A seed that every generator of random numbers takes: torch's, NumPy's and scikit-learn's."""

from cellprism.errors import ConfigError

LARGEST = 2**31 - 1


def check_seed(seed: int, name: str = "seed") -> int:
    """The seed.

    Raises:
        ConfigError: it is negative, or too large for one of the generators.
    """
    if not 0 <= seed <= LARGEST:
        raise ConfigError(f"{name} is {seed}: expected a whole number from 0 to {LARGEST:,}")
    return seed
