"""What carries lines to a receiver: the contract that every kind of output keeps. It knows no queue and no spool."""

import math
from collections.abc import Sequence
from typing import Final, Protocol

CONNECT_S: Final = 5.0  # for a receiver to answer
LONGEST_PAUSE_S: Final = 15.0  # between two tries to reach one over a network or a socket
ANY_LENGTH: Final = math.inf  # of a message


class NoReaderYetError(ConnectionError):
    """A named pipe that nobody reads: whoever opens it for reading gets what waits."""


class MessageRefusedError(Exception):
    """The receiver will never take the oldest message that is not confirmed; the transport goes on with the next."""


class Transport(Protocol):
    """One way out. It belongs to one thread; every method but connect returns soon.

    Errors are OSError: the receiver is gone, and what was not confirmed is handed over again after connect(). flush()
    and finish() may raise MessageRefusedError too, and are called again.
    """

    # A BrokenPipeError from offer or flush is the end: nobody will read there again.
    forever: bool
    # A receiver that was reached may still refuse: whether it takes anything shows by writing alone.
    tells_by_writing: bool
    # The receiver answers for each message: what it has not confirmed by the end, it has not got.
    acknowledges: bool
    # Messages that were taken on and of which finish() has found that the receiver has not got them.
    missing: int
    # Bytes of the longest message that it takes, once it is connected.
    longest: float
    # Between two looks at the receiver while there is nothing to send, in seconds; None where that tells nothing.
    poll_s: float | None
    # Between two tries to reach a receiver that is away, in seconds, at most.
    longest_pause_s: float

    def connect(self) -> None:
        """Reach the receiver, within CONNECT_S. What was taken on before is forgotten."""

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

    def break_off(self) -> None:
        """Forget what was taken on and not confirmed; connect() or finish() follows."""

    def finish(self, wait_s: float) -> int:
        """Let go of the receiver, no more will come: messages confirmed by the end.

        Raises OSError where the system tells only then that something was not written; confirmed() then has the rest.
        """
