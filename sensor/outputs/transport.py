"""What carries lines to a receiver: the contract that every kind of output keeps. It knows no queue and no spool."""

from collections.abc import Sequence
from typing import Protocol

CONNECT_S = 5.0  # for a receiver to answer


class Transport(Protocol):
    """One way out. It belongs to one thread; every method but connect returns soon.

    Errors are OSError: the receiver is gone, and what was not confirmed is handed over again after connect().
    BrokenPipeError from offer or flush ends a pipe for good where `forever` is set.
    """

    forever: bool

    def connect(self) -> None:
        """Reach the receiver, within CONNECT_S."""

    def offer(self, messages: Sequence[bytes]) -> None:
        """Take messages on; only when idle()."""

    def flush(self, wait_s: float) -> None:
        """Get on with what was taken on, waiting for the receiver at most so long."""

    def idle(self) -> bool:
        """Whether it can take on more."""

    def confirmed(self, now_s: float) -> int:
        """Messages, the oldest first, that the receiver has for certain by now, and were not told of before.

        now_s: monotonic.
        """

    def finish(self, wait_s: float) -> int:
        """No more will come: messages confirmed by the end."""

    def close(self) -> None:
        """Let go of the receiver."""
