"""Which messages of a byte stream the receiver has: TCP tells what its kernel took, not what it has read.

A receiver that restarts loses what lay in its socket. So a message counts as delivered only once its kernel has
acknowledged it and as much has been sent after it as a receiver's socket holds, or some time has passed; all others are
sent again to the next connection. A receiver may so see a message twice, and tells by event.id and event.sequence.
Source: tcp(7), tcp_rmem: 6 MiB by default at most; RFC 6587, section 4.1: syslog over TCP has no acknowledgement.
"""

from collections import deque
from typing import Final

WINDOW_BYTES: Final = 8 << 20
SETTLED_S: Final = 30.0  # without a break: a receiver that reads at all has read it


class Window:
    """Messages of one connection that may still be lost."""

    def __init__(self) -> None:
        self._messages: deque[tuple[int, float]] = deque()  # bytes, when sent
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._messages)

    def sent(self, size: int, now_s: float) -> None:
        """One more message was given to the kernel."""
        self._messages.append((size, now_s))
        self._bytes += size

    def safe(self, now_s: float, unacknowledged: int = 0) -> int:
        """Messages, the oldest first, that cannot be lost any more; forgotten here.

        unacknowledged: bytes of the latest that the receiver's kernel may not have.
        """
        count = 0
        while self._messages:
            size, at_s = self._messages[0]
            after = self._bytes - size
            if after < unacknowledged or (after < WINDOW_BYTES and now_s - at_s < SETTLED_S):
                break
            self._messages.popleft()
            self._bytes -= size
            count += 1
        return count

    def lacking(self, unacknowledged: int) -> int:
        """Messages, the latest, of which so many bytes are not acknowledged: the receiver may not have them."""
        count = bytes_after = 0
        for size, _ in reversed(self._messages):
            if bytes_after >= unacknowledged:
                break
            count, bytes_after = count + 1, bytes_after + size
        return count

    def all_read(self) -> int:
        """The receiver has read to the end: messages that were not told of before."""
        count = len(self._messages)
        self.clear()
        return count

    def clear(self) -> None:
        """A new connection begins."""
        self._messages.clear()
        self._bytes = 0
