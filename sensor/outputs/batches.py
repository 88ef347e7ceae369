"""Messages of a receiver that takes few large ones: alerts are collected for a moment, and sent no oftener than agreed.

What is sent is confirmed by the receiver's answer, so that nothing counts as delivered which it did not take. It does
not know how a message travels.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from sensor.outputs.transport import ANY_LENGTH, LONGEST_PAUSE_S, MessageRefusedError

MOST_COLLECTED: Final = 4096  # messages in memory; what comes beyond waits in the queue or the spool
HOUR_S: Final = 3600.0
FIRST_PAUSE_S: Final = 5.0  # after a try that failed, doubled by each further one up to the distance of bodies
LONGEST_ASKED_S: Final = 3600.0  # that a receiver may ask to be left alone


class BodyRefusedError(ConnectionError):
    """The receiver will never take this body, whatever is tried."""


class TakenInPartError(ConnectionError):
    """Some have the body, and others will not: it counts as taken when it is sent again, which they do not notice."""


class AskedToWaitError(ConnectionError):
    """The receiver asks to be left alone for so many seconds."""

    def __init__(self, words: str, seconds: float) -> None:
        super().__init__(words)
        self.seconds = seconds


class Courier(Protocol):
    """Who carries one body to the receiver and waits for its answer, for a few seconds at most."""

    def reach(self) -> None:
        """See whether the receiver is there, without sending anything. Raises OSError."""

    def send(self, body: bytes) -> None:
        """Send and hear that it was taken. Raises OSError, BodyRefusedError for a body that never will be."""


# The oldest of some messages, at least one -> the body for them, how many of them it stands for.
Compose = Callable[[Sequence[bytes]], tuple[bytes, int]]


@dataclass(frozen=True, slots=True)
class Pace:
    """How often something is sent."""

    batch_s: float  # for others to join the first one
    per_hour: int  # bodies at most, evenly spaced


class BatchTransport:
    """Collects messages and sends them together."""

    forever = False
    tells_by_writing = True
    acknowledges = True
    missing = 0
    poll_s: float | None = 0.2
    longest = ANY_LENGTH
    longest_pause_s = LONGEST_PAUSE_S

    def __init__(
        self, courier: Courier, compose: Compose, pace: Pace, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """clock: monotonic, seconds."""
        self._courier, self._compose, self._pace, self._clock = courier, compose, pace, clock
        self._distance_s = HOUR_S / pace.per_hour  # of bodies
        self._collected: deque[bytes] = deque()
        self._since_s = 0.0  # when the oldest of them came
        self._taken = 0  # of the receiver, not told of yet
        self._at_most = MOST_COLLECTED  # messages that one body may stand for, fewer after a refusal
        self._next_s = -1.0  # before which nothing is sent
        self._failed = 0  # tries in a row
        self._quiet_until_s = -1.0  # for which the receiver has asked

    def connect(self) -> None:
        """See whether the receiver is there. Raises OSError."""
        self.break_off()
        left_s = self._quiet_until_s - self._clock()
        if left_s > 0:
            raise ConnectionError(f"asked to be left alone for another {left_s:.0f} s")
        self._courier.reach()

    def offer(self, messages: Sequence[bytes]) -> None:
        """Collect messages."""
        if not self._collected:
            self._since_s = self._clock()
        self._collected.extend(messages)

    def flush(self, wait_s: float) -> None:
        """Send what is due; wait for that where nothing more can be collected. Raises OSError, MessageRefusedError."""
        if not self._collected:
            return
        due_s = self._next_s if self._failed else max(self._next_s, self._since_s + self._pace.batch_s)
        left_s = due_s - self._clock()
        if left_s <= 0:
            self._send()
        elif not self.idle():
            time.sleep(min(left_s, wait_s))

    def idle(self) -> bool:
        """Whether it can collect more: of a receiver that failed no more than what is tried again.

        All else stays in the queue or the spool, which have a bound.
        """
        return len(self._collected) < (1 if self._failed else MOST_COLLECTED)

    def confirmed(self, now_s: float) -> int:  # noqa: ARG002  the contract's
        """Messages in bodies that the receiver took since the last call."""
        taken, self._taken = self._taken, 0
        return taken

    def break_off(self) -> None:
        """Forget what was collected."""
        self._collected.clear()
        self._taken = 0

    def finish(self, wait_s: float) -> int:
        """Send what was collected, due or not: the pace is kept for others to come, and none will.

        Raises MessageRefusedError.
        """
        deadline_s = self._clock() + wait_s
        with suppress(OSError):
            while self._collected and self._clock() < deadline_s:
                with suppress(TakenInPartError):
                    self._send()
        self._collected.clear()
        return self.confirmed(0.0)

    def _send(self) -> None:
        oldest = [self._collected[place] for place in range(min(len(self._collected), self._at_most))]
        body, count = self._compose(oldest)
        try:
            self._courier.send(body)
        except BodyRefusedError as error:
            # One alert in it may be what it does not take: the others are tried without it.
            self._at_most = max(1, count // 2)
            if count == 1:
                self._drop(1)
                self._next_s = self._clock() + self._distance_s
                raise MessageRefusedError(str(error)) from error
            return
        except OSError as error:
            if isinstance(error, AskedToWaitError):
                self._quiet_until_s = self._clock() + min(error.seconds, LONGEST_ASKED_S)
            self._put_off()
            raise
        self._failed = 0
        self._at_most = min(MOST_COLLECTED, max(1, self._at_most) * 2)
        self._drop(count)
        self._taken += count
        self._next_s = self._clock() + self._distance_s
        self._since_s = self._clock()

    def _put_off(self) -> None:
        """Leave a receiver alone that has failed: it may have taken the body, and would get it again and again."""
        pause_s = FIRST_PAUSE_S * 2 ** min(self._failed, 10)
        self._next_s = self._clock() + min(pause_s, self._distance_s)
        self._failed += 1

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._collected.popleft()
