"""Files of JSON lines in directories, as syslog and log rotation lay them: by their names alone."""

import os
import re
from collections.abc import Iterator, Sequence
from typing import Final

from sensor.alerts.json_lines import STDIN
from sensor.errors import InputError, reason_of
from sensor.printable import printable

MOST_FILES: Final = 100_000
# Such as alerts.jsonl, alerts.jsonl.2.gz, gw1.log-20261130.zst, gw1.log-2026-11-30
_LINES: Final = re.compile(
    r"(?P<log>.*\.(jsonl|ndjson|json|log))([.-](?P<rotated>\d[\d._-]{0,29}))?(\.(gz|zst|xz|bz2|lz4))?\Z", re.IGNORECASE
)
_DATE_DIGITS: Final = 8  # of what a rotation is named by where it is not counted


def with_directories(names: Sequence[str]) -> list[str]:
    """The same inputs, a directory as the files of lines below it; files of one log the oldest first.

    Raises InputError for one that cannot be looked into, or holds none.
    """
    found: list[str] = []
    for name in _oldest_first(names):
        found += _below(name) if name != STDIN and os.path.isdir(name) else [name]
    return found


def _oldest_first(names: Sequence[str]) -> Iterator[str]:
    """Files of one log change places among themselves."""
    logs: dict[str, list[str]] = {}
    for name in names:
        logs.setdefault(_age(name)[0], []).append(name)
    in_order = {log: iter(sorted(files, key=_age)) for log, files in logs.items()}
    return (next(in_order[_age(name)[0]]) for name in names)


def _below(directory: str) -> list[str]:
    files: list[str] = []
    for folder, inner, names in os.walk(directory, onerror=_refuse):
        inner.sort()
        paths = (os.path.join(folder, name) for name in sorted(names, key=_age) if _LINES.fullmatch(name))
        files += filter(os.path.isfile, paths)
        if len(files) > MOST_FILES:
            raise InputError(f"{printable(directory)}: found more than {MOST_FILES:,} files of alerts")
    if not files:
        expected = "files of alerts in it, such as alerts.jsonl, alerts.jsonl.1.gz or gw1.log"
        raise InputError(f"{printable(directory)}: found a directory without alerts, expected {expected}")
    return files


def _age(name: str) -> tuple[str, int, str]:
    """Sorts the files of one log, the oldest first: alerts.jsonl.2, alerts.jsonl.1, alerts.jsonl."""
    found = _LINES.fullmatch(name)
    if found is None or found["rotated"] is None:
        return (name if found is None else found["log"]), 1, ""
    digits = re.sub(r"\D", "", found["rotated"])
    by_date = len(digits) >= _DATE_DIGITS
    return found["log"], 0 if by_date else -int(digits), digits


def _refuse(error: OSError) -> Iterator[None]:
    raise InputError(f"{printable(str(error.filename))}: {reason_of(error)}, expected a directory of alerts") from error
