"""What was named on the command line: captures, or files of flowvigil's JSON lines, plain, gzip or zstd. `-` is stdin.

Which of the two is decided by the first bytes, and by the name where there are none. Standard input cannot be looked at
twice, so what was looked at is put back.
"""

import os
import threading
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import Literal

from flows.compression import unpacked
from flows.magics import CAPTURE_MAGICS
from sensor.alerts.json_lines import STDIN, opened
from sensor.errors import InputError
from sensor.files.magic import PARQUET_MAGIC, describe, is_text

Kind = Literal["captures", "alerts"]
_LOOKED_AT = 64  # bytes, unpacked
_NAMES = tuple(f"{name}{packing}" for name in (".jsonl", ".ndjson", ".json") for packing in ("", ".gz", ".zst"))


class Inputs:
    """Inputs of one kind."""

    def __init__(self, names: Sequence[str], *, lines: bool = False) -> None:
        """Look at the beginning of each. Raises InputError where they are of two kinds, or one cannot be read.

        lines: whether what is no capture is lines of alerts, whatever stands before them: their reader tells what is
        wrong with it.
        """
        self.names = tuple(names)
        self._head = b""
        self._lines = lines
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

    def _kind(self, name: str) -> Kind:
        # A directory, a pipe, or nothing: the reader of captures says what is wrong with it.
        otherwise: Kind = "alerts" if self._lines else "captures"
        if name != STDIN and not os.path.isfile(name):
            return otherwise
        try:
            with opened(name) as file:
                raw = _Remembered(file)
                head = bytearray(_LOOKED_AT)
                size = unpacked(raw).readinto(memoryview(head))
        except (InputError, OSError, ValueError):  # closed, or not for us: as above
            return otherwise
        if name == STDIN:
            self._head = bytes(raw.read)
        if self._lines and bytes(head[:4]) not in CAPTURE_MAGICS:
            return otherwise
        return _kind_of(bytes(head[:size]), name)


def _kind_of(head: bytes, name: str) -> Kind:
    if head[:4] in CAPTURE_MAGICS:
        return "captures"
    if head.lstrip()[:1] == b"{" or (name != STDIN and Path(name).name.lower().endswith(_NAMES)):
        return "alerts"
    if head and (is_text(head) or head[:4] == PARQUET_MAGIC):
        expected = "captures (pcap, pcapng) or flowvigil's alerts (JSON lines)"
        raise InputError(f"{name}: found {describe(head)}, expected {expected}; flow tables: flowvigil explore")
    return "captures"


class _Remembered:
    """A file, and the bytes that were read of it."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self.read = bytearray()

    def readinto(self, view: memoryview, /) -> int | None:
        """Fill the view as far as one read does; 0 at the end, None when nothing has arrived yet."""
        got = self._file.readinto(view)
        self.read += view[: got or 0]
        return got

    def fileno(self) -> int:
        """Number of the descriptor."""
        return self._file.fileno()

    def close(self) -> None:
        """Close it."""
        self._file.close()


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
