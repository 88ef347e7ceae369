"""A secret of an output, such as a token or a password: from a file or the environment, and so on no command line.

It is read once, before the privileges go, and stands in no message and no name.
"""

import os
from pathlib import Path
from typing import Final

from sensor.errors import ConfigError, reason_of
from sensor.files.bounded import read_bounded

LONGEST_BYTES: Final = 4096
EXPECTED: Final = f"one line of printable ASCII, {LONGEST_BYTES:,} bytes at most"


def secret_of(name: str, path: Path | None, variable: str | None) -> str | None:
    """The secret without the line end behind it; None where the settings name neither a file nor a variable.

    name: of the output, for messages. Raises ConfigError for a file that cannot be read, a variable that is not set,
    and what is empty, longer than LONGEST_BYTES or not one line of printable ASCII.
    """
    if path is not None:
        try:
            found = read_bounded(path, LONGEST_BYTES)
        except OSError as error:
            raise ConfigError(f"{name}: {path}: {reason_of(error)}, expected {EXPECTED}") from error
        return _checked(f"{name}: {path}", found)
    if variable is not None:
        if variable not in os.environ:
            raise ConfigError(f"{name}: the environment has no {variable}, expected a secret in it")
        return _checked(f"{name}: {variable} of the environment", os.environb[variable.encode()])
    return None


def _checked(place: str, found: bytes) -> str:
    secret = found.strip(b"\r\n \t")
    if not secret or len(found) > LONGEST_BYTES or any(not 0x20 <= byte < 0x7F for byte in secret):
        raise ConfigError(f"{place}: expected {EXPECTED}")
    return secret.decode("ascii")
