"""Lines that an output still has to deliver, in memory: the oldest first, each kept until it is confirmed."""

import threading
from collections import deque
from collections.abc import Sequence
from typing import Protocol


class Backlog(Protocol):
    """Lines in their order. Those up to the send position were handed out; those before were confirmed and are gone."""

    def __len__(self) -> int:
        """Lines that are not confirmed."""

    @property
    def unsent(self) -> bool:
        """Whether there are lines behind the send position."""

    def append(self, lines: Sequence[bytes]) -> int:
        """Take on lines, each with its newline; how many there was room for."""

    def take(self, limit_bytes: int) -> list[bytes]:
        """Lines from the send position on, which moves behind them: at least one where there is any."""

    def settle(self, count: int) -> None:
        """The oldest lines are confirmed."""

    def rewind(self) -> None:
        """Everything that is not confirmed is to be sent again."""

    def close(self) -> None:
        """Keep what can be kept."""


class MemoryBacklog:
    """A backlog that ends with the process; one thread may fill it while another empties it.

    Its capacity is for lines not sent yet: the transport bounds the others.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity = capacity_bytes
        self._sent: deque[bytes] = deque()
        self._unsent: deque[bytes] = deque()
        self._unsent_bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._sent) + len(self._unsent)

    @property
    def unsent(self) -> bool:
        """Whether there are lines to send."""
        return bool(self._unsent)

    def has_room(self, size: int) -> bool:
        """Whether a line of so many bytes would be taken on now."""
        return not self._unsent or self._unsent_bytes + size <= self._capacity

    def append(self, lines: Sequence[bytes]) -> int:
        """Take on lines while there is room."""
        with self._lock:
            size = sum(map(len, lines))
            if self._unsent_bytes + size <= self._capacity:
                self._unsent.extend(lines)
                self._unsent_bytes += size
                return len(lines)
            taken = 0
            for line in lines:
                if not self.has_room(len(line)):
                    break
                self._unsent.append(line)
                self._unsent_bytes += len(line)
                taken += 1
            return taken

    def take(self, limit_bytes: int) -> list[bytes]:
        """The next lines."""
        batch: list[bytes] = []
        size = 0
        with self._lock:
            while self._unsent and (not batch or size + len(self._unsent[0]) <= limit_bytes):
                batch.append(self._unsent.popleft())
                size += len(batch[-1])
            self._unsent_bytes -= size
            self._sent.extend(batch)
        return batch

    def settle(self, count: int) -> None:
        """Forget the oldest lines."""
        if count == len(self._sent):
            self._sent.clear()
            return
        for _ in range(count):
            self._sent.popleft()

    def rewind(self) -> None:
        """Send all of it again."""
        with self._lock:
            self._unsent_bytes += sum(map(len, self._sent))
            self._unsent.extendleft(reversed(self._sent))
            self._sent.clear()

    def clear(self) -> int:
        """Forget everything; how many lines that were."""
        with self._lock:
            count = len(self)
            self._sent.clear()
            self._unsent.clear()
            self._unsent_bytes = 0
        return count

    def close(self) -> None:
        """Nothing outlives the process."""
