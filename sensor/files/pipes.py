"""Bytes to a pipe, a terminal or another device: who writes waits for its reader, until that is called off.

Nothing is buffered and no lock is held meanwhile, so whoever ends the process has to wait for nothing. Source: pipe(7),
poll(2): what is ready takes PIPE_BUF bytes without waiting.
"""

import errno
import os
import select
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

PIPE_BYTES: Final = 4096  # PIPE_BUF
LOOK_S: Final = 0.1  # between two looks whether the waiting was called off
STILL_S: Final = 0.25  # without a move, after which a reader is not waited for any more once it was
FILLING_S: Final = 0.001  # for a reader to make room where there was less than the system said


def never() -> bool:
    """Nobody calls the waiting off."""
    return False


class PipeStream:
    """A stream of bytes to a descriptor of the caller's."""

    def __init__(self, descriptor: int, called_off: Callable[[], bool] = never) -> None:
        """called_off: whether to wait for no reader any more that takes nothing."""
        self.closed = False
        self._descriptor = descriptor
        self._called_off = called_off
        self._written = 0
        self._ready = select.poll() if hasattr(select, "poll") else None  # Windows has no pipes to wait for
        if self._ready is not None:
            self._ready.register(descriptor, select.POLLOUT)

    def write(self, content: "ReadableBuffer", /) -> int:
        """Write all of the content.

        Raises OSError, TimeoutError where nobody takes anything and none is waited for.
        """
        if self.closed:
            raise ValueError("write to a closed pipe")
        left = memoryview(content).cast("B")
        size = len(left)
        while left:
            self._wait()
            try:
                taken = os.write(self._descriptor, left[:PIPE_BYTES])
            except BlockingIOError:  # it does not wait, and had less room than that
                time.sleep(FILLING_S)
                continue
            left = left[taken:]
        self._written += size
        return size

    def tell(self) -> int:
        """Bytes that were written."""
        return self._written

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """Take no more; the descriptor stays open."""
        self.closed = True

    def _wait(self) -> None:
        if self._ready is None:
            return
        since_s = time.monotonic()
        while not self._ready.poll(LOOK_S * 1000):
            if self._called_off() and time.monotonic() - since_s > STILL_S:
                raise TimeoutError(errno.ETIMEDOUT, "its reader takes nothing")
