"""The option --memory of the commands that read datasets of any size: how much of it may be resident."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer

from sensor.errors import ConfigError, OutputError, reason_of

_UNITS: Final = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_SIZE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([KMGT]?)(?:i?B)?", re.ASCII | re.IGNORECASE)

MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="Resident memory that the command keeps to, such as 2G; the rest of the rows lies in temporary files. "
        "The result is the same.",
    ),
]


@contextmanager
def within_memory(size: str | None) -> Iterator[None]:
    """Keep to so much memory. Raises typer.BadParameter for what is no size, ConfigError where it is too little.

    Raises OutputError where the temporary files, in which the rest of the rows lies, cannot be kept.
    """
    from training.datasets.rows import TemporaryFileError
    from training.memory import MemoryBoundError, bounded

    with bounded(memory_bytes(size)):
        try:
            yield
        except MemoryBoundError as error:
            raise ConfigError(str(error)) from error
        except TemporaryFileError as error:
            raise OutputError(
                f"{error.filename}: rows cannot be kept there while they are worked on: {reason_of(error)}; TMPDIR "
                "chooses another directory"
            ) from error


def memory_bytes(size: str | None) -> int | None:
    """Bytes of a size as people type it. Raises typer.BadParameter for others, and for too little or too much."""
    from training.memory import LEAST_BYTES, MOST_BYTES, in_words

    if size is None:
        return None
    found = _SIZE.fullmatch(size.strip())
    asked = int(float(found[1]) * (1 << _UNITS[found[2].upper()])) if found else 0
    if not LEAST_BYTES <= asked <= MOST_BYTES:
        expected = f"expected a size such as 512M or 2G, from {in_words(LEAST_BYTES)} to {in_words(MOST_BYTES)}"
        raise typer.BadParameter(f"found {size[:40]!r}, {expected}", param_hint="--memory")
    return asked
