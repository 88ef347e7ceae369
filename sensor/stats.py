"""Progress: how far a run has come, as numbers for people. It knows no clock and no terminal."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Progress:
    """Totals of a run since its start.

    packets, bytes: seen on the wire, decoded or not. flows: flow records reported for the first time.
    undecoded: packets without a flow, by reason. dropped: packets that the kernel or the card lost.
    evicted: flows reported early because the table was full. late: packets stamped before one that came earlier.
    clock_jumps: times a source's clock was set forward or back.
    bytes_read and size: of the inputs, None where unknown (a pipe, an interface). traffic_time_ns: newest packet,
    nanoseconds since 1970, 0 before the first. started_ns: oldest packet. elapsed_s: time since the run began.
    alerts, attacks, uncertain: alerts opened, in all and by verdict.
    """

    packets: int = 0
    bytes: int = 0
    flows: int = 0
    undecoded: Mapping[str, int] = field(default_factory=dict)
    dropped: int = 0
    evicted: int = 0
    late: int = 0
    clock_jumps: int = 0
    bytes_read: int = 0
    size: int | None = None
    started_ns: int = 0
    traffic_time_ns: int = 0
    elapsed_s: float = 0.0
    alerts: int = 0
    attacks: int = 0
    uncertain: int = 0
