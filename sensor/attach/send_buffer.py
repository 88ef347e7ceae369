"""Lines that wait for one client: bounded, and what there was no room for is counted and told.

It knows no socket and no clock.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sensor.attach.protocol import LeftOut, line_of

MOST_BYTES: Final = 4 << 20
_PIECE: Final = 1 << 16


@dataclass(slots=True)
class SendBuffer:
    """What a client has not taken yet."""

    waiting: int = 0  # bytes
    missed: int = 0  # lines left out since the last one that was kept
    _lines: deque[bytes] = field(default_factory=deque)

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, lines: Iterable[bytes]) -> None:
        """Take as many lines as there is room for."""
        for line in lines:
            # Once full, it waits for room for a half: one large gap tells more than many small ones.
            if self.waiting + len(line) > (MOST_BYTES // 2 if self.missed else MOST_BYTES):
                self.missed += 1
                continue
            self.report_missed()
            self.append(line)

    def append(self, line: bytes) -> None:
        """Take a line, whatever room there is."""
        self._lines.append(line)
        self.waiting += len(line)

    def report_missed(self) -> None:
        """Where lines are missing, say how many."""
        if self.missed:
            self.append(line_of(LeftOut(self.missed)))
            self.missed = 0

    def piece(self) -> bytes:
        """What to send next: lines together, since a call for each would cost more than the lines. `sent` follows."""
        if len(self._lines) > 1 and len(self._lines[0]) < _PIECE:
            joined, size = [], 0
            while self._lines and size < _PIECE:
                joined.append(self._lines.popleft())
                size += len(joined[-1])
            self._lines.appendleft(b"".join(joined))
        return self._lines[0]

    def sent(self, size: int) -> None:
        """So many bytes of the piece were taken."""
        self.waiting -= size
        first = self._lines.popleft()
        if size < len(first):
            self._lines.appendleft(first[size:])
