"""What a live capture tells beside packets: its counts, and what happened to its interfaces."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CaptureStatistics:
    """Packets since the capture began.

    received: that passed the capture filter, lost or not. dropped: of those, lost because nobody took them in time.
    filtered: that the capture filter left out. waiting: received, and neither delivered nor lost yet.
    """

    received: int = 0
    dropped: int = 0
    filtered: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class LinkEvent:
    """One change: of an interface, or of the capture as a whole (None).

    action: such as "down", "up", "renamed". message: for people, one line. time_ns: wall clock.
    """

    interface: str | None
    action: str
    message: str
    time_ns: int
