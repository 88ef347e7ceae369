"""A finished page onto the disk: whole, or not at all; and what can be known beforehand, before minutes are spent."""

import os
from collections.abc import Sequence
from pathlib import Path

from sensor.errors import OutputError, reason_of
from sensor.files import unfinished
from sensor.files.unfinished import whole_file
from sensor.sources.captures.files import STDIN, captures_in


def refuse_unwritable(page: Path, inputs: Sequence[str]) -> None:
    """Raise OutputError where the page would replace an input or a thing that is no file, or cannot be written."""
    target = Path(os.path.realpath(page))
    for name in captures_in(inputs):
        if name != STDIN and (target == Path(os.path.realpath(name)) or _same_file(target, Path(name))):
            raise OutputError(f"{page}: found one of the inputs, expected another name for the page")
    try:
        unfinished.refuse_unwritable(page)
    except OSError as error:
        raise _refused(page, error) from error


def publish(html: str, page: Path) -> None:
    """Write the page, whole or not at all. Raises OutputError.

    Its owner and group may read it, as alerts: it holds addresses.
    """
    try:
        with whole_file(page) as stream:
            stream.write(html.encode())
    except OSError as error:
        raise _refused(page, error) from error


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _refused(page: Path, error: OSError) -> OutputError:
    return OutputError(f"{page}: page cannot be written: {reason_of(error)}")
