"""What was named on the command line: captures, or files of flowvigil's JSON lines, plain or gzip. `-` is stdin.

Which of the two is decided by the first bytes, and by the name where there are none. Standard input cannot be looked at
twice, so what was looked at is put back.
"""

import gzip
import io
import os
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, cast

from flows.pcap import MAGICS
from flows.pcapng import MAGIC
from sensor.errors import InputError
from sensor.files.magic import GZIP_MAGIC, ZSTD_MAGIC
from sensor.sources.captures.files import STDIN

Kind = Literal["captures", "alerts"]
_LOOKED_AT = 4096
_NAMES = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz")


class Inputs:
    """Inputs of one kind. kind: what they are. Raises InputError where they are not, or one cannot be read."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._head = b""
        kinds = {name: self._kind(name) for name in names}
        if len(set(kinds.values())) > 1:
            alerts = next(name for name in names if kinds[name] == "alerts")
            raise InputError(f"{alerts}: found alerts among captures, expected inputs of one kind")
        self.kind: Kind = kinds[names[0]]

    def put_back(self) -> None:
        """Give standard input its first bytes again, for a reader of its descriptor."""
        if STDIN not in self.names or not self._head:
            return
        source, (reader, writer) = os.dup(0), os.pipe()
        os.dup2(reader, 0)
        os.close(reader)
        threading.Thread(target=_pump, args=(self._head, source, writer), name="stdin", daemon=True).start()

    @contextmanager
    def lines_in(self, name: str) -> Iterator[BinaryIO]:
        """The stream of an input of alerts, unpacked. Raises InputError."""
        try:
            if name == STDIN:
                raw = cast(BinaryIO, io.BufferedReader(_Resumed(self._head)))
                yield cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if self._head[:2] == GZIP_MAGIC else raw
            else:
                with open(name, "rb") as file:
                    packed = file.peek(2)[:2] == GZIP_MAGIC
                    yield cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(f"{name}: alerts cannot be read: {reason.lower()}") from error

    def _kind(self, name: str) -> Kind:
        if name == STDIN:
            try:
                while len(self._head) < 4 and (piece := os.read(0, _LOOKED_AT)):
                    self._head += piece
            except OSError:  # closed: as below
                return "captures"
            return _kind_of(self._head, "")
        path = Path(name)
        if not path.is_file():  # a directory, a pipe, or nothing: the reader of captures says what is wrong with it
            return "captures"
        try:
            with path.open("rb") as file:
                return _kind_of(file.read(_LOOKED_AT), path.name.lower())
        except OSError:
            return "captures"


def _kind_of(head: bytes, name: str) -> Kind:
    if head[:4] in MAGICS or head[:4] in (MAGIC, ZSTD_MAGIC):
        return "captures"
    if head[:2] == GZIP_MAGIC:
        try:
            inside = zlib.decompressobj(31).decompress(head, 64)
        except zlib.error:
            return "captures"
        return "alerts" if inside.lstrip()[:1] == b"{" or name.endswith(_NAMES) else "captures"
    return "alerts" if head.lstrip()[:1] == b"{" or name.endswith(_NAMES) else "captures"


class _Resumed(io.RawIOBase):
    """Standard input from its beginning: the bytes that were looked at, then the rest."""

    def __init__(self, head: bytes) -> None:
        self._head = head

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]  # typeshed asks for a Buffer
        if not self._head:
            piece = os.read(0, len(buffer))
        else:
            piece, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


def _pump(head: bytes, source: int, writer: int) -> None:
    """Pass bytes on until there are no more, or nobody wants them."""
    with os.fdopen(writer, "wb", buffering=0) as pipe, os.fdopen(source, "rb", buffering=0) as rest:
        try:
            pipe.write(head)
            while piece := rest.read(1 << 16):
                view = memoryview(piece)
                while view:
                    view = view[pipe.write(view) :]
        except OSError:
            return
