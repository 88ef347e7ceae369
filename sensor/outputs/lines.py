"""Lines to a descriptor: a file that is appended to, or stdout. Whole lines only, whatever the disk refuses."""

import os
import select
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress

PIPE_BYTES = 4096  # a pipe that is ready takes as much without waiting (pipe(7), PIPE_BUF)


class LinesTransport:
    """Writes to a descriptor that it opens anew after each error; what the kernel took counts as delivered."""

    def __init__(self, opener: Callable[[], int], descriptor: int | None = None, *, forever: bool = False) -> None:
        """opener: gives a descriptor that is ours. descriptor: the first one. forever: a broken pipe is the end."""
        self.forever = forever
        self._opener = opener
        self._prepared = descriptor
        self._descriptor: int | None = None
        self._regular = False
        self._left: list[bytes] = []
        self._content = memoryview(b"")
        self._written = 0

    def connect(self) -> None:
        """Open. Raises OSError."""
        self.close()
        self._descriptor, self._prepared = self._prepared if self._prepared is not None else self._opener(), None
        # Windows can select sockets only.
        self._regular = os.name == "nt" or stat.S_ISREG(os.fstat(self._descriptor).st_mode)

    def offer(self, messages: Sequence[bytes]) -> None:
        """Take lines on."""
        self._left = list(messages)
        self._content = memoryview(b"".join(messages))

    def flush(self, wait_s: float) -> None:
        """Write. Raises OSError; a file then ends with a whole line."""
        if self._descriptor is None:
            raise ConnectionError("not open")
        try:
            while self._content:
                if not self._regular and not select.select([], [self._descriptor], [], wait_s)[1]:
                    return
                part = self._content if self._regular else self._content[:PIPE_BYTES]
                self._content = self._content[os.write(self._descriptor, part) :]
        except OSError:
            self._cut_half_line()
            raise
        self._written += len(self._left)
        self._left = []

    def idle(self) -> bool:
        """Whether everything is written."""
        return not self._content

    def confirmed(self, now_s: float) -> int:  # noqa: ARG002  the contract's
        """Lines written since the last call."""
        written, self._written = self._written, 0
        return written

    def finish(self, wait_s: float) -> int:
        """Write the rest."""
        with suppress(OSError):
            self.flush(wait_s)
        written = self.confirmed(0.0)
        self.close()
        return written

    def close(self) -> None:
        """Close the descriptor."""
        if self._descriptor is not None:
            if self._content:
                self._cut_half_line()
            os.close(self._descriptor)
            self._descriptor = None
        self._left, self._content, self._written = [], memoryview(b""), 0

    def _cut_half_line(self) -> None:
        """Take what was written of this batch back from a file, so that all of it can be written again."""
        written = sum(map(len, self._left)) - len(self._content)
        if not (self._regular and written and self._descriptor is not None):
            return
        end = os.fstat(self._descriptor).st_size
        if end >= written and os.lseek(self._descriptor, 0, os.SEEK_CUR) == end:
            os.ftruncate(self._descriptor, end - written)
        self._content = memoryview(b"".join(self._left))
