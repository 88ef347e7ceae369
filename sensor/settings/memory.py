"""Settings that ask for more memory than the system gives: told as what they are, at the start."""

from collections.abc import Iterator
from contextlib import contextmanager

from sensor.errors import ConfigError


@contextmanager
def given_memory(*settings: str) -> Iterator[None]:
    """Raise ConfigError where there is no memory for what these settings ask for."""
    try:
        yield
    except MemoryError as error:
        raise ConfigError(
            f"{' and '.join(settings)}: found no memory for so much on this system, expected less"
        ) from error
