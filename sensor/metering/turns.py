"""A turn: flow records, the moment up to which they are complete, and an exact account of every packet so far.

Every source of records gives turns: live capture (sensor.metering.live), captures (sensor.metering.captures), workers
(sensor.metering.workers). Whoever takes them (sensor.run.run) knows none of these. It knows no model and no output.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from flows.batch import FlowBatch
from flows.meter import MeterStats
from flows.names.reading import NO_SIGHTINGS, Sightings
from sensor.metering.overload import STEPS
from sensor.progress.progress import InterfaceState
from sensor.sources.capture import CaptureStatistics, LinkEvent

END_NS: Final = 1 << 62  # the last turn's `until_ns`: there will be no other


@dataclass(frozen=True, slots=True)
class CaptureTotals:
    """Totals of a source since its start. Times are steady: those of the wall clock without the steps it was set by."""

    capture: CaptureStatistics  # packets by what became of them before the meter
    stats: MeterStats  # packets and flows by what the meter did with them
    first_ns: int = 0  # time of the first packet, 0 before it
    now_ns: int = 0  # time of the newest packet, or up to which silence is certain; 0 before the first
    clock_step_ns: int = 0  # what the wall clock was set forward by, all told
    overload: str = ""  # what is done about too much traffic, "" while it is not
    links: tuple[InterfaceState, ...] = ()  # interfaces that are watched
    records_due: int = 0  # flow records that are in no turn yet
    lost_packets: int = 0  # packets that were to be written to a file, which took no more
    bytes_read: int = 0  # of the captures, as they are stored
    size: int | None = None  # bytes of all captures as they are stored, None where that is unknown


@dataclass(frozen=True, slots=True)
class Turn:
    """What a source gives at a time."""

    records: FlowBatch  # in the order of their reports
    until_ns: int  # no later record was reported before this moment (REPORTED_NS, steady)
    totals: CaptureTotals
    events: tuple[LinkEvent, ...] = ()
    seen: Sightings = NO_SIGHTINGS  # what packets said of addresses and flows since the last turn
    packets_due: bool = False  # whether packets of alerts must be looked for now, or may be gone from memory


class TurnSource(Protocol):
    """Where turns come from. Iterate over it once."""

    @property
    def ends_by_itself(self) -> bool:
        """Whether its input has an end, before which stopping it leaves something unread."""

    @property
    def problems(self) -> Sequence[str]:
        """Why it ended unasked, or what could not be read to its end: one line each."""

    @property
    def remarks(self) -> Sequence[str]:
        """What was odd about its packets, one line each, known at the end."""

    def __iter__(self) -> Iterator[Turn]:
        """Turns until the end, or until stopped. Raises InputError where there is nothing to read."""

    def stop(self) -> None:
        """End with the packets that have come by now. May be called by a signal handler."""


def sum_of(totals: Sequence[CaptureTotals]) -> CaptureTotals:
    """The totals of several captures that share the packets of the same interfaces."""
    if len(totals) == 1:
        return totals[0]
    captures = [each.capture for each in totals]
    firsts = [each.first_ns for each in totals if each.first_ns]
    return replace(
        totals[0],
        capture=CaptureStatistics(
            received=sum(capture.received for capture in captures),
            dropped=sum(capture.dropped for capture in captures),
            filtered=sum(capture.filtered for capture in captures),
            waiting=sum(capture.waiting for capture in captures),
            longest_pause_ns=max(_known(each.longest_pause_ns for each in captures), default=None),
            lost_with_worker=sum(lost) if (lost := _known(each.lost_with_worker for each in captures)) else None,
        ),
        stats=_sum_of_stats([each.stats for each in totals]),
        first_ns=min(firsts, default=0),
        now_ns=max(each.now_ns for each in totals),
        overload=max((each.overload for each in totals), key=[step.name for step in STEPS].index),
        lost_packets=sum(each.lost_packets for each in totals),
    )


def _known(counts: Iterable[int | None]) -> list[int]:
    return [count for count in counts if count is not None]


def _sum_of_stats(stats: Sequence[MeterStats]) -> MeterStats:
    undecoded: dict[str, int] = {}
    for one in stats:
        for reason, count in one.undecoded.items():
            undecoded[reason] = undecoded.get(reason, 0) + count
    return MeterStats(
        packets=sum(one.packets for one in stats),
        wire_bytes=sum(one.wire_bytes for one in stats),
        metered=sum(one.metered for one in stats),
        flows=sum(one.flows for one in stats),
        evicted=sum(one.evicted for one in stats),
        late=sum(one.late for one in stats),
        late_ns=max((one.late_ns for one in stats), default=0),
        clock_jumps=sum(one.clock_jumps for one in stats),
        tunnelled=sum(one.tunnelled for one in stats),
        left_out=sum(one.left_out for one in stats),
        shed=sum(one.shed for one in stats),
        undecoded=undecoded,
    )
