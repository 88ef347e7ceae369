"""Byte streams of a file as it is stored: with a count, waited for where nothing is there yet, a head put back.

It opens no file. What the system cannot read does not raise: the bytes end there, and `damage` describes it.
"""

import os
import select
from typing import Final, Protocol

UNREADABLE: Final = "unreadable after "  # begins what is wrong where it is not the bytes: a disk, a network


class RawFile(Protocol):
    """An unbuffered binary file: io.FileIO, or a test's stand-in."""

    def readinto(self, view: memoryview, /) -> int | None:
        """Read into the view once: bytes read, 0 at the end, None when nothing is available yet."""

    def fileno(self) -> int:
        """File descriptor."""

    def close(self) -> None:
        """Close it."""


class ByteStream(Protocol):
    """A stream of bytes that may end in damage."""

    damage: str | None  # why the bytes end here, None for a regular end

    def readinto(self, view: memoryview, /) -> int:
        """Read at least one byte into the view: bytes read, 0 at the end and at damage."""


class CountingReader:
    """Reads the bytes of a file as stored, and counts them."""

    def __init__(self, raw: RawFile) -> None:
        self.count = 0  # bytes read
        self.damage: str | None = None
        self._raw = raw

    def readinto(self, view: memoryview, /) -> int:
        """Read into the view: bytes read, 0 at the end and at an error of the system."""
        try:
            while (got := self._raw.readinto(view)) is None:  # somebody made the descriptor non-blocking
                waiting = select.poll()
                waiting.register(self._raw.fileno(), select.POLLIN)
                waiting.poll()
        except OSError as error:
            self.damage = f"{UNREADABLE}{self.count} bytes: {error.strerror or os.strerror(error.errno or 0)}"
            return 0
        self.count += got
        return got


class Behind:
    """A stream of bytes behind those that were looked at already."""

    def __init__(self, head: bytes, stream: ByteStream) -> None:
        self._head, self._stream = head, stream
        self.damage = stream.damage

    def readinto(self, view: memoryview, /) -> int:
        """Fill a part of the view; 0 at the end and where damage begins."""
        if not self._head:
            got = self._stream.readinto(view)
            self.damage = self._stream.damage
            return got
        part, self._head = self._head[: len(view)], self._head[len(view) :]
        view[: len(part)] = part
        return len(part)
