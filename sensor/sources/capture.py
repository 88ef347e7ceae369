"""What a capture reports beside packets: its statistics, and events of its interfaces."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CaptureStatistics:
    """Counts of packets since the start of the capture."""

    received: int = 0  # passed the capture filter, dropped ones included
    dropped: int = 0  # of the received: lost to a full buffer, or with a worker
    filtered: int = 0  # excluded by the capture filter
    waiting: int = 0  # received, and neither delivered nor dropped yet
    longest_pause_ns: int | None = None  # between two looks for packets at most; None where nobody waits for packets
    lost_with_worker: int | None = None  # of the dropped: those of a worker that ended unasked; None without any


@dataclass(frozen=True, slots=True)
class LinkEvent:
    """A change of an interface or of the whole capture."""

    interface: str | None  # None: the whole capture
    action: str  # such as "down", "up", "renamed"
    message: str  # one line for people
    time_ns: int  # wall clock
