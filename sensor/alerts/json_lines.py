"""Alerts out of files of JSON lines: plain, gzip or zstd, or standard input; and out of a file that still grows.

Anybody may have written such a file. A line that is no alert is counted by what is wrong with it and the next one is
read; it is never held as a whole when it is long. Input that ends in damage is read up to there.
"""

import io
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from sensor.alerts.alert import Alert
from sensor.alerts.reading import alert_of
from sensor.errors import InputError
from sensor.files.compression import ByteStream, Gunzip, RawFile, StoredBytes, Unzstd
from sensor.files.magic import GZIP_MAGIC, ZSTD_MAGIC
from sensor.printable import printable

STDIN: Final = "-"
LONGEST_LINE: Final = 65_536  # bytes; our own end at 8 KiB, what a pipeline added may be longer
LOOK_AGAIN_S: Final = 0.25
PIECE: Final = 65_536
# Families of schemas, up to the number, that are ours and no alerts.
OTHER_RECORDS: Final = ("stats/", "event/", "flow/")


@dataclass(frozen=True, slots=True)
class Entry:
    """An alert of a log. line: as it stood there, with its newline; document: what it says; alert: the same checked."""

    line: bytes
    document: dict[str, Any]
    alert: Alert


@dataclass(slots=True)
class Account:
    """What became of the lines that are no alerts.

    refused: how many, by reason; first: of each reason, where it was met first and what it was. damage: one line for
    each input that could not be read to its end.
    """

    refused: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)

    def refuse(self, reason: str, place: str, detail: str = "") -> None:
        """Count a line."""
        self.refused[reason] += 1
        self.first.setdefault(reason, f"{place}{': ' * bool(detail)}{detail}")

    @property
    def whole(self) -> bool:
        """Whether every line was what it should be."""
        return not self.refused and not self.damage

    def words(self) -> list[str]:
        """One line for each kind of trouble; file names and texts in it are not yet printable."""
        told = [
            f"{count:,} {'line' if count == 1 else 'lines'} left out: {reason} (first: {self.first[reason]})"
            for reason, count in sorted(self.refused.items())
        ]
        return told + self.damage


def entries(names: Iterable[str], account: Account) -> Iterator[Entry]:
    """The alerts of inputs, one input after the other; `-` is standard input. One that cannot be opened is damage."""
    for name in names:
        try:
            yield from entries_of(lines_of(name, account), name, account)
        except InputError as error:
            account.damage.append(str(error))


def entries_of(lines: Iterable[bytes | None], name: str, account: Account) -> Iterator[Entry]:
    """The alerts among lines, None standing for one that was too long. name: of the input, for people."""
    for number, line in enumerate(lines, 1):
        place = f"{name}:{number}"
        if line is None:
            account.refuse("longer than 64 KiB", place)
            continue
        if not line.strip():
            continue
        try:
            document = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            account.refuse("not JSON", place, str(error))
            continue
        own = document.get("flowvigil") if isinstance(document, dict) else None
        schema = own.get("schema") if isinstance(own, dict) else None
        if isinstance(schema, str) and schema.startswith(OTHER_RECORDS):
            continue
        if not isinstance(schema, str) or not schema.startswith("alert/"):
            account.refuse("no record of this sensor", place)
            continue
        try:
            alert = alert_of(document)
        except ValueError as error:
            account.refuse("an alert with a field that does not fit", place, str(error))
            continue
        yield Entry(line if line.endswith(b"\n") else line + b"\n", document, alert)


def lines_of(name: str, account: Account) -> Iterator[bytes | None]:
    """The lines of an input, None for one that is too long. Raises InputError when it cannot be opened."""
    raw = io.FileIO(sys.stdin.fileno(), closefd=False) if name == STDIN else _opened(name)
    with raw:
        stream, unpacked = _unpacked(raw)
        while line := stream.readline(LONGEST_LINE + 1):
            if line.endswith(b"\n") or len(line) <= LONGEST_LINE:
                yield line
                continue
            while line and not line.endswith(b"\n"):
                line = stream.readline(PIECE)
            yield None
        if unpacked.damage:
            account.damage.append(f"{name}: {unpacked.damage}")


