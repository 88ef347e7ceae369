"""JSON lines to a file or a pipe: whole lines, one write(2) a batch, so that nobody else's lines get in between."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from sensor.errors import OutputError
from sensor.files.descriptors import APPEND, Owner, open_for, reason_of


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
                left = left[self.write_some(left) :]
        except BlockingIOError as error:
            raise OutputError(f"{self.name}: the reader is too slow and the descriptor does not wait") from error
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"{self.name}: {reason_of(error)}, after {self.written:,} whole alerts") from error
        self.written += len(batch)

    def write_some(self, content: memoryview) -> int:
        """Write with one call; bytes that the system took, which may be fewer. Raises OSError."""
        return os.write(self._descriptor, content)

    def cut(self, count: int) -> bool:
        """Take back the last bytes written, at most one batch; whether that could be done.

        Only in a file, and only where nobody else has written behind them.
        """
        try:
            found = os.fstat(self._descriptor)
            end = os.lseek(self._descriptor, 0, os.SEEK_CUR)
            if not stat.S_ISREG(found.st_mode) or found.st_size != end or end < count:
                return False
            os.ftruncate(self._descriptor, end - count)
            os.lseek(self._descriptor, end - count, os.SEEK_SET)
        except OSError:
            return False
        return True

    def replace(self, descriptor: int, name: str) -> None:
        """Go on with another descriptor, which becomes the sink's own. Raises OutputError as close."""
        former = JsonlSink(self._descriptor, self.name, owned=self._owned)
        self._descriptor, self.name, self._owned = descriptor, name, True
        former.close()

    def close(self) -> None:
        """Close a file that this sink opened. Raises OutputError where the system reports a late write error."""
        if not self._owned:
            return
        self._owned = False
        try:
            os.close(self._descriptor)
        except OSError as error:
            raise OutputError(f"{self.name}: {reason_of(error)}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_jsonl(path: Path, owner: Owner | None = None) -> JsonlSink:
    """Sink that appends to a file, which only its owner and group may read. Raises OutputError when it cannot open.

    owner: whom the file shall belong to where it is made now; a file that was there stays whose it was.
    """
    return JsonlSink(open_descriptor(path, owner), str(path), owned=True)


def open_descriptor(path: Path, owner: Owner | None = None) -> int:
    """What open_jsonl writes to, for the caller to close."""
    try:
        return open_for(path, APPEND, owner)
    except OSError as error:
        raise OutputError(f"{path}: cannot be opened for writing: {reason_of(error)}") from error
