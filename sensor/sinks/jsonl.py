"""JSON lines to a file or a pipe: whole lines, one write(2) a batch, so that nobody else's lines get in between."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from sensor.errors import OutputError

_BINARY = getattr(os, "O_BINARY", 0)  # Windows would write two bytes at each line's end


class JsonlSink:
    """Writes batches of lines to a descriptor; use open_jsonl for a file."""

    def __init__(self, descriptor: int, name: str, *, owned: bool = False) -> None:
        """descriptor: writable. name: for error messages. owned: close() closes it; else it stays the caller's."""
        self.name = name
        self.written = 0  # lines handed to the kernel
        self._descriptor = descriptor
        self._owned = owned

    def write(self, lines: Iterable[bytes]) -> None:
        """Write whole lines, each ending in a newline, with one call where the system takes them at once.

        Raises BrokenPipeError when the reader has gone; OutputError when the output lost lines for any other reason.
        """
        batch = list(lines)
        if not batch:
            return
        left = memoryview(b"".join(batch))
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except BrokenPipeError:
            raise
        except BlockingIOError as error:
            raise OutputError(f"{self.name}: the reader is too slow and the descriptor does not wait") from error
        except OSError as error:
            raise OutputError(f"{self.name}: {_reason(error)}, after {self.written:,} whole alerts") from error
        self.written += len(batch)

    def close(self) -> None:
        """Close a file that this sink opened. Raises OutputError where the system reports a late write error."""
        if not self._owned:
            return
        self._owned = False
        try:
            os.close(self._descriptor)
        except OSError as error:
            raise OutputError(f"{self.name}: {_reason(error)}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_jsonl(path: Path) -> JsonlSink:
    """Sink that appends to a file, which only its owner and group may read. Raises OutputError when it cannot open."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _BINARY, 0o640)
    except OSError as error:
        raise OutputError(f"{path}: cannot be opened for writing: {_reason(error)}") from error
    return JsonlSink(descriptor, str(path), owned=True)


def _reason(error: OSError) -> str:
    return "no space left" if error.errno == errno.ENOSPC else (error.strerror or str(error)).lower()
