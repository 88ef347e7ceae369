"""Files of JSON lines in directories, as syslog and log rotation lay them: by their names alone."""

import os
import re
from collections.abc import Iterator, Sequence
from typing import Final

from sensor.alerts.json_lines import STDIN
from sensor.errors import InputError, reason_of
from sensor.printable import printable

MOST_FILES: Final = 100_000
# Such as alerts.jsonl, alerts.jsonl.2.gz, gw1.log-20261130.zst
_LINES: Final = re.compile(r".*\.(jsonl|ndjson|json|log)([.-]\d{1,14})?(\.(gz|zst|xz|bz2|lz4))?\Z", re.IGNORECASE)


def with_directories(names: Sequence[str]) -> list[str]:
    """The same inputs, a directory as the files of lines below it, in the order of their names.

    Raises InputError for one that cannot be looked into, or holds none.
    """
    found: list[str] = []
    for name in names:
        found += _below(name) if name != STDIN and os.path.isdir(name) else [name]
    return found


def _below(directory: str) -> list[str]:
    files: list[str] = []
    for folder, inner, names in os.walk(directory, onerror=_refuse):
        inner.sort()
        paths = (os.path.join(folder, name) for name in sorted(names) if _LINES.fullmatch(name))
        files += filter(os.path.isfile, paths)
        if len(files) > MOST_FILES:
            raise InputError(f"{printable(directory)}: found more than {MOST_FILES:,} files of alerts")
    if not files:
        expected = "files of alerts in it, such as alerts.jsonl, alerts.jsonl.1.gz or gw1.log"
        raise InputError(f"{printable(directory)}: found a directory without alerts, expected {expected}")
    return files


def _refuse(error: OSError) -> Iterator[None]:
    raise InputError(f"{printable(str(error.filename))}: {reason_of(error)}, expected a directory of alerts") from error
