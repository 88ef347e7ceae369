"""Messages on the way to a receiver: which lines of the backlog each stands for, until they are confirmed.

A line that has no message there, and one that nobody will take, holds up no other. It knows no receiver and no clock.
"""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import repeat

from sensor.outputs.backlog import Backlog

Encode = Callable[[bytes], bytes]  # a native line -> a message, empty for none; ValueError for what has no message


class InFlight:
    """Messages that were handed over and not confirmed, the oldest first."""

    def __init__(self, backlog: Backlog, encode: Encode | None) -> None:
        """encode: None where a line is its own message."""
        self._backlog, self._encode = backlog, encode
        self._lines: deque[int] = deque()  # that each message stands for

    def __len__(self) -> int:
        return len(self._lines)

    def next_messages(self, limit_bytes: int, longest: float) -> tuple[Sequence[bytes], list[str]]:
        """The next messages, on the way from now on, and why some lines have none that may be sent.

        longest: bytes of a message that the receiver takes. Lines without a message are settled with the one before.
        """
        lines = self._backlog.take(limit_bytes)
        refused: list[str] = []
        if self._encode is None and max(map(len, lines), default=0) <= longest:
            self._lines.extend(repeat(1, len(lines)))
            return lines, refused
        messages: list[bytes] = []
        for line in lines:
            try:
                message = self._encoded(line, longest)
            except ValueError as error:
                refused.append(str(error))
                message = b""
            if message:
                messages.append(message)
                self._lines.append(1)
            elif self._lines:
                self._lines[-1] += 1
            else:
                self._backlog.settle(1)
        return messages, refused

    def confirm(self, messages: int) -> int:
        """The oldest messages have come to their end: how many lines of the backlog are settled by that."""
        lines = sum([self._lines.popleft() for _ in range(messages)])
        self._backlog.settle(lines)
        return lines

    def restart(self) -> None:
        """Nothing is on the way any more, and what was is to be sent again."""
        self._lines.clear()
        self._backlog.rewind()

    def _encoded(self, line: bytes, longest: float) -> bytes:
        """The message for a line, b"" where it has none. Raises ValueError for one that nobody takes."""
        message = line if self._encode is None else self._encode(line)
        if len(message) > longest:
            raise ValueError(f"found a line of {len(message):,} bytes, expected {longest:,} at most")
        return message