class Follower:
    """A file that grows: its lines as they come, through being renamed, replaced and cut back, until stopped."""

    def __init__(self, name: str, wait: Callable[[float], None] = time.sleep) -> None:
        """Begin at the first line. Raises InputError when it cannot be opened or is no plain file of lines."""
        self._name = name
        self._wait = wait
        self._file = _opened(name)
        self._rest = b""
        self._skipping = False
        head = os.pread(self._file.fileno(), 4, 0) if self._file.seekable() else b""
        if not self._file.seekable() or head.startswith((GZIP_MAGIC, ZSTD_MAGIC)):
            self._file.close()
            raise InputError(f"{name}: found no plain file, expected one to follow")

    def lines(self) -> Iterator[bytes | None]:
        """What is in the file by now: its whole lines, None for one that is too long."""
        while piece := self._file.read(PIECE):
            *whole, self._rest = (self._rest + piece).split(b"\n")
            for line in whole:
                yield None if self._skipping or len(line) > LONGEST_LINE else line + b"\n"
                self._skipping = False
            if len(self._rest) > LONGEST_LINE:
                self._rest, self._skipping = b"", True

    def forever(self) -> Iterator[bytes | None]:
        """All lines from here on."""
        while True:
            yield from self.lines()
            if not self._replaced():
                self._wait(LOOK_AGAIN_S)
                continue
            yield from self.lines()  # what was written before it was replaced, and after the last look
            if self._rest:
                yield self._rest + b"\n"
                self._rest = b""
            self._open_anew()

    def _replaced(self) -> bool:
        """Whether another file has the name now, or this one was cut back.

        Between two files there is none: what is still written to the old one is read.
        """
        held = os.fstat(self._file.fileno())
        try:
            named = os.stat(self._name)
        except OSError:
            return False
        if (named.st_dev, named.st_ino) != (held.st_dev, held.st_ino):
            return True
        return held.st_size < self._file.tell()

    def _open_anew(self) -> None:
        """Go on at the beginning of the file that has the name now; where there is none again, look again later."""
        try:
            fresh = _opened(self._name)
        except InputError:
            return
        self._file.close()
        self._file, self._rest, self._skipping = fresh, b"", False


class _Bytes(io.RawIOBase):
    """A stream of bytes behind those that were looked at already."""

    def __init__(self, stream: ByteStream, head: bytes = b"") -> None:
        self._stream, self._head = stream, head

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        if not self._head:
            return self._stream.readinto(view)
        part, self._head = self._head[: len(view)], self._head[len(view) :]
        view[: len(part)] = part
        return len(part)


def _unpacked(raw: RawFile) -> tuple[io.BufferedReader, ByteStream]:
    """The stream to read lines from, and the one that knows of damage: which packing it is, its first bytes say."""
    stored = StoredBytes(raw)
    head = b""
    while len(head) < 4 and (got := stored.readinto(memoryview(piece := bytearray(4 - len(head))))):
        head += piece[:got]
    if head.startswith(GZIP_MAGIC):
        gunzip = Gunzip(stored, head)
        return io.BufferedReader(_Bytes(gunzip), PIECE), gunzip
    if head.startswith(ZSTD_MAGIC):
        unzstd = Unzstd(stored, head)
        return io.BufferedReader(_Bytes(unzstd), PIECE), unzstd
    return io.BufferedReader(_Bytes(stored, head), PIECE), stored


def _opened(name: str) -> io.FileIO:
    try:
        return io.FileIO(name)
    except FileNotFoundError as error:
        raise InputError(f"{name}: found no such file, expected alerts as JSON lines") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "cannot be opened"
        raise InputError(f"{printable(name)}: {reason}, expected alerts as JSON lines") from error
