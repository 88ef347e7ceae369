"""Messages on the way to a receiver: which lines of the backlog each stands for, until they are confirmed.

A line that has no message there, and one that nobody will take, holds up no other. It knows no receiver and no clock.
"""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import NamedTuple

from sensor.outputs.backlog import Backlog

# A native line -> a message, empty for none. Raises ValueError, TypeError, RecursionError for what has no message.
Encode = Callable[[bytes], bytes]


class Batch(NamedTuple):
    """What the next lines came to."""

    messages: Sequence[bytes]
    refused: list[str]  # why lines have no message that may be sent
    unwanted: int  # lines that are to have none, and are settled at once


class InFlight:
    """Messages that were handed over and not confirmed, the oldest first."""

    def __init__(self, backlog: Backlog, encode: Encode | None) -> None:
        """encode: None where a line is its own message."""
        self._backlog, self._encode = backlog, encode
        self._lines: deque[tuple[int, int]] = deque()  # that each message stands for, and how many of them get out

    def __len__(self) -> int:
        return len(self._lines)

    def next_batch(self, limit_bytes: int, longest: float) -> Batch:
        """The next messages, on the way from now on; lines that have none are settled with the one before them.

        longest: bytes of a message that the receiver takes.
        """
        lines = self._backlog.take(limit_bytes)
        if self._encode is None and max(map(len, lines), default=0) <= longest:
            self._lines.extend(repeat((1, 1), len(lines)))
            return Batch(lines, [], 0)
        messages: list[bytes] = []
        refused: list[str] = []
        unwanted = 0
        for line in lines:
            gets_out = True
            try:
                message = self._encoded(line, longest)
            # The last two: of what is nested more deeply than any line of ours.
            except (ValueError, TypeError, RecursionError) as error:
                refused.append(str(error))
                message, gets_out = b"", False
            if message:
                messages.append(message)
                self._lines.append((1, 1))
            elif self._lines:
                settled, out = self._lines[-1]
                self._lines[-1] = settled + 1, out + gets_out
            else:
                self._backlog.settle(1)
                unwanted += gets_out
        return Batch(messages, refused, unwanted)

    def settle(self, messages: int) -> int:
        """The oldest messages have come to their end: how many lines got out, with those that are to have none."""
        ended = [self._lines.popleft() for _ in range(messages)]
        self._backlog.settle(sum([settled for settled, _ in ended]))
        return sum([out for _, out in ended])

    def restart(self) -> None:
        """Nothing is on the way any more, and what was is to be sent again."""
        self._lines.clear()
        self._backlog.rewind()

    def _encoded(self, line: bytes, longest: float) -> bytes:
        """The message for a line, b"" where it has none. Raises for one that nobody takes as Encode does."""
        message = line if self._encode is None else self._encode(line)
        if len(message) > longest:
            raise ValueError(f"found a line of {len(message):,} bytes, expected {longest:,} at most")
        return message
