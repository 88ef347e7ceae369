"""Which of a sensor's own lines a page of the last hours tells: those since a moment, in its file and the rotated ones.

It knows no clock: what the moment is comes from outside.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sensor.alerts.kinds import timestamp
from sensor.alerts.reading import NativeLine, Record
from sensor.alerts.sensor_records import StatsRecord
from sensor.report.coverage import StatsCounts
from sensor.settings.config import Config
from sensor.settings.outputs import FileEntry

# What stands in the name of a file that logrotate moved: a number or a date behind that of the log, or a date before
# its extension (logrotate.conf(5): dateformat, extension); then how it was compressed.
_NUMBER, _DATE, _PACKED = r"[.-]\d[\d._-]{0,29}", r"[.-]\d[\d._-]{7,29}", r"(\.(gz|zst|xz|bz2|lz4))?"


@dataclass(frozen=True, slots=True)
class Since:
    """How far back a page goes."""

    words: str = ""  # as it was asked for, such as `24h`; "" for everything
    time_ns: int = 0  # the moment
    until_ns: int = 0  # from which it goes back, now


def own_files(config: Config, since_ns: int) -> list[Path]:
    """The file that the settings have alerts written to in our own format, behind the rotated ones that may still speak
    of the time since; none where they name no file.
    """
    own = config.output.file or next(
        (entry.path for entry in config.outputs if isinstance(entry, FileEntry) and entry.format == "native"), None
    )
    if own is None:
        return []
    name, stem, extension = map(re.escape, (own.name, own.stem, own.suffix))
    moved = re.compile(f"({name}{_NUMBER}|{stem}{_DATE}{extension}){_PACKED}")
    rotated = [
        (found.stat().st_mtime_ns, found)
        for found in own.parent.glob("*")
        if moved.fullmatch(found.name) and os.path.isfile(found)
    ]
    earlier = [path for changed_ns, path in sorted(rotated) if changed_ns >= since_ns]
    # Between a rotation and the next line there may be none of the name itself.
    return [*earlier, own] if os.path.exists(own) or not earlier else earlier


def since(
    lines: Iterable[tuple[NativeLine, Record | None]], since_ns: int, stats: StatsCounts
) -> Iterator[tuple[NativeLine, Record | None]]:
    """The lines that say something of the time since. stats: gets to know what was counted before."""
    earliest = timestamp(since_ns)
    for native, record in lines:
        if record is None:
            time = native.document.get("@timestamp")
            if not isinstance(time, str) or time >= earliest:
                yield native, record
        elif record.time_ns >= since_ns:
            yield native, record
        elif isinstance(record, StatsRecord):
            stats.pass_over(record)
