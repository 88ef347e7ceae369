"""Progress: how far a run has come, as numbers for people. It knows no clock and no terminal."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class InterfaceState:
    """An interface that is watched: under the name it has now, and whether it delivers packets."""

    name: str
    up: bool


@dataclass(frozen=True, slots=True)
class OutputState:
    """An output of the settings, in lines since the start: written to it, queued in memory, spooled on disk, lost.

    up: whether its receiver can be reached.
    """

    name: str
    up: bool
    written: int
    queued: int
    spooled: int
    lost: int


@dataclass(frozen=True, slots=True)
class KeptPackets:
    """Packets of alerts, since the start. files: begun; packets, bytes: put into them.

    Not put there, of the flows that were to be kept: forgotten: packets that had left the memory by then. over_limit:
    more than a file may hold, or of a file that gave way. lost: that the disk did not take. alerts_without: alerts that
    got no file, because too many opened at once. files_deleted: oldest files, which gave way to the total.
    """

    files: int = 0
    packets: int = 0
    bytes: int = 0
    forgotten: int = 0
    over_limit: int = 0
    lost: int = 0
    alerts_without: int = 0
    files_deleted: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """Totals of a run since its start.

    received: packets that reached the capture, lost or not. packets, bytes: of those, that the meter was given.
    metered: in flows. filtered: that the capture filter left out. undecoded: without a flow, by reason. shed: left out
    under overload. dropped: that the kernel or the card lost. waiting: in the ring, not looked at yet.
    overload: what is done about too much traffic, "" while it is not. flows: flow records reported for the first time.
    table_flows: flows in the table now. evicted: flows reported early because the table was full. late: packets stamped
    before one that came earlier. clock_jumps: times a source's clock was set forward or back. lost_lines: of JSON, that
    no output took. bytes_read and size: of the inputs, None where unknown (a pipe, an interface). traffic_time_ns:
    newest packet, nanoseconds since 1970, 0 before the first. started_ns: oldest packet. elapsed_s: time since the run
    began. alerts, attacks, uncertain: alerts opened, in all and by verdict; merged: alerts of single hosts that storms
    stand for. judged: flow records, with every new report of a flow; scoring_s: time that took. interfaces: that
    are watched. outputs: those of the list in the settings. kept: packets of alerts, None where none are to be.
    """

    received: int = 0
    packets: int = 0
    bytes: int = 0
    metered: int = 0
    filtered: int = 0
    undecoded: Mapping[str, int] = field(default_factory=dict)
    shed: int = 0
    dropped: int = 0
    waiting: int = 0
    overload: str = ""
    flows: int = 0
    table_flows: int = 0
    evicted: int = 0
    late: int = 0
    clock_jumps: int = 0
    lost_lines: int = 0
    bytes_read: int = 0
    size: int | None = None
    started_ns: int = 0
    traffic_time_ns: int = 0
    elapsed_s: float = 0.0
    alerts: int = 0
    attacks: int = 0
    uncertain: int = 0
    merged: int = 0
    judged: int = 0
    scoring_s: float = 0.0
    interfaces: tuple[InterfaceState, ...] = ()
    outputs: tuple[OutputState, ...] = ()
    kept: KeptPackets | None = None

    @property
    def difference(self) -> int:
        """Packets that were received and are nowhere: 0, or the sensor has a defect."""
        accounted = self.metered + self.filtered + sum(self.undecoded.values()) + self.shed + self.dropped
        return self.received - self.waiting - accounted
