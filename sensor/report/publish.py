"""A finished page onto the disk: whole, or not at all; and what can be known beforehand, before minutes are spent."""

import os
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sensor.errors import OutputError
from sensor.sources.captures.files import STDIN, captures_in


def refuse_unwritable(page: Path, inputs: Sequence[str]) -> None:
    """Raise OutputError where the page would replace an input or a thing that is no file, or cannot be written."""
    target = Path(os.path.realpath(page))
    for name in captures_in(inputs):
        if name != STDIN and (target == Path(os.path.realpath(name)) or _same_file(target, Path(name))):
            raise OutputError(f"{page}: found one of the inputs, expected another name for the page")
    try:
        if target.is_dir():
            raise IsADirectoryError(21, "is a directory")
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            raise OSError(22, "is no regular file")
        _trial(target)
    except OSError as error:
        raise _refused(page, error) from error


def publish(html: str, page: Path) -> None:
    """Write the page under a temporary name beside it and rename it. Raises OutputError; then nothing is left behind.

    Its owner and group may read it, as alerts: it holds addresses.
    """
    target = Path(os.path.realpath(page))
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise _refused(page, error) from error
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(html)
            file.flush()
            os.fsync(file.fileno())
        unfinished.chmod(0o640)
        unfinished.replace(target)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise _refused(page, error) from error
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _trial(target: Path) -> None:
    """Make and remove a file beside the target: permissions alone do not tell of a read-only file system."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".part", dir=target.parent)
    os.close(descriptor)
    Path(name).unlink()


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _refused(page: Path, error: OSError) -> OutputError:
    return OutputError(f"{page}: page cannot be written: {(error.strerror or str(error)).lower()}")
