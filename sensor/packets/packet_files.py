"""Where all packets of a watch are written: one file, or files one after the other. It names them and opens none.

Names follow tcpdump(8): with an interval the file's name is a pattern of strftime(3), in local time. A name that is
taken is never used again but gets a number: kept.pcapng, kept_00001.pcapng, kept_00002.pcapng.
"""

import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sensor.errors import OutputError

MAX_NUMBER: Final = 99_999  # after which a name is given up: something else fills the directory
_SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class PacketFiles:
    """The files of all packets: their name, and when the next one begins. Without either limit there is one file."""

    path: Path  # a pattern of strftime where every_ns is given
    size_bytes: int | None = None  # that a file may have; one packet alone may be larger
    every_ns: int | None = None  # length of the intervals that have a file each
    files: int | None = None  # that are kept: older ones of the same run are removed

    @property
    def rotates(self) -> bool:
        """Whether another file follows the first."""
        return self.size_bytes is not None or self.every_ns is not None

    def path_at(self, time_ns: int) -> Path:
        """Path of a file that begins at this moment of the wall clock, if its name is free.

        Raises OutputError for a pattern that gives no file name.
        """
        if self.every_ns is None:
            return self.path
        directory, pattern = self.path.parent, self.path.name
        local = time.localtime(time_ns // _SECOND_NS)
        if _formatted(str(directory), local) != str(directory):
            raise OutputError(f"{self.path}: found a pattern in the directory, expected it in the file's name only")
        name = _formatted(pattern, local)
        if name in ("", ".", "..") or os.path.basename(name) != name:
            raise OutputError(
                f"{self.path}: found a pattern that gives {name!r}, expected one that gives a file's name"
            )
        return directory / name

    def paths_at(self, time_ns: int, first: int = 0) -> Iterator[Path]:
        """The same and its alternatives, to be tried in this order. first: number of the first one, 0 for none.

        Raises OutputError as path_at, and when there is no further one.
        """
        path = self.path_at(time_ns)
        for number in range(first, MAX_NUMBER + 1):
            yield path.with_name(f"{path.stem}_{number:05}{path.suffix}") if number else path
        raise OutputError(f"{path}: packets cannot be written: found all numbers up to {MAX_NUMBER:,} taken")

    def free_path(self, time_ns: int, first: int = 0) -> Path:
        """Path of the file that would be made at this moment. first, and OutputError: as of paths_at."""
        if not self.rotates:
            return self.path
        return next(itertools.dropwhile(os.path.lexists, self.paths_at(time_ns, first)))


def _formatted(pattern: str, local: time.struct_time) -> str:
    """The pattern with its conversions; as it is where the system takes it for none (ValueError)."""
    try:
        return time.strftime(pattern, local)
    except ValueError:
        return pattern
