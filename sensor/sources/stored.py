"""Bytes of a capture as they are stored, counted, and the same unpacked when they are gzip (RFC 1952)."""

import os
import select
import zlib
from typing import Final, Protocol

PIECE: Final = 65_536  # bytes of gzip data unpacked at a time


class RawFile(Protocol):
    """An unbuffered binary file: io.FileIO, or a test's stand-in."""

    def readinto(self, view: memoryview, /) -> int | None:
        """Fill the view as far as one read does; 0 at the end, None when nothing has arrived yet."""

    def fileno(self) -> int:
        """Number of the descriptor."""

    def close(self) -> None:
        """Close it."""


class ByteStream(Protocol):
    """Where a capture's bytes come from."""

    damage: str | None  # why the bytes end where they do, None when they end well

    def readinto(self, view: memoryview, /) -> int:
        """Fill a part of the view, at least a byte; 0 at the end and where damage begins."""


class StoredBytes:
    """A raw file's bytes, counted."""

    def __init__(self, raw: RawFile) -> None:
        self.count = 0
        self.damage: str | None = None
        self._raw = raw

    def readinto(self, view: memoryview, /) -> int:
        """Fill a part of the view; 0 at the end and where the system reports an error."""
        try:
            while (got := self._raw.readinto(view)) is None:  # somebody made the descriptor non-blocking
                waiting = select.poll()
                waiting.register(self._raw.fileno(), select.POLLIN)
                waiting.poll()
        except OSError as error:
            self.damage = f"unreadable after {self.count} bytes: {error.strerror or os.strerror(error.errno or 0)}"
            return 0
        self.count += got
        return got


class Gunzip:
    """What gzip data of one or several members unpacks to, up to the last byte before damage."""

    def __init__(self, stored: StoredBytes, head: bytes) -> None:
        """head: bytes that were read from `stored` already."""
        self.damage: str | None = None
        self._stored = stored
        self._packed = head
        self._piece = bytearray(PIECE)
        self._member = zlib.decompressobj(wbits=31)
        self._salvaged = b""

    def readinto(self, view: memoryview, /) -> int:
        """Fill a part of the view; 0 at the end and where damage begins."""
        while not self.damage:
            if self._member.eof and not self._open_member():
                return 0
            if not self._packed:
                self._packed = self._read()
            last = not self._packed
            unpacked = self._unpack(len(view))
            if unpacked:
                view[: len(unpacked)] = unpacked
                return len(unpacked)
            if last and not self._member.eof and not self.damage:
                self.damage = (
                    self._stored.damage or f"truncated: the gzip data ends early, at byte {self._stored.count}"
                )
        part = self._salvaged[: len(view)]
        self._salvaged = self._salvaged[len(part) :]
        view[: len(part)] = part
        return len(part)

    def _read(self) -> bytes:
        return bytes(self._piece[: self._stored.readinto(memoryview(self._piece))])

    def _open_member(self) -> bool:
        """Go on to the next member; False when there is none. Zeros may pad the end, as on tapes."""
        packed = self._member.unused_data.lstrip(b"\0")
        while not packed:
            piece = self._read()
            if not piece:
                self.damage = self._stored.damage
                return False
            packed = piece.lstrip(b"\0")
        self._packed = packed
        self._member = zlib.decompressobj(wbits=31)
        return True

    def _unpack(self, room: int) -> bytes:
        """At most `room` bytes out of what is packed."""
        before = self._member.copy()
        try:
            unpacked = self._member.decompress(self._packed, room)
        except zlib.error:
            self._salvage(before)
            return b""
        self._packed = self._member.unconsumed_tail
        return unpacked

    def _salvage(self, member: "zlib._Decompress") -> None:
        """Unpack byte by byte up to the damage: zlib returns nothing of the call that meets it."""
        unpacked = bytearray()
        taken = 0
        try:
            for taken in range(len(self._packed)):
                unpacked += member.decompress(self._packed[taken : taken + 1])
        except zlib.error:
            pass
        self._salvaged = bytes(unpacked)
        self.damage = f"corrupt gzip data near byte {self._stored.count - len(self._packed) + taken}"
