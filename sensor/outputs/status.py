"""What became of an output's lines and why, and what is to be said of it: at its end, or by events of the run.

An output that begins to refuse or to lose lines is told of once, and once when it goes on. It knows neither threads nor
clocks: who changes it, or has it speak, holds the lock of the output.
"""

from typing import Final

from sensor.alerts.spread import counted
from sensor.errors import OutputError, reason_of
from sensor.outputs.spool import DISK_REFUSES, Spool
from sensor.outputs.transport import NoReaderYetError

FAILED: Final = "output-failed"  # actions of the events
GOES_ON: Final = "output-goes-on"


class DeliveryStatus:
    """Lines of one output that got out and that did not, and its trouble in words.

    name: for messages. written: the receiver has them. unwanted: it is not to have them. trouble: why it takes nothing,
    until it takes something; disk_refuses, nobody_yet: which is for that reason. failed_at_end: it was told only then
    that something was not written.
    """

    def __init__(self, name: str, spool: Spool | None, *, tells_by_writing: bool) -> None:
        """tells_by_writing: whether the receiver takes anything shows by writing alone."""
        self.name = name
        self.written = self.unwanted = self.lost = 0
        self.trouble = ""
        self.disk_refuses = self.nobody_yet = self.failed_at_end = False
        self._spool, self._tells_by_writing = spool, tells_by_writing
        self._refusal = self._lost_because = ""
        self._spool_lost = 0  # of the lines lost, those of the spool
        self._told_of_spool = ""  # what was told of it last
        self._told = False  # of trouble or lost lines, and not yet that it goes on
        self._told_lost = 0  # lines lost that were told of

    @property
    def spooled(self) -> int:
        """Lines on disk that are not confirmed."""
        return len(self._spool) if self._spool is not None else 0

    @property
    def out(self) -> int:
        """Lines with which it is done and that are not lost; with those, the queued and the spooled all there are."""
        return self.written + self.unwanted

    @property
    def failing(self) -> bool:
        """Whether it refused the latest that it was to take."""
        return bool(self.trouble) and self._tells_by_writing

    @property
    def problem(self) -> str | None:
        """What is wrong, or was when lines were lost: one line, or None."""
        reason = self._lost_because or self._refusal
        return f"{self.name}: {reason}{self._account()}" if reason else None

    @property
    def spool_problem(self) -> str:
        """What is or was wrong with the spool, and what it cost: one line, or ""."""
        if self._spool is None or not self._spool.problem:
            return ""
        lost = f", {counted(self._spool_lost, 'line')} lost in it" if self._spool_lost else ""
        return f"{self._spool.name}: {self._spool.problem}{lost}"

    def news(self, *, takes_all: bool) -> tuple[str, str] | None:
        """Action and message of an event, where it has begun to refuse or to lose lines, or goes on after that.

        takes_all: the receiver is there, and nothing waits for it.
        """
        if self._spool is not None and self._spool.problem != self._told_of_spool:
            self._told_of_spool = self._spool.problem
            return FAILED, self.spool_problem
        if not self._told:
            if not self.failing and self.lost == self._told_lost:
                return None
            self._told = True
            return FAILED, f"{self.name}: {self.trouble or self._lost_because}{self._account()}"
        if self.trouble or not takes_all:
            return None
        self._told = False
        lost, self._told_lost = self.lost - self._told_lost, self.lost
        return GOES_ON, f"{self.name}: goes on, {counted(lost, 'line')} lost"

    def connected(self) -> None:
        """The receiver was reached."""
        self._refusal = ""
        if not self._tells_by_writing:
            self.trouble = ""

    def refused(self, error: OSError | OutputError | UnicodeError, *, gone: bool) -> None:
        """The receiver takes nothing. gone: it never will again, as it read and stopped."""
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        self.fail("the reader has gone" if gone else reason)
        self.nobody_yet = isinstance(error, NoReaderYetError)
        self.disk_refuses = isinstance(error, OSError) and error.errno in DISK_REFUSES

    def fail(self, reason: str) -> None:
        """Nothing is taken any more, for this reason."""
        self._refusal = self.trouble = reason

    def lose(self, lines: int, reason: str) -> None:
        """Lines will not get out. reason: where no trouble is known that is one."""
        self.lost += lines
        if lines:
            self._lost_because = self.trouble or self._refusal or reason

    def lose_of_spool(self, lines: int) -> None:
        """Lines were lost in the spool, of which its own event tells."""
        self.lost += lines
        self._spool_lost += lines
        self._told_lost += lines

    def fail_at_end(self, error: OSError) -> None:
        """The system told only at the end that something was not written."""
        self._lost_because, self.failed_at_end = reason_of(error), True

    def end_early(self) -> None:
        """The end came before everything was taken."""
        self._refusal = self._refusal or "the receiver did not take everything by the end"

    def _account(self) -> str:
        """What became of its lines, where not all got out."""
        spooled = f", {self.spooled:,} spooled" if self.spooled else ""
        if self.disk_refuses:
            lost = f", {self.lost:,} lost" if self.lost else ""
            return f", after {counted(self.written, 'whole line')}{lost}{spooled}"
        return f", {counted(self.lost, 'line')} lost{spooled}" if self.lost else spooled
